#include "fusefs/read_cache.h"

#include <algorithm>

namespace homefs {

void ReadMemory::shrink() {
  while (bytes_ > bytes_max_ && uses_.size() > 1) {
    const Use oldest = uses_.front();
    oldest.cache->drop(oldest.cache->chunks_.find(oldest.offset));
  }
}

ReadCache::~ReadCache() {
  for (auto chunk = chunks_.begin(); chunk != chunks_.end();) chunk = drop(chunk);
}

std::vector<ReadCache::Fetch> ReadCache::plan(ReadStream& stream, std::uint64_t offset,
                                              std::uint64_t length, std::uint64_t file_size,
                                              bool may_read_ahead) {
  std::vector<Fetch> fetches;
  const std::uint64_t end = offset + length;
  if (file_size <= kWholeFileBytes) {
    fetch_gaps(stream, 0, file_size, fetches);
    const bool is_one = fetches.size() == 1 && fetches.front().length == file_size;
    if (is_one) chunks_.begin()->second.is_whole_file = true;
    return fetches;
  }
  const std::uint64_t window_max =
      std::min<std::uint64_t>(kWindowBytesMax, memory_.bytes_max() / 4);
  const bool goes_on =
      offset <= stream.next_offset + kDisorderBytes && end + kDisorderBytes >= stream.next_offset;
  const bool moves_on = end > stream.next_offset;
  if (!goes_on) {
    stream.window = 0;
    stream.next_offset = end;
  } else if (moves_on) {
    stream.window =
        stream.window == 0 ? kWindowBytesFirst : std::min(stream.window * 2, window_max);
    stream.next_offset = end;
  }
  fetch_gaps(stream, offset, end, fetches);
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
  if (is_worth_it) fetch_gaps(stream, covered, target, fetches);
  return fetches;
}

ReadCache::Chunks::iterator ReadCache::chunk_at(std::uint64_t offset) {
  auto after = chunks_.upper_bound(offset);
  if (after == chunks_.begin()) return chunks_.end();
  const auto before = std::prev(after);
  return before->first + before->second.length > offset ? before : chunks_.end();
}

void ReadCache::fetch_gaps(const ReadStream& stream, std::uint64_t from, std::uint64_t to,
                           std::vector<Fetch>& out) {
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
    chunk.fetch = ++memory_.last_fetch_;
    chunk.stream = stream.id;
    out.push_back({from, static_cast<std::uint32_t>(length), chunk.fetch});
    from += length;
  }
}

std::optional<std::vector<Slice>> ReadCache::collect(std::uint64_t offset, std::uint64_t length,
                                                     Keep keep) {
  std::vector<Slice> slices;
  const std::uint64_t begin = offset;
  const std::uint64_t end = offset + length;
  auto first = chunks_.end();
  while (offset < end) {
    const auto found = chunk_at(offset);
    if (found == chunks_.end() || !found->second.is_here) return std::nullopt;
    if (first == chunks_.end()) first = found;
    const Slice& data = found->second.data;
    const std::uint64_t inside = offset - found->first;
    if (inside >= data.bytes.size()) break;  // the file ends here
    const std::size_t count = std::min<std::uint64_t>(end - offset, data.bytes.size() - inside);
    slices.push_back(data.subslice(inside, count));
    offset += count;
    if (data.bytes.size() < found->second.length && inside + count == data.bytes.size()) break;
  }
  if (keep == Keep::kOnce) {
    drop_given(first, begin, end);
  } else if (first != chunks_.end()) {
    memory_.uses_.splice(memory_.uses_.end(), memory_.uses_, first->second.use);
  }
  return slices;
}

// The kernel asks again only for what it has dropped, which costs a fetch then.
void ReadCache::drop_given(Chunks::iterator chunk, std::uint64_t offset, std::uint64_t end) {
  while (chunk != chunks_.end() && chunk->first < end) {
    const std::uint64_t from = std::max(offset, chunk->first);
    const std::uint64_t to = std::min(end, chunk->first + chunk->second.length);
    chunk->second.given_bytes += to - from;
    const bool is_given = chunk->second.given_bytes >= chunk->second.length;
    chunk = is_given && !chunk->second.is_whole_file ? drop(chunk) : std::next(chunk);
  }
}

bool ReadCache::when_fetched(std::uint64_t offset, std::uint64_t length, Wake& wake) {
  const std::uint64_t end = offset + length;
  while (offset < end) {
    const auto found = chunk_at(offset);
    if (found == chunks_.end()) return false;
    if (!found->second.is_here) {
      found->second.waiters.push_back(std::move(wake));
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
  if (found == chunks_.end() || found->second.fetch != fetch.number || found->second.is_here) {
    return wake;
  }
  if (data && data->bytes.size() > found->second.length) {
    data = fail(Status::kProtocolError, "more data than was asked for");
  }
  const Result<> result = data ? Result<>() : std::unexpected(data.error());
  for (Wake& waiter : found->second.waiters) {
    wake.push_back([waiter = std::move(waiter), result]() mutable { waiter(result); });
  }
  found->second.waiters.clear();
  if (data) {
    fill(found, *std::move(data));
  } else {
    chunks_.erase(found);
  }
  return wake;
}

void ReadCache::put_whole(Slice data) {
  if (!chunks_.empty()) return;
  const auto chunk = chunks_.try_emplace(0).first;
  chunk->second.length = data.bytes.size();
  chunk->second.is_whole_file = true;
  fill(chunk, std::move(data));
}

void ReadCache::fill(Chunks::iterator chunk, Slice data) {
  memory_.bytes_ += cost_of(data);
  chunk->second.is_here = true;
  chunk->second.data = std::move(data);
  chunk->second.use = memory_.uses_.insert(memory_.uses_.end(), {this, chunk->first});
  memory_.shrink();
}

ReadCache::Chunks::iterator ReadCache::drop(Chunks::iterator chunk) {
  if (chunk->second.is_here) {
    memory_.bytes_ -= cost_of(chunk->second.data);
    memory_.uses_.erase(chunk->second.use);
  }
  return chunks_.erase(chunk);
}

// A buffer of the pool is kept whole by a part of it.
std::size_t ReadCache::cost_of(const Slice& data) {
  return data.bytes.size() > BufferPool::kSmallBytesMax ? data.owner->capacity()
                                                        : data.bytes.size();
}

std::vector<std::move_only_function<void()>> ReadCache::clear() {
  std::vector<std::move_only_function<void()>> wake;
  for (auto chunk = chunks_.begin(); chunk != chunks_.end(); chunk = drop(chunk)) {
    // They look again, and find that it is not here.
    for (Wake& waiter : chunk->second.waiters) {
      wake.push_back([waiter = std::move(waiter)]() mutable { waiter({}); });
    }
  }
  return wake;
}

void ReadCache::drop_passed(const ReadStream& stream, std::uint64_t offset) {
  if (offset <= kDisorderBytes) return;
  const std::uint64_t passed = offset - kDisorderBytes;
  for (auto chunk = chunks_.begin();
       chunk != chunks_.end() && chunk->first + chunk->second.length <= passed;) {
    const bool is_over = chunk->second.is_here && chunk->second.stream == stream.id;
    chunk = is_over ? drop(chunk) : std::next(chunk);
  }
}

}  // namespace homefs
