// ClientState: everything the client core knows, behind one lock (Guarded<ClientState>).
//
// Critical sections take microseconds: nothing is sent, hashed or awaited in them, and whoever is
// to be woken is woken after the lock is given back.
//
// Owner: FileSystem. Executor: whoever holds the lock. Blocks: never.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fusefs/names_under_way.h"
#include "fusefs/node_cache.h"
#include "fusefs/scan.h"
#include "fusefs/unsynced_changes.h"
#include "protocol/messages.h"

namespace homefs {

/// What is to be called once the lock is given back.
using WakeList = std::vector<std::move_only_function<void()>>;

inline void wake_all(WakeList&& list) {
  for (auto& wake : list) wake();
}

/// How many bytes of the quota writes may take without asking. Bytes of writes that are not
/// acknowledged count against the grant of the newest answer: that errs on the safe side only.
class GrantAccount {
 public:
  [[nodiscard]] bool covers(std::uint64_t growth) const {
    return growth == 0 || last_.granted >= unacknowledged_ + growth;
  }
  void take(std::uint64_t growth) { unacknowledged_ += growth; }
  /// What of it a change may use that is left to the server: nothing that a program was promised.
  /// Taken until settle().
  std::uint64_t offer(std::uint64_t growth) {
    const std::uint64_t left = last_.granted - std::min(last_.granted, unacknowledged_);
    const std::uint64_t offered = std::min(growth, left);
    unacknowledged_ += offered;
    return offered;
  }
  void settle(std::uint64_t growth) { unacknowledged_ -= growth; }
  void update(const GrantState& state) {
    if (state.stamp >= last_.stamp) last_ = state;
  }
  /// What was granted is void. Unless the stamps go on, they start again.
  void reset(bool stamps_go_on) {
    last_.granted = 0;
    if (!stamps_go_on) last_.stamp = 0;
  }
  [[nodiscard]] const GrantState& last() const { return last_; }
  [[nodiscard]] std::uint64_t unacknowledged() const { return unacknowledged_; }

 private:
  GrantState last_;
  std::uint64_t unacknowledged_ = 0;
};

struct OpenFile {
  NodeId node{};
  bool is_writable = false;
  bool is_mappable = false;       ///< for reading and writing: stores through mmap(2) are possible
  bool is_direct = false;         ///< the kernel writes without pages
  bool has_pages = true;          ///< the kernel keeps what is read
  std::uint64_t errors_seen = 0;  ///< see ErrorSequence
  ReadStream stream;
};

struct OpenFolder {
  NodeId node{};
  std::shared_ptr<const FolderSnapshot> listing;  ///< null: it was not there at the opening
  bool was_read = false;  ///< reading from offset 0 again means a new listing
};

/// An opendir(2) that waits for its listing, though not for a server that is silent.
struct FolderOpening {
  std::chrono::steady_clock::time_point since;
  bool is_listed = false;
  Result<std::shared_ptr<const FolderSnapshot>> listing;  ///< when it is
  std::move_only_function<void()> wake;                   ///< empty: nobody waits (any more)
};

/// Names of a file that the server is being asked to remove.
struct PendingRemoval {
  int count = 0;
  WakeList waiters;  ///< who wants to open the file, and has to know whether it is there
};

/// A small file whose data was not asked for yet.
struct Prefetched {
  NodeId node{};
  std::size_t bytes = 0;  ///< counted, whatever the file's size has become
};

struct ClientState {
  ReadMemory read_memory;  ///< before the nodes, which use it
  NodeCache nodes;
  NamesUnderWay names;
  UnsyncedChanges unsynced;
  GrantAccount grant;
  StatfsReply statfs;
  /// Questions for it, by the link's number, oldest first: also such as have been answered.
  std::deque<std::pair<std::uint64_t, std::chrono::steady_clock::time_point>> statfs_asked;
  bool is_shared = false;          ///< another session has the home too
  std::uint64_t mode_changes = 0;  ///< grows when is_shared changes
  /// mode_changes when begin_sharing() was last done: as long as they are the same the kernel knows
  /// that the home is shared, and has told us all that was stored before.
  std::uint64_t shared_since = ~std::uint64_t{0};
  bool maps_direct_files = false;  ///< the kernel does; see let_kernel_map_direct_files()
  bool drops_all_names = false;    ///< likewise; see let_kernel_keep_absent_names()
  /// What a kernel that does not was let keep, and no folder and no place of a node says any more:
  /// further names of files. Until kernel_names().
  std::vector<std::pair<NodeId, std::string>> names_in_doubt;
  bool is_open_known = true;    ///< false: the server was restarted since its last mode
  std::uint64_t coherence = 0;  ///< grows with every change that another session made
  /// The order of the newest change of another session that the kernel was told of; kUnknownOrder:
  /// changes may have been missed.
  std::uint64_t told_order = kUnknownOrder;
  std::uint64_t heard_order = 0;   ///< of the newest one that we were told of
  std::uint64_t told_epoch = 0;    ///< grows when changes may have been missed
  bool is_telling_order = false;   ///< told_order follows when the kernel was told
  std::uint32_t voids_untold = 0;  ///< times all became void, and the kernel is being told
  static constexpr std::uint64_t kUnknownOrder = ~std::uint64_t{0};
  std::unordered_map<NodeId, std::uint32_t> mappable;  ///< handles that a program may store through
  std::uint64_t folder_changes = 0;  ///< grows with every change of a cached folder's entries
  std::uint64_t xattr_changes = 0;   ///< grows when a setxattr(2) begins, and when it ends
  std::size_t trim_above = 0;        ///< nodes, before names are given up again
  std::unordered_map<std::uint64_t, OpenFile> files;  ///< by handle
  std::unordered_map<std::uint64_t, OpenFolder> folders;
  std::deque<std::shared_ptr<FolderOpening>> openings;  ///< oldest first; also such as are over
  std::unordered_map<NodeId, PendingRemoval>
      removals;  ///< of files that were not open when it was asked
  std::uint64_t next_handle = 1;
  std::size_t dirty_bytes = 0;  ///< of all files, not acknowledged
  std::vector<NodeId> held;     ///< files that may hold writes back (WriteQueue)
  WakeList room_waiters;        ///< writers that wait until dirty_bytes falls
  Scan scan;
  std::deque<Prefetched> prefetched;  ///< small files read ahead or just written, oldest first
  std::size_t prefetched_bytes = 0;   ///< of all of them
};

}  // namespace homefs
