#include "fusefs/event_relay.h"

#include <utility>

namespace homefs {

void EventRelay::attach(LinkEvents& events) {
  const std::lock_guard lock(mutex_);
  HOMEFS_CHECK(events_ == nullptr);
  events_ = &events;
  if (is_shared_) events_->on_mode(true, [] {});  // acknowledged when it came
  if (grant_) events_->on_quota(*grant_);
}

void EventRelay::detach() {
  const std::lock_guard lock(mutex_);
  events_ = nullptr;
}

void EventRelay::on_power_lost() {
  const std::lock_guard lock(mutex_);
  if (events_ != nullptr) events_->on_power_lost();
}

void EventRelay::on_session(bool is_same_session) {
  const std::lock_guard lock(mutex_);
  if (events_ != nullptr) events_->on_session(is_same_session);
}

void EventRelay::on_reconnected(const Reconnected& caches) {
  const std::lock_guard lock(mutex_);
  if (!caches.are_valid) grant_.reset();
  if (events_ != nullptr) events_->on_reconnected(caches);
}

Result<> EventRelay::on_event(const std::shared_ptr<Channel>& channel, const InFrame& frame) {
  // The connection may be gone when the core is ready; the server asks again on the next one.
  auto acknowledge = [weak = std::weak_ptr(channel), op = frame.header.op, tag = frame.header.tag] {
    const auto target = weak.lock();
    if (target == nullptr) return;
    OutFrame answer;
    answer.header.op = op;
    answer.header.kind = FrameKind::kEventAck;
    answer.header.tag = tag;
    (void)target->send(std::move(answer));  // a broken connection is told by its on_closed
  };
  return deliver(frame, std::move(acknowledge));
}

Result<> EventRelay::deliver(const InFrame& frame, std::move_only_function<void()> acknowledge) {
  const std::lock_guard lock(mutex_);
  switch (frame.header.op) {
    case Op::kMode: {
      const auto event = decode_all<ModeEvent>(frame.bytes());
      if (!event) return std::unexpected(event.error());
      is_shared_ = event->is_shared;
      if (events_ == nullptr) break;
      events_->on_mode(event->is_shared, std::move(acknowledge));
      return {};
    }
    case Op::kChanged: {
      auto event = decode_all<ChangedEvent>(frame.bytes());
      if (!event) return std::unexpected(event.error());
      if (events_ == nullptr) break;
      events_->on_changed(std::move(*event), std::move(acknowledge));
      return {};
    }
    case Op::kQuotaChanged: {
      const auto event = decode_all<QuotaEvent>(frame.bytes());
      if (!event) return std::unexpected(event.error());
      grant_ = event->grant;
      if (events_ != nullptr) events_->on_quota(event->grant);
      break;
    }
    case Op::kLockGranted: {
      const auto event = decode_all<LockGrantedEvent>(frame.bytes());
      if (!event) return std::unexpected(event.error());
      if (events_ != nullptr) events_->on_lock_granted(event->id);
      break;
    }
    case Op::kGoingAway:
      break;  // the break follows, and the reconnect after it
    default:
      return fail(Status::kProtocolError, "an event that is none");
  }
  acknowledge();
  return {};
}

}  // namespace homefs
