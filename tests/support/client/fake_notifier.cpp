#include "tests/support/client/fake_notifier.h"

#include <algorithm>

namespace homefs::test {

bool FakeNotifier::was_told(const Notice& notice) const {
  return std::ranges::find(told_, notice) != told_.end();
}

void FakeNotifier::push(std::deque<Queued>& queue, Notice notice) {
  queue.push_back({.notice = std::move(notice), .done = {}});
  if (!is_holding_) deliver_all();
}

bool FakeNotifier::deliver(std::deque<Queued>& queue) {
  if (queue.empty()) return false;
  Queued first = std::move(queue.front());
  queue.pop_front();
  if (first.done) {
    first.done();
    return true;
  }
  if (first.place) {
    const std::optional<std::uint64_t> place = first.place();
    if (!place) return true;
    first.notice.place = *place;
  }
  told_.push_back(first.notice);
  const Notice::Kind kind = first.notice.kind;
  if (kind != Notice::Kind::kEntry && kind != Notice::Kind::kAllEntries) {
    node_notices_.push_back(first.notice.node);
  }
  if (kernel_) kernel_(first.notice);
  return true;
}

bool FakeNotifier::deliver_one() { return deliver(queue_); }

bool FakeNotifier::deliver_name() { return deliver(names_); }

void FakeNotifier::deliver_all() {
  while (deliver_one() || deliver_name()) {
  }
}

void FakeNotifier::invalidate_attributes(NodeId node) {
  push(queue_, {Notice::Kind::kAttributes, node, {}});
}

void FakeNotifier::invalidate_data(NodeId node) { push(queue_, {Notice::Kind::kData, node, {}}); }

void FakeNotifier::extend(NodeId node, Place place) {
  queue_.push_back({.notice = {.kind = Notice::Kind::kExtend, .node = node, .name = {}},
                    .done = {},
                    .place = std::move(place)});
  if (!is_holding_) deliver_all();
}

void FakeNotifier::set_end(NodeId node, std::uint64_t end, std::byte last) {
  push(queue_, {Notice::Kind::kEnd, node, {}, end, last});
}

bool FakeNotifier::has_told(NodeId node, std::uint64_t since) {
  const auto is_about_it = [&](const Queued& one) { return !one.done && one.notice.node == node; };
  if (std::ranges::any_of(queue_, is_about_it)) return true;
  const auto first = node_notices_.begin() + static_cast<std::ptrdiff_t>(since);
  return std::find(first, node_notices_.end(), node) != node_notices_.end();
}

void FakeNotifier::invalidate_entry(NodeId parent, std::string name) {
  push(names_, {Notice::Kind::kEntry, parent, std::move(name)});
}

void FakeNotifier::invalidate_all_entries() {
  push(queue_, {Notice::Kind::kAllEntries, kNoNode, {}});
}

void FakeNotifier::when_told(std::move_only_function<void()> done) {
  if (queue_.empty()) return done();
  queue_.push_back({.notice = {}, .done = std::move(done)});
}

}  // namespace homefs::test
