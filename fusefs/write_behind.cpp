#include "fusefs/write_behind.h"

#include <algorithm>
#include <cstring>

namespace homefs {

std::uint64_t WriteQueue::end() const {
  std::uint64_t end = 0;
  for (const WriteSegment& segment : segments_) {
    if (segment.page_order == 0 && !segment.is_moved) end = std::max(end, segment.end());
  }
  return end;
}

bool WriteQueue::is_awaited() const {
  return std::ranges::none_of(segments_, [](const auto& one) { return one.waiters.empty(); });
}

bool WriteQueue::overlaps(std::uint64_t offset, std::uint64_t length) const {
  return std::any_of(segments_.begin(), segments_.end(), [&](const WriteSegment& segment) {
    return segment.offset < offset + length && offset < segment.end();
  });
}

bool WriteQueue::join(std::uint64_t offset, std::span<const std::byte> bytes, std::uint64_t growth,
                      bool is_append, std::uint64_t page_order, std::uint64_t session) {
  if (segments_.empty()) return false;
  WriteSegment& last = segments_.back();
  const std::size_t filled = last.data.bytes.size();
  const std::size_t joined = filled + bytes.size();
  if (last.is_sent || !last.is_joinable || !last.waiters.empty() || last.end() != offset ||
      last.is_append != is_append || last.page_order != page_order || last.session != session ||
      joined > kJoinedBytesMax) {
    return false;
  }
  if (joined > last.data.owner->capacity()) {
    auto larger = std::make_shared<Buffer>(std::min(joined * 2, kJoinedBytesMax));
    std::ranges::copy(last.data.bytes, larger->writable().begin());
    last.data.owner = std::move(larger);
  }
  Buffer& buffer = *last.data.owner;
  buffer.resize(joined);
  std::memcpy(buffer.writable().data() + filled, bytes.data(), bytes.size());
  last.data.bytes = buffer.bytes();
  last.growth += growth;
  last.is_growing |= growth > 0;
  bytes_ += bytes.size();
  return true;
}

WriteSegment& WriteQueue::push(std::uint64_t offset, Slice data, std::uint64_t growth,
                               bool is_joinable, bool is_append, std::uint64_t page_order) {
  HOMEFS_CHECK(!data.bytes.empty());
  bytes_ += data.bytes.size();
  WriteSegment& segment = segments_.emplace_back();
  segment.number = next_number_++;
  segment.offset = offset;
  segment.data = std::move(data);
  segment.growth = growth;
  segment.is_growing = growth > 0;
  segment.is_joinable = is_joinable;
  segment.is_append = is_append;
  segment.page_order = page_order;
  return segment;
}

bool WriteQueue::is_holding() const {
  if (segments_.empty() || !drain_waiters_.empty()) return false;
  const WriteSegment& last = segments_.back();
  return !last.is_sent && last.is_joinable && last.waiters.empty() &&
         last.data.bytes.size() < kJoinedBytesMax;
}

void WriteQueue::stop_holding() {
  if (!segments_.empty()) segments_.back().is_joinable = false;
}

std::uint64_t WriteQueue::growth() const {
  std::uint64_t sum = 0;
  for (const WriteSegment& segment : segments_) sum += segment.growth;
  return sum;
}

std::optional<WriteQueue::Outgoing> WriteQueue::next_to_send() {
  if (sent_ >= kSentMax) return std::nullopt;
  const WriteSegment* held = is_holding() ? &segments_.back() : nullptr;
  for (auto candidate = segments_.begin(); candidate != segments_.end(); ++candidate) {
    if (candidate->is_sent) continue;
    if (&*candidate == held) return std::nullopt;
    // In order: what cannot go yet holds back everything behind it.
    const bool is_blocked = std::any_of(segments_.begin(), candidate, [&](const WriteSegment& s) {
      // The server takes no more of a page than the file has by then.
      const bool is_within_growth = candidate->page_order != 0 && s.is_growing;
      return is_within_growth || (s.offset < candidate->end() && candidate->offset < s.end());
    });
    if (is_blocked) return std::nullopt;
    if (candidate->is_moved && sent_ > 0) return std::nullopt;  // they keep their order
    candidate->is_sent = true;
    ++sent_;
    return Outgoing{.number = candidate->number,
                    .offset = candidate->offset,
                    .data = candidate->data,
                    .is_alone = segments_.size() == 1,
                    .is_append = candidate->is_append,
                    .is_moved = candidate->is_moved,
                    .is_buffered = candidate->waiters.empty(),
                    .growth = growth(),
                    .page_order = candidate->page_order,
                    .session = candidate->session};
  }
  return std::nullopt;
}

WriteQueue::Finished WriteQueue::finish(std::uint64_t number, const Result<>& result) {
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [&](const WriteSegment& s) { return s.number == number; });
  HOMEFS_CHECK(found != segments_.end() && found->is_sent);
  Finished finished{.growth = found->growth,
                    .offset = found->offset,
                    .data = found->data,
                    .is_page = found->page_order != 0,
                    .wake = {}};
  if (!result && found->waiters.empty()) errors_.add(result.error());
  for (auto& waiter : found->waiters) {
    finished.wake.push_back([waiter = std::move(waiter), result]() mutable { waiter(result); });
  }
  bytes_ -= finished.data.bytes.size();
  --sent_;
  segments_.erase(found);
  const std::uint64_t first = segments_.empty() ? next_number_ : segments_.front().number;
  std::erase_if(drain_waiters_, [&](DrainWaiter& waiter) {
    // The oldest that is left decides: segments are answered in any order.
    if (first <= waiter.up_to) return false;
    finished.wake.push_back(std::move(waiter.wake));
    return true;
  });
  return finished;
}

bool WriteQueue::move_to_end(std::uint64_t number) {
  const auto found = std::ranges::find(segments_, number, &WriteSegment::number);
  HOMEFS_CHECK(found != segments_.end() && found->is_sent);
  if (!found->is_append || found->is_moved) return false;
  found->is_sent = false;
  --sent_;
  for (auto segment = found; segment != segments_.end(); ++segment) {
    if (segment->is_append && !segment->is_sent) segment->is_moved = true;
  }
  return true;
}

bool WriteQueue::when_drained(std::move_only_function<void()>& wake) {
  if (segments_.empty()) return false;
  drain_waiters_.push_back({segments_.back().number, std::move(wake)});
  return true;
}

}  // namespace homefs
