#include "protocol/tls_channel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>

namespace homefs {
namespace {

std::string address_of_peer(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  char text[INET6_ADDRSTRLEN] = "";
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "unknown";
  if (address.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address);
    ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(in->sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address);
    ::inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(in6->sin6_port));
  }
  return "local";
}

void prepare_socket(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  HOMEFS_CHECK(flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
  const int on = 1;
  // Fails on a socket that is not TCP, which does not hold small segments back either.
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

std::shared_ptr<Channel> Channel::make(IoThreads& io, UniqueFd socket, const TlsContext& context,
                                       ChannelOptions options) {
  HOMEFS_CHECK(socket.is_open() && options.pool != nullptr);
  prepare_socket(socket.get());
  return std::make_shared<TlsChannel>(io, std::move(socket), context, std::move(options));
}

TlsChannel::TlsChannel(IoThreads& io, UniqueFd socket, const TlsContext& context,
                       ChannelOptions options)
    : options_(std::move(options)),
      is_server_(context.is_server()),
      peer_address_(address_of_peer(socket.get())),
      executor_(io.executor()),
      poller_(io.poller()),
      socket_(std::move(socket)),
      deadline_(executor_),
      stream_(context, socket_.get(), options_.pool, options_.records_per_key),
      assembler_(options_.pool, context.is_server()),
      body_bytes_max_(options_.body_bytes_max),
      sending_(options_.pool) {}

TlsChannel::~TlsChannel() = default;

void TlsChannel::start(std::shared_ptr<ChannelEvents> events) {
  const Lock lock(mutex_);
  HOMEFS_CHECK(events_ == nullptr && state_ != State::kDone);
  events_ = std::move(events);
  if (state_ == State::kNew) {
    poll_id_ = poller_->add(socket_.get(), shared_from_this());
    set_state(State::kHandshake);
    start_deadline(options_.handshake_deadline);
  }
  schedule_drive();  // closed before it began: only to say so
}

// One event disarms both; what was waited for and has not come is armed again.
void TlsChannel::on_ready(std::uint32_t events) {
  constexpr std::uint32_t kBroken = EPOLLERR | EPOLLHUP;  // is met again where it is handled
  Lock lock(mutex_);
  if (state_ == State::kDone) return;
  const std::uint32_t waited_for = std::exchange(armed_, 0);
  const std::uint32_t came = (events & kBroken) != 0 ? waited_for : waited_for & events;
  if (waited_for != came) arm(waited_for & ~came);
  if ((came & EPOLLOUT) != 0) pump(lock, TlsStream::kTurnBytesMax);
  if ((came & EPOLLIN) == 0) return;
  stream_.begin_turn();
  drive(lock);
}

// Whom the events are for keeps this channel, and was to let go of it at on_closed.
void TlsChannel::on_stopped() {
  std::shared_ptr<ChannelEvents> dropped;  // may end with this, and not under the lock
  const Lock lock(mutex_);
  dropped = std::move(events_);
}

void TlsChannel::arm(std::uint32_t event) {
  if ((armed_ & event) != 0) return;
  armed_ |= event;
  poller_->arm(poll_id_, socket_.get(), armed_);
}

void TlsChannel::set_state(State state) {
  state_ = state;
  is_halted_ = is_paused_ || state_ != State::kOpen;
}

void TlsChannel::start_deadline(std::chrono::milliseconds deadline) {
  deadline_.expires_after(deadline);
  deadline_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error != boost::asio::error::operation_aborted) self->on_deadline();
  });
}

void TlsChannel::on_deadline() {
  const Lock lock(mutex_);
  // The wait of an earlier deadline may already have been on its way here when it was replaced.
  if (std::chrono::steady_clock::now() < deadline_.expiry()) return;
  if (state_ == State::kHandshake) {
    close_locked(Error{Status::kTimedOut, "TLS handshake with " + peer_address_});
  } else if (state_ == State::kFlushing) {
    close_locked(*why_);
  }
}

void TlsChannel::close(Error why) {
  const Lock lock(mutex_);
  close_locked(std::move(why));
}

void TlsChannel::close_locked(Error why) {
  if (state_ == State::kClosed || state_ == State::kDone) return;
  const bool is_started = state_ != State::kNew;
  if (!why_) why_ = std::move(why);
  set_state(State::kClosed);
  queue_.clear();
  // The peer learns it now, and a pump that is writing gets an error; the descriptor itself is
  // closed when nobody uses it.
  (void)::shutdown(socket_.get(), SHUT_RDWR);
  if (is_started) schedule_drive();
}

void TlsChannel::close_after_flush(Error why) {
  const Lock lock(mutex_);
  if (state_ == State::kFlushing) return;  // asked for before, and not to be cut short
  if (state_ != State::kOpen) {
    close_locked(std::move(why));
    return;
  }
  why_ = std::move(why);
  is_paused_ = false;  // the end of the peer's stream is to be seen
  set_state(State::kFlushing);
  start_deadline(options_.flush_deadline);
  schedule_drive();
  schedule_pump();
}

/// The last thing a driver does: nothing is armed or delivered afterwards.
void TlsChannel::finish(Lock& lock) {
  state_ = State::kDone;
  deadline_.cancel();
  close_socket_if_unused();
  received_.clear();
  const std::shared_ptr<ChannelEvents> events = std::move(events_);
  const Error why = *why_;
  lock.unlock();
  events->on_closed(why);
  lock.lock();
}

void TlsChannel::close_socket_if_unused() {
  if (state_ != State::kDone || is_pumping_) return;
  sending_.clear();
  stream_.to_send().clear();
  if (const Poller::Id id = std::exchange(poll_id_, 0); id != 0) poller_->remove(id, socket_.get());
  socket_.reset();
}

void TlsChannel::set_body_bytes_max(std::size_t bytes) {
  HOMEFS_CHECK(bytes <= kBodyBytesMax);
  body_bytes_max_ = bytes;
}

std::size_t TlsChannel::queued_bytes() const {
  const Lock lock(mutex_);
  return queued_bytes_locked();
}

std::string TlsChannel::peer_fingerprint() const {
  const Lock lock(mutex_);
  return peer_fingerprint_;
}

ChannelBinding TlsChannel::channel_binding() const {
  const Lock lock(mutex_);
  return channel_binding_;
}

}  // namespace homefs
