// The listings of large folders that a session is in the middle of: what the folder held when the
// first page was asked for, so that the pages are of one state, in one order, each name once.
//
// Bounded in number and in bytes; the one used longest ago goes first. A client whose listing went
// hears kStale for its cursor, and starts over.
//
// Owner: SessionHome. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "protocol/ids.h"
#include "server/home.h"

namespace homefs {

class ListingSnapshots {
 public:
  static constexpr std::size_t kSnapshotsMax = 16;
  /// 100,000 names of 20 bytes in each of 5 listings; one listing alone may be larger.
  static constexpr std::size_t kBytesMax = 32 * 1024 * 1024;

  using Entries = std::shared_ptr<const std::vector<FolderEntry>>;

  struct Position {
    Entries entries;
    std::size_t index = 0;
  };

  /// Keeps what is left of a listing, from `index` on. Returns the cursor for it, never 0.
  std::uint64_t keep(InodeNumber folder, Entries entries, std::size_t index);
  /// Where `cursor` goes on; entries is null when it is not known (any more) for this folder.
  Position find(InodeNumber folder, std::uint64_t cursor);
  /// The cursor `index` entries further on in the same listing.
  static std::uint64_t cursor_at(std::uint64_t cursor, std::size_t index);
  /// The listing is through.
  void drop(std::uint64_t cursor);

 private:
  struct Snapshot {
    std::uint64_t id;
    InodeNumber folder;
    Entries entries;
    std::size_t bytes;
  };

  std::mutex mutex_;
  // Guarded by mutex_:
  std::list<Snapshot> snapshots_;  // the one used last in front
  std::size_t bytes_ = 0;
  std::uint64_t next_id_ = 1;
};

}  // namespace homefs
