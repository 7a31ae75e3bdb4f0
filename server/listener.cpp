#include "server/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "server/login_throttle.h"

namespace homefs {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// While the process is out of descriptors an accept fails at once and would spin.
constexpr std::chrono::milliseconds kAcceptRetryDelay{100};

// A peer that is gone (its machine lost power) is found out by the kernel, whatever the peer's
// program does: silent for `keepalive`, then three probes.
void set_options(int socket, std::chrono::seconds keepalive) {
  const int on = 1;
  const int idle = static_cast<int>(keepalive.count());
  const int interval = std::max(1, idle / 2);
  const int probes = 3;
  const int unacknowledged_milliseconds = 1000 * (idle + probes * interval);
  // Failures only mean that a dead peer is noticed later, by the session's linger at the latest.
  (void)::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_milliseconds,
                     sizeof unacknowledged_milliseconds);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

std::shared_ptr<Listener> Listener::make(const asio::any_io_executor& executor,
                                         ListenerOptions options, OnSocket on_socket) {
  std::shared_ptr<Listener> listener(
      new Listener(executor, std::move(options), std::move(on_socket)));
  listener->self_ = listener;
  listener->slots_ = std::make_unique<LoginSlots>(
      LoginSlots::Limits{
          .in_all = listener->options_.logins_max,
          .per_address = std::max<std::size_t>(1, listener->options_.logins_max * 3 / 4)},
      [self = listener->self_] {
        if (const auto owner = self.lock()) owner->post_accept_all();
      });
  return listener;
}

Listener::Listener(const asio::any_io_executor& executor, ListenerOptions options,
                   OnSocket on_socket)
    : options_(std::move(options)), on_socket_(std::move(on_socket)), strand_(executor) {}

void Listener::post_accept_all() {
  asio::post(strand_, [self = self_] {
    if (const auto listener = self.lock()) listener->accept_all();
  });
}

Result<void> Listener::open() {
  for (const std::string& address : options_.addresses) {
    if (Result<void> bound = bind(address); !bound) return bound;
  }
  post_accept_all();
  return {};
}

Result<void> Listener::bind(const std::string& address) {
  error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return fail(Status::kConfigError, "listen.addresses: no address: " + address);
  // A further address gets the port that the first one was given.
  const Tcp::endpoint endpoint(ip, port_ != 0 ? port_ : options_.port);
  Tcp::acceptor acceptor(strand_);
  acceptor.open(endpoint.protocol(), error);
  if (error == asio::error::address_family_not_supported && address == "::") {
    return bind("0.0.0.0");  // a kernel without IPv6
  }
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  // "::" takes IPv4 as well, as the config promises; other addresses are what they are.
  if (!error && ip.is_v6()) {
    acceptor.set_option(asio::ip::v6_only(!ip.to_v6().is_unspecified()), error);
  }
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port_ = acceptor.local_endpoint(error).port();
  if (error) {
    return fail(Status::kConfigError, "cannot listen on " + address + " port " +
                                          std::to_string(endpoint.port()) + ": " + error.message());
  }
  endpoints_.push_back({std::move(acceptor), asio::steady_timer(strand_), false});
  return {};
}

void Listener::stop() {
  asio::post(strand_, [self = self_] {
    const auto listener = self.lock();
    if (!listener) return;
    listener->is_stopped_ = true;
    for (Endpoint& endpoint : listener->endpoints_) {
      error_code ignored;  // closing a listening socket does not fail
      endpoint.acceptor.close(ignored);
      endpoint.retry.cancel();
    }
  });
}

void Listener::accept_all() {
  for (std::size_t index = 0; index < endpoints_.size(); ++index) accept(index);
}

void Listener::accept(std::size_t index) {
  Endpoint& endpoint = endpoints_[index];
  if (is_stopped_ || endpoint.is_accepting || !slots_->has_room()) return;
  endpoint.is_accepting = true;
  endpoint.acceptor.async_accept(
      [self = self_, index](const error_code& error, Tcp::socket socket) {
        if (const auto listener = self.lock()) {
          listener->on_accepted(index, error, std::move(socket));
        }
      });
}

void Listener::on_accepted(std::size_t index, const error_code& error, Tcp::socket socket) {
  endpoints_[index].is_accepting = false;
  if (is_stopped_) return;
  if (error == asio::error::no_descriptors || error == asio::error::no_buffer_space ||
      error == error_code(ENFILE, boost::system::system_category())) {
    retry_later(index);
    return;
  }
  // Any other error is that of one connection, which was gone before it was accepted.
  if (!error) hand_over(std::move(socket));
  accept(index);
}

void Listener::retry_later(std::size_t index) {
  endpoints_[index].retry.expires_after(kAcceptRetryDelay);
  endpoints_[index].retry.async_wait([self = self_, index](const error_code& cancelled) {
    const auto listener = self.lock();
    if (listener && !cancelled) listener->accept(index);
  });
}

void Listener::hand_over(Tcp::socket socket) {
  error_code error;
  const Tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;
  const std::string address = peer.address().to_string();
  const std::string key =
      throttle_key_of_peer((peer.address().is_v6() ? "[" + address + "]" : address) + ":0");
  std::optional<LoginSlots::Slot> slot = slots_->take(key);
  if (!slot) return;  // closes it: this address has its share of logins under way
  UniqueFd fd(socket.release(error));
  if (error) return;
  set_options(fd.get(), options_.keepalive);
  on_socket_(std::move(fd), std::move(*slot));
}

}  // namespace homefs
