#include "fusefs/link_connection.h"

#include <fcntl.h>

#include <utility>

#include "fusefs/tcp_figures.h"

namespace homefs {
std::shared_ptr<LinkConnection> LinkConnection::start(ConnectionOwner& owner, UniqueFd socket,
                                                      const ConnectionSetup& setup) {
  auto connection = std::make_shared<LinkConnection>(owner, setup.id);
  connection->note_received(0);
  owner.on_connection_opening();
  connection->statistics_socket_.reset(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  connection->channel_ = Channel::make(setup.io, std::move(socket), setup.tls, setup.options);
  connection->channel_->start(connection);
  return connection;
}

Result<> LinkConnection::wait_open(std::chrono::milliseconds deadline) {
  std::unique_lock lock(mutex_);
  const bool is_decided =
      changed_.wait_for(lock, deadline, [this] { return is_open_ || closed_.has_value(); });
  if (closed_) return std::unexpected(*closed_);
  if (!is_decided) return fail(Status::kTimedOut, "the server does not answer");
  return {};
}

Result<InFrame> LinkConnection::exchange(Op op, std::vector<std::byte> fields,
                                         std::chrono::milliseconds deadline) {
  OutFrame request;
  request.header.op = op;
  request.fields = std::move(fields);
  {
    const std::lock_guard lock(mutex_);
    HOMEFS_CHECK(!is_waiting_ && !is_adopted_);
    if (closed_) return std::unexpected(*closed_);
    is_waiting_ = true;
    reply_.reset();
    request.header.tag = ++login_tag_;
  }
  // Before it is sent: the answer may be here, and have paused the reading again, before the next
  // line is reached.
  channel_->resume_reading();
  if (Result<> sent = send(std::move(request), /*is_bulk=*/false); !sent) {
    const std::lock_guard lock(mutex_);
    is_waiting_ = false;
    return std::unexpected(closed_ ? *closed_ : sent.error());
  }
  std::unique_lock lock(mutex_);
  const bool is_decided = changed_.wait_for(
      lock, deadline, [this] { return reply_.has_value() || closed_.has_value(); });
  is_waiting_ = false;
  if (reply_) return std::move(*std::exchange(reply_, std::nullopt));
  if (!is_decided) return fail(Status::kTimedOut, "the server does not answer");
  return std::unexpected(*closed_);
}

void LinkConnection::adopt() {
  is_adopted_ = true;
  channel_->resume_reading();
}

Result<> LinkConnection::send(OutFrame&& frame, bool is_bulk) {
  const std::size_t bytes = kFrameHeaderBytes + frame.body_bytes();
  Result<> sent =
      is_bulk ? channel_->send_later(std::move(frame)) : channel_->send(std::move(frame));
  if (sent) bytes_out_.fetch_add(bytes, std::memory_order_relaxed);
  return sent;
}

bool LinkConnection::is_closed() {
  const std::lock_guard lock(mutex_);
  return closed_.has_value();
}

std::uint64_t LinkConnection::bytes_acknowledged() {
  const std::lock_guard lock(mutex_);
  return tcp_figures(statistics_socket_.get()).bytes_acknowledged;
}

ConnectionWay LinkConnection::way() {
  const std::lock_guard lock(mutex_);
  return statistics_socket_ ? way_of(statistics_socket_.get()) : ConnectionWay::kSame;
}

std::chrono::microseconds LinkConnection::round_trip() {
  const std::lock_guard lock(mutex_);
  return tcp_figures(statistics_socket_.get()).round_trip;
}

void LinkConnection::note_received(std::size_t bytes) {
  bytes_in_.fetch_add(bytes, std::memory_order_relaxed);
  last_received_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

void LinkConnection::on_open() {
  const std::lock_guard lock(mutex_);
  is_open_ = true;
  changed_.notify_all();
}

void LinkConnection::on_frame(InFrame frame) {
  note_received(kFrameHeaderBytes + frame.bytes().size());
  if (is_adopted_.load(std::memory_order_acquire)) {
    owner_.on_connection_frame(*this, std::move(frame));
    return;
  }
  // What follows the reply that ends the login (the first event) waits for adopt(), and may be
  // larger than anything before a login.
  channel_->pause_reading();
  const bool makes_session = frame.header.op == Op::kAuthFinish || frame.header.op == Op::kResume;
  if (makes_session && is_success(frame.header.status)) channel_->set_body_bytes_max(kBodyBytesMax);
  bool is_expected = false;
  {
    const std::lock_guard lock(mutex_);
    is_expected = is_waiting_ && !reply_ && frame.header.kind == FrameKind::kReply &&
                  frame.header.tag == login_tag_;
    if (is_expected) reply_ = std::move(frame);
    changed_.notify_all();
  }
  if (!is_expected) channel_->close({Status::kProtocolError, "a frame during the login"});
}

void LinkConnection::on_closed(const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = why;
    statistics_socket_.reset();  // the peer sees the end when the last descriptor is closed
    changed_.notify_all();
  }
  owner_.on_connection_closed(*this, why);
}

}  // namespace homefs
