#include "server/listing_snapshots.h"

#include <algorithm>
#include <utility>

namespace homefs {
namespace {

// A cursor: the number of the listing, and how many of its entries were sent.
constexpr unsigned kIndexBits = 32;

std::uint64_t id_of(std::uint64_t cursor) { return cursor >> kIndexBits; }
std::size_t index_of(std::uint64_t cursor) { return cursor & ((1ull << kIndexBits) - 1); }

std::size_t bytes_of(const std::vector<FolderEntry>& entries) {
  std::size_t bytes = 0;
  for (const FolderEntry& entry : entries) bytes += sizeof entry + entry.name.size();
  return bytes;
}

}  // namespace

std::uint64_t ListingSnapshots::keep(InodeNumber folder, Entries entries, std::size_t index) {
  const std::size_t bytes = bytes_of(*entries);
  std::list<Snapshot> dropped;  // freed after the lock
  const std::lock_guard lock(mutex_);
  while (!snapshots_.empty() &&
         (snapshots_.size() >= kSnapshotsMax || bytes_ + bytes > kBytesMax)) {
    bytes_ -= snapshots_.back().bytes;
    dropped.splice(dropped.begin(), snapshots_, std::prev(snapshots_.end()));
  }
  const std::uint64_t id = next_id_++;
  snapshots_.push_front(
      {.id = id, .folder = folder, .entries = std::move(entries), .bytes = bytes});
  bytes_ += bytes;
  return id << kIndexBits | index;
}

std::uint64_t ListingSnapshots::cursor_at(std::uint64_t cursor, std::size_t index) {
  return id_of(cursor) << kIndexBits | index;
}

ListingSnapshots::Position ListingSnapshots::find(InodeNumber folder, std::uint64_t cursor) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(snapshots_, id_of(cursor), &Snapshot::id);
  if (found == snapshots_.end() || found->folder != folder ||
      index_of(cursor) > found->entries->size()) {
    return {};
  }
  snapshots_.splice(snapshots_.begin(), snapshots_, found);
  return {.entries = found->entries, .index = index_of(cursor)};
}

void ListingSnapshots::drop(std::uint64_t cursor) {
  std::list<Snapshot> dropped;
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(snapshots_, id_of(cursor), &Snapshot::id);
  if (found == snapshots_.end()) return;
  bytes_ -= found->bytes;
  dropped.splice(dropped.begin(), snapshots_, found);
}

}  // namespace homefs
