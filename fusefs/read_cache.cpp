#include "fusefs/read_cache.h"

#include <algorithm>

namespace homefs {

std::vector<ReadCache::Fetch> ReadCache::plan(ReadStream& stream, std::uint64_t offset,
                                              std::uint64_t length, std::uint64_t file_size,
                                              bool may_read_ahead) {
  std::vector<Fetch> fetches;
  const std::uint64_t end = offset + length;
  if (file_size <= kWholeFileBytes) {
    fetch_gaps(0, file_size, fetches);
    return fetches;
  }
  const bool goes_on =
      offset <= stream.next_offset + kDisorderBytes && end + kDisorderBytes >= stream.next_offset;
  const bool moves_on = end > stream.next_offset;
  if (!goes_on) {
    stream.window = 0;
    stream.next_offset = end;
  } else if (moves_on) {
    stream.window =
        stream.window == 0 ? kWindowBytesFirst : std::min(stream.window * 2, kWindowBytesMax);
    stream.next_offset = end;
  }
  fetch_gaps(offset, end, fetches);
  if (!may_read_ahead || stream.window == 0) return fetches;

  // Keep the window full, in large requests: go on only when half a window can be asked for.
  const std::uint64_t target = std::min(stream.next_offset + stream.window, file_size);
  std::uint64_t covered = stream.next_offset;
  for (auto chunk = chunk_at(covered); chunk != chunks_.end() && chunk->first <= covered; ++chunk) {
    covered = std::max(covered, chunk->first + chunk->second.length);
  }
  const bool is_worth_it =
      covered < target &&
      (target - covered >= std::min(stream.window / 2, kFetchBytes) || target == file_size);
  if (is_worth_it) fetch_gaps(covered, target, fetches);
  return fetches;
}

ReadCache::Chunks::const_iterator ReadCache::chunk_at(std::uint64_t offset) const {
  auto after = chunks_.upper_bound(offset);
  if (after == chunks_.begin()) return chunks_.end();
  const auto before = std::prev(after);
  return before->first + before->second.length > offset ? before : chunks_.end();
}

void ReadCache::fetch_gaps(std::uint64_t from, std::uint64_t to, std::vector<Fetch>& out) {
  while (from < to) {
    const auto covering = chunk_at(from);
    if (covering != chunks_.end()) {
      from = covering->first + covering->second.length;
      continue;
    }
    const auto next = chunks_.upper_bound(from);
    const std::uint64_t gap_end = next == chunks_.end() ? to : std::min(to, next->first);
    const std::uint64_t length = std::min(gap_end - from, kFetchBytes);
    Chunk& chunk = chunks_[from];
    chunk.length = length;
    chunk.generation = generation_;
    bytes_ += length;
    out.push_back({from, static_cast<std::uint32_t>(length), generation_});
    from += length;
  }
}

std::optional<std::vector<Slice>> ReadCache::collect(std::uint64_t offset,
                                                     std::uint64_t length) const {
  std::vector<Slice> slices;
  const std::uint64_t end = offset + length;
  while (offset < end) {
    const auto found = chunk_at(offset);
    if (found == chunks_.end() || !found->second.is_here) return std::nullopt;
    const Slice& data = found->second.data;
    const std::uint64_t inside = offset - found->first;
    if (inside >= data.bytes.size()) break;  // the file ends here
    const std::size_t count = std::min<std::uint64_t>(end - offset, data.bytes.size() - inside);
    slices.push_back(data.subslice(inside, count));
    offset += count;
    if (data.bytes.size() < found->second.length && inside + count == data.bytes.size()) break;
  }
  return slices;
}

bool ReadCache::when_fetched(std::uint64_t offset, std::uint64_t length, Wake& wake) {
  const std::uint64_t end = offset + length;
  while (offset < end) {
    const auto found = chunk_at(offset);
    if (found == chunks_.end()) return false;
    if (!found->second.is_here) {
      chunks_.find(found->first)->second.waiters.push_back(std::move(wake));
      return true;
    }
    offset = found->first + found->second.length;
  }
  return false;
}

std::vector<std::move_only_function<void()>> ReadCache::complete(const Fetch& fetch,
                                                                 Result<Slice> data) {
  std::vector<std::move_only_function<void()>> wake;
  const auto found = chunks_.find(fetch.offset);
  if (found == chunks_.end() || found->second.generation != fetch.generation) return wake;
  Chunk& chunk = found->second;
  const Result<> result = data ? Result<>() : std::unexpected(data.error());
  for (Wake& waiter : chunk.waiters) {
    wake.push_back([waiter = std::move(waiter), result]() mutable { waiter(result); });
  }
  chunk.waiters.clear();
  if (data) {
    chunk.is_here = true;
    chunk.data = std::move(*data);
  } else {
    bytes_ -= chunk.length;
    chunks_.erase(found);
  }
  return wake;
}

void ReadCache::put_whole(Slice data) {
  if (!chunks_.empty()) return;
  Chunk& chunk = chunks_[0];
  chunk.length = data.bytes.size();
  chunk.generation = generation_;
  chunk.is_here = true;
  chunk.data = std::move(data);
  bytes_ += chunk.length;
}

std::vector<std::move_only_function<void()>> ReadCache::clear() {
  std::vector<std::move_only_function<void()>> wake;
  for (auto& [offset, chunk] : chunks_) {
    // They look again, and find that it is not here.
    for (Wake& waiter : chunk.waiters) {
      wake.push_back([waiter = std::move(waiter)]() mutable { waiter({}); });
    }
  }
  chunks_.clear();
  bytes_ = 0;
  ++generation_;
  return wake;
}

void ReadCache::drop_before(std::uint64_t offset) {
  while (!chunks_.empty()) {
    const auto first = chunks_.begin();
    if (first->first + first->second.length > offset || !first->second.is_here) return;
    bytes_ -= first->second.length;
    chunks_.erase(first);
  }
}

}  // namespace homefs
