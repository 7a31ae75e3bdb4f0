#include "server/frame_outlet.h"

#include <utility>

namespace homefs {

OutFrame make_reply_frame(const FrameHeader& request, const Reply& reply) {
  OutFrame frame;
  frame.header.op = request.op;
  frame.header.kind = FrameKind::kReply;
  frame.header.tag = request.tag;
  frame.header.seq = request.seq;
  frame.header.status = reply.status;
  frame.fields = reply.fields;
  frame.payload = reply.payload;
  return frame;
}

void FrameOutlet::put(OutFrame frame) {
  std::unique_lock lock(mutex_);
  if (is_closed_ || end_) return;
  parked_.push_back(std::move(frame));
  if (!is_flushing_ && !is_refused_ && !is_held_) flush(std::move(lock));
}

void FrameOutlet::hold() {
  const std::lock_guard lock(mutex_);
  is_held_ = true;
}

void FrameOutlet::release_with(OutFrame first) {
  std::unique_lock lock(mutex_);
  if (is_closed_) return;
  HOMEFS_CHECK(is_held_);
  is_held_ = false;
  parked_.push_front(std::move(first));
  if (!is_flushing_ && !is_refused_) flush(std::move(lock));
}

// One thread at a time sends; the others leave their frames with it.
void FrameOutlet::flush(std::unique_lock<std::mutex> lock) {
  is_flushing_ = true;
  while (!parked_.empty() && !is_held_ && !is_refused_) {
    OutFrame frame = std::move(parked_.front());
    parked_.pop_front();
    is_space_new_ = false;
    lock.unlock();
    const Result<void> sent = channel_->send(std::move(frame));
    lock.lock();
    if (sent) continue;
    if (sent.error().status != Status::kWouldBlock) {
      parked_.clear();  // closed: nobody is there to read it
      break;
    }
    parked_.push_front(std::move(frame));  // NOLINT(bugprone-use-after-move): not taken
    if (is_space_new_) continue;           // it came between the refusal and here
    is_refused_ = true;
    break;
  }
  is_flushing_ = false;
  if (!end_ || is_held_ || is_closed_) return;
  parked_.clear();  // refused: whoever does not read has to do without
  const Error why = *end_;
  lock.unlock();
  channel_->close_after_flush(why);
}

void FrameOutlet::end(const Error& why) {
  std::unique_lock lock(mutex_);
  if (is_closed_ || end_) return;
  end_ = why;
  if (!is_flushing_ && !is_held_) flush(std::move(lock));
}

bool FrameOutlet::on_send_space() {
  std::unique_lock lock(mutex_);
  is_space_new_ = true;
  is_refused_ = false;
  if (is_flushing_ || is_held_) return false;
  flush(std::move(lock));
  return !is_congested();
}

bool FrameOutlet::is_congested() const {
  const std::lock_guard lock(mutex_);
  return is_refused_;
}

void FrameOutlet::close() {
  std::deque<OutFrame> dropped;
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  dropped.swap(parked_);
}

}  // namespace homefs
