#include "server/event_outbox.h"

#include <algorithm>
#include <utility>

namespace homefs {
namespace {

OutFrame event_frame(Op op, std::vector<std::byte> fields) {
  OutFrame frame;
  frame.header.op = op;
  frame.header.kind = FrameKind::kEvent;
  frame.fields = std::move(fields);
  return frame;
}

}  // namespace

std::shared_ptr<EventOutbox> EventOutbox::make(const boost::asio::any_io_executor& executor,
                                               bool has_missed,
                                               std::chrono::milliseconds deadline) {
  std::shared_ptr<EventOutbox> outbox(new EventOutbox(executor, has_missed, deadline));
  outbox->self_ = outbox;
  return outbox;
}

void EventOutbox::send(Op op, std::vector<std::byte> fields, Done done, Acknowledged acknowledged) {
  HOMEFS_CHECK(done != nullptr);
  send_frame(op, std::move(fields), std::move(done), std::move(acknowledged),
             /*is_essential=*/true);
}

void EventOutbox::send_frame(Op op, std::vector<std::byte> fields, Done done,
                             Acknowledged acknowledged, bool is_essential) {
  OutFrame frame = event_frame(op, std::move(fields));
  std::unique_lock lock(mutex_);
  const bool is_full = sink_ != nullptr && outstanding_.size() >= kEventsOutstandingMax;
  if (sink_ == nullptr || is_full) {
    has_missed_ |= is_essential;
    if (is_full) sink_->close({Status::kTimedOut, "the client does not acknowledge events"});
    lock.unlock();
    if (done) done(false);
    return;
  }
  Done done_now;
  if (lagging_ > 0) done_now = std::exchange(done, nullptr);
  push_event(std::move(frame), std::move(done), is_essential);
  outstanding_.back().acknowledged = std::move(acknowledged);
  lock.unlock();
  if (done_now) done_now(false);
}

// Under the lock, so that events leave in the order of their tags: the client is told of two modes
// in the order in which they came about. A sink only queues.
void EventOutbox::push_event(OutFrame frame, Done done, bool is_essential) {
  frame.header.tag = ++last_tag_;
  outstanding_.push_back(
      {last_tag_, std::chrono::steady_clock::now() + deadline_, std::move(done), is_essential});
  arm_timer();
  sink_->send_event(std::move(frame));
}

Result<void> EventOutbox::acknowledge(const EventSink* from, std::uint32_t tag) {
  std::unique_lock lock(mutex_);
  if (sink_.get() != from) return {};
  const auto found = std::ranges::find(outstanding_, tag, &Outstanding::tag);
  if (found == outstanding_.end()) {
    return fail(Status::kProtocolError, "an acknowledgement of no event");
  }
  Done done = std::move(found->done);
  auto acknowledged = std::exchange(found->acknowledged, nullptr);
  if (found->is_late) --lagging_;
  outstanding_.erase(found);
  lock.unlock();
  if (done) done(true);
  if (acknowledged) acknowledged();
  return {};
}

EventOutbox::Connected EventOutbox::connect(std::shared_ptr<EventSink> sink, FirstEvent first) {
  Connected connected;
  const std::lock_guard lock(mutex_);
  give_up_outstanding(connected.given_up);
  sink_ = std::move(sink);
  connected.has_missed = std::exchange(has_missed_, false);
  push_event(event_frame(first.op, std::move(first.fields)), nullptr, /*is_essential=*/true);
  outstanding_.back().acknowledged = std::move(first.acknowledged);
  return connected;
}

void EventOutbox::disconnect(const EventSink* sink) {
  std::vector<Done> dones;
  {
    const std::lock_guard lock(mutex_);
    if (sink_.get() != sink) return;
    sink_.reset();
    give_up_outstanding(dones);
  }
  for (Done& done : dones) done(false);
}

// What was on the way may have been received or not: it counts as missed.
void EventOutbox::give_up_outstanding(std::vector<Done>& dones) {
  for (Outstanding& event : outstanding_) {
    has_missed_ |= event.is_essential;
    if (event.done) dones.push_back(std::move(event.done));
  }
  outstanding_.clear();
  lagging_ = 0;
}

bool EventOutbox::is_lagging() const {
  const std::lock_guard lock(mutex_);
  return lagging_ > 0;
}

void EventOutbox::arm_timer() {
  if (is_timer_armed_) return;
  const auto waiting = std::ranges::find_if(
      outstanding_, [](const Outstanding& event) { return event.done != nullptr; });
  if (waiting == outstanding_.end()) return;
  is_timer_armed_ = true;
  timer_.expires_at(waiting->deadline);
  timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (const auto outbox = self.lock(); outbox && !error) outbox->on_timer();
  });
}

void EventOutbox::on_timer() {
  {
    const std::lock_guard lock(mutex_);
    is_timer_armed_ = false;
  }
  give_up_late(std::chrono::steady_clock::now());
}

void EventOutbox::give_up_late(std::chrono::steady_clock::time_point now) {
  std::vector<Done> dones;
  {
    const std::lock_guard lock(mutex_);
    for (Outstanding& event : outstanding_) {
      if (event.deadline > now) break;  // all have the same deadline: the oldest are in front
      if (!event.done) continue;
      dones.push_back(std::exchange(event.done, nullptr));
      event.is_late = true;
      ++lagging_;
    }
    arm_timer();
  }
  for (Done& done : dones) done(false);
}

}  // namespace homefs
