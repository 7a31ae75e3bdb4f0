// SyncDebt: what the changes of one session in the sequence have touched since it has synced last.
// An fsync covers "every change in the sequence", but a file system syncs the one inode that it is
// asked for: the folders of a rename are none of its business.
//
// Bounded: over kInodesMax the file system is synced as a whole.
// Owner: SessionHome. Executor: thread-safe. Blocks: settle() on the disk, and while another does.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <unordered_set>

#include "protocol/result.h"
#include "server/inode.h"

namespace homefs {

class SyncDebt {
 public:
  static constexpr std::size_t kInodesMax = 256;

  void add(std::span<const InodeRef> inodes);
  /// What was touched is not known: the session is of an earlier run of the server.
  void add_all();

  /// How debts are paid.
  struct Payment {
    std::function<Result<void>(const InodeRef&)> sync_inode;
    std::function<Result<void>()> sync_all;
  };
  /// Pays what was added before the call; at once when that is nothing. After an error it is owed
  /// still.
  Result<void> settle(const Payment& payment);
  void clear();
  [[nodiscard]] std::size_t size() const;

 private:
  struct Due {
    std::unordered_set<InodeRef> inodes;
    bool is_all = false;
  };

  std::mutex settling_mutex_;  // who comes second waits: what he asks for may be under way
  mutable std::mutex mutex_;   // a leaf
  Due due_;                    // guarded by mutex_
};

}  // namespace homefs
