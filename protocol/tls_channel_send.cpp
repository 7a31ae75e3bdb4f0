// TlsChannel's pumping: encrypts what is queued and gives it to the socket.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "protocol/fault_injection.h"
#include "protocol/tls_channel.h"

namespace homefs {
namespace {

// What is encrypted under one hold of the lock and leaves with one send(2).
constexpr std::size_t kSendPieceBytes = 64 * 1024;
// The most that this is: the last record begins below it. And what TLS adds to that.
constexpr std::size_t kPlainBytesMax = kSendPieceBytes + TlsStream::kRecordBytesMax;
constexpr std::size_t kOverheadBytes = 8 * TlsStream::kRecordOverheadBytes;
// What a caller of send() encrypts beside its own frame before it leaves the rest to the executor.
constexpr std::size_t kInlineBudgetBytes = 2 * kBodyBytesMax;

// Beyond the bound, for frames without a body: acknowledgements of events, which nobody sends
// again. A peer has no more than some thousands of events outstanding.
constexpr std::size_t kBareRoomBytes = 512 * 1024;

}  // namespace

Result<void> TlsChannel::enqueue(OutFrame&& frame) {
  if (state_ != State::kOpen) return fail(Status::kDisconnected, "the channel is not open");
  const std::size_t queued = queued_bytes_locked();
  const std::size_t bytes = kFrameHeaderBytes + frame.body_bytes();
  const std::size_t room =
      options_.queue_bytes_max + (frame.body_bytes() == 0 ? kBareRoomBytes : 0);
  if (queued > 0 && queued + bytes > room) {
    is_space_wanted_ = true;
    return fail(Status::kWouldBlock, "the send queue is full");
  }
  inject_send_fault(frame);
  queue_.push(std::move(frame));
  return {};
}

Result<void> TlsChannel::send(OutFrame&& frame) {
  Lock lock(mutex_);
  if (auto queued = enqueue(std::move(frame)); !queued) return queued;
  // From inside an event: leaves when the events of this turn are through.
  if (delivering_thread_ != std::this_thread::get_id()) pump(lock, kInlineBudgetBytes);
  return {};
}

Result<void> TlsChannel::send_later(OutFrame&& frame) {
  const Lock lock(mutex_);
  if (auto queued = enqueue(std::move(frame)); !queued) return queued;
  if (!is_pumping_) schedule_pump();
  return {};
}

/// Sends until nothing is queued, the socket is full or `budget_bytes` have left; then the
/// executor goes on. Nothing to do when another thread pumps: it does not stop before the queue
/// is empty.
void TlsChannel::pump(Lock& lock, std::size_t budget_bytes) {
  if (is_pumping_ || is_write_armed()) return;
  is_pumping_ = true;
  std::size_t sent_bytes = 0;
  while (state_ != State::kDone && (!sending_.is_empty() || encrypt_piece())) {
    sent_bytes += sending_.size();
    if (!send_piece(lock)) break;
    report_space();
    if (sent_bytes > budget_bytes && queue_.bytes() > 0) {
      schedule_pump();
      break;
    }
  }
  is_pumping_ = false;
  if (state_ == State::kDone) close_socket_if_unused();
}

/// Moves up to a piece from the queue, encrypted, to sending_; false when there was nothing.
bool TlsChannel::encrypt_piece() {
  WireBuffer& wire = stream_.to_send();
  if (queue_.bytes() > 0) wire.reserve(std::min(queue_.bytes(), kPlainBytesMax) + kOverheadBytes);
  while (queue_.bytes() > 0 && wire.size() < kSendPieceBytes && !pump_waits_for_read_) {
    const auto step = stream_.write(queue_.next());
    if (!step) {
      close_locked(step.error());
      break;
    }
    if (step->wait != TlsStream::Wait::kNone) {
      // Half of a message of TLS itself has come (the other half is awaited), or the wire buffer
      // is full of such messages (and is sent below).
      pump_waits_for_read_ = step->wait == TlsStream::Wait::kReadable;
      break;
    }
    queue_.consume(step->bytes);
  }
  if (wire.is_empty() && state_ == State::kFlushing && queue_.bytes() == 0) end_flush();
  sending_.swap(wire);
  sending_bytes_ = sending_.size();
  return !sending_.is_empty();
}

/// Gives sending_ to the socket, without the lock; false when that has to wait or failed.
bool TlsChannel::send_piece(Lock& lock) {
  const int fd = socket_.get();
  const auto bytes = sending_.bytes();
  lock.unlock();
  ssize_t sent = 0;
  do {
    sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  const int error = sent < 0 ? errno : 0;
  lock.lock();
  if (sent > 0) sending_.consume(static_cast<std::size_t>(sent));
  sending_bytes_ = sending_.size();
  if (error != 0 && error != EAGAIN && error != EWOULDBLOCK) {
    sending_.clear();
    sending_bytes_ = 0;
    close_locked(Error{Status::kDisconnected, fail_errno(error, "send").error().message()});
    return false;
  }
  if (sending_.is_empty()) return true;
  if (state_ != State::kClosed && state_ != State::kDone) arm(EPOLLOUT);
  return false;
}

/// All is sent that close_after_flush() promised: ends our half. What the peer still sends is
/// received and dropped until it ends its half, since closing with unread bytes would reset the
/// connection and could take our last frames with it.
void TlsChannel::end_flush() {
  if (!std::exchange(is_flush_ended_, true)) {
    stream_.end_writing();
    return;
  }
  (void)::shutdown(socket_.get(), SHUT_WR);
}

void TlsChannel::report_space() {
  if (drive_waits_for_flush_) {
    drive_waits_for_flush_ = false;
    schedule_drive();
  }
  if (!is_space_wanted_ || queued_bytes_locked() > options_.queue_bytes_max / 2) return;
  is_space_wanted_ = false;
  is_space_due_ = true;
  schedule_drive();
}

void TlsChannel::schedule_pump() {
  if (is_write_armed() || std::exchange(is_pump_posted_, true)) return;
  boost::asio::post(executor_, [self = shared_from_this()] {
    Lock lock(self->mutex_);
    self->is_pump_posted_ = false;
    self->pump(lock, TlsStream::kTurnBytesMax);
  });
}

bool TlsChannel::is_write_armed() const { return (armed_ & EPOLLOUT) != 0; }

std::size_t TlsChannel::queued_bytes_locked() const { return queue_.bytes() + sending_bytes_; }

}  // namespace homefs
