// TlsChannel's driving: receives, delivers the events one after the other, ends the channel.

#include <sys/epoll.h>

#include <boost/asio/post.hpp>

#include "protocol/fault_injection.h"
#include "protocol/tls_channel.h"

namespace homefs {
namespace {

// Decryption under one hold of the lock: about 20 us, what a sender may have to wait.
constexpr std::size_t kLockPieceBytes = 64 * 1024;
// Frames decoded ahead of their delivery; with kLockPieceBytes it bounds received_.
constexpr std::size_t kFramesPerPieceMax = 64;

}  // namespace

/// Runs until there is nothing more to do now, or another thread already does.
void TlsChannel::drive(Lock& lock) {
  if (is_driving_) {
    drive_again_ = true;
    return;
  }
  is_driving_ = true;
  while (drive_once(lock) || std::exchange(drive_again_, false)) {
  }
  is_driving_ = false;
}

/// One step; false when the next one has to wait for something that is armed or will be told.
bool TlsChannel::drive_once(Lock& lock) {
  switch (state_) {
    case State::kNew:
    case State::kDone:
      return false;
    case State::kHandshake:
      return drive_handshake(lock);
    case State::kOpen:
    case State::kFlushing:
      return drive_open(lock);
    case State::kClosed:
      finish(lock);
      return false;
  }
  return false;
}

bool TlsChannel::drive_handshake(Lock& lock) {
  const auto wait = stream_.handshake();
  pump(lock, 0);  // our flight, or the alert that says what we did not like
  if (state_ != State::kHandshake) return true;
  if (!wait) {
    close_locked(wait.error());
    return true;
  }
  if (*wait != TlsStream::Wait::kNone) return wait_for(*wait);
  deadline_.cancel();
  peer_fingerprint_ = is_server_ ? std::string() : stream_.peer_fingerprint();
  channel_binding_ = stream_.channel_binding();
  set_state(State::kOpen);
  deliver(lock, [this] { events_->on_open(); });
  return true;
}

bool TlsChannel::drive_open(Lock& lock) {
  if (std::exchange(is_space_due_, false) && state_ == State::kOpen) {
    deliver(lock, [this] { events_->on_send_space(); });
    return true;
  }
  if (is_paused_) return false;
  if (received_.empty()) {
    const TlsStream::Wait wait = receive_piece();
    if (std::exchange(pump_waits_for_read_, false)) pump(lock, TlsStream::kTurnBytesMax);
    if (received_.empty() && receive_error_) close_locked(*receive_error_);
    if (received_.empty()) return wait_for(wait);
  }
  deliver_frames(lock);
  return true;
}

/// Decrypts until a piece is full or no more is there; complete frames go to received_. What ends
/// the reception is kept in receive_error_, until the frames before it were delivered.
TlsStream::Wait TlsChannel::receive_piece() {
  std::size_t bytes = 0;
  while (bytes < kLockPieceBytes && received_.size() < kFramesPerPieceMax && !receive_error_) {
    const auto step = stream_.read(assembler_.wanted());
    if (!step) receive_error_ = step.error();
    if (!step) break;
    if (step->wait != TlsStream::Wait::kNone) return step->wait;
    bytes += step->bytes;
    received_bytes_.fetch_add(step->bytes, std::memory_order_relaxed);
    const std::size_t body_bytes_max = body_bytes_max_;
    auto frame = assembler_.commit(step->bytes, body_bytes_max);
    if (!frame) receive_error_ = frame.error();
    if (!frame) break;
    if (*frame) received_.push_back(std::move(**frame));
    // The frame that makes a login raises the limit while it is delivered: decode none ahead.
    if (*frame && body_bytes_max < kBodyBytesMax) return TlsStream::Wait::kNone;
  }
  return TlsStream::Wait::kNone;
}

/// Sees to it that the drive goes on when `wait` is over. Returns whether it can at once.
bool TlsChannel::wait_for(TlsStream::Wait wait) {
  switch (wait) {
    case TlsStream::Wait::kNone:
      return true;
    case TlsStream::Wait::kReadable:
      arm(EPOLLIN);
      return false;
    case TlsStream::Wait::kFlushed:
      drive_waits_for_flush_ = true;
      schedule_pump();
      return false;
  }
  return false;
}

/// Calls out without the lock; what is sent from inside leaves afterwards, together.
template <class Deliver>
void TlsChannel::deliver(Lock& lock, Deliver deliver) {
  delivering_thread_ = std::this_thread::get_id();
  lock.unlock();
  deliver();
  lock.lock();
  delivering_thread_ = {};
  if (state_ == State::kOpen || state_ == State::kFlushing) pump(lock, TlsStream::kTurnBytesMax);
}

void TlsChannel::deliver_frames(Lock& lock) {
  if (state_ != State::kOpen) {
    received_.clear();
    received_next_ = 0;
    return;
  }
  deliver(lock, [this] {
    while (received_next_ < received_.size() && !is_halted_) {
      InFrame& frame = received_[received_next_++];
      inject_receive_fault(frame);
      events_->on_frame(std::move(frame));
    }
  });
  if (received_next_ < received_.size()) return;
  received_.clear();
  received_next_ = 0;
}

void TlsChannel::pause_reading() {
  const Lock lock(mutex_);
  is_paused_ = true;
  set_state(state_);
}

void TlsChannel::resume_reading() {
  const Lock lock(mutex_);
  if (!std::exchange(is_paused_, false)) return;
  set_state(state_);
  schedule_drive();
}

void TlsChannel::schedule_drive() {
  if (is_driving_) {
    drive_again_ = true;
    return;
  }
  if (std::exchange(is_drive_posted_, true)) return;
  boost::asio::post(executor_, [self = shared_from_this()] {
    Lock lock(self->mutex_);
    self->is_drive_posted_ = false;
    self->drive(lock);
  });
}

}  // namespace homefs
