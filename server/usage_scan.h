// UsageScan: counts what a home uses while the home is served, and comes out exact.
//
// The sum is kept over the set of inodes that were counted so far. A thread walks the tree and
// counts what it meets; whoever changes something counts what it is going to touch first, in its
// state before, and then applies its change to the sum. So it does not matter whether the walk
// comes before or after a change, and what is moved from where the walk was not yet to where it
// was already is counted by the move. While it runs, the changes that matter to the sum are made
// one at a time, and counting an inode is one of them.
//
// Owner: Home. Executor: thread-safe; one thread of its own while it runs ("usage-scan").
// Blocks: change() for the change that runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "server/inode_table.h"
#include "server/posix_disk.h"
#include "server/quota.h"

namespace homefs {

class UsageScan {
 public:
  /// The home's parts, which outlive the scan.
  UsageScan(InodeTable& inodes, Quota& quota, disk::FdRef orphans);
  /// Stops a walk that runs; the use stays unknown then.
  ~UsageScan();
  UsageScan(const UsageScan&) = delete;
  UsageScan& operator=(const UsageScan&) = delete;

  /// Counts from nothing. Nothing happens when a count runs already.
  void start(const InodeRef& root, const Usage& estimate);
  /// Stops the walk, and waits for it.
  void stop();

  /// Held while a change is made that matters to the sum. While no count runs it is nothing.
  class Change {
   public:
    /// What `stat` was read of is going to be changed, removed or moved: counts it if it was not.
    /// `inode_or_null` is needed for folders.
    void touch(const disk::Stat& stat, const InodeRef& inode_or_null = nullptr);
    /// It was made just now, and its reservation was settled: it counts already.
    void made(const disk::Stat& stat);

   private:
    friend class UsageScan;
    explicit Change(UsageScan& scan);
    UsageScan& scan_;
    std::unique_lock<std::mutex> lock_;  // not held: no count runs
  };
  [[nodiscard]] Change change() { return Change(*this); }

 private:
  void run(const std::stop_token& stop);
  void walk(const std::stop_token& stop, const InodeRef& folder);
  void count_entries(const InodeRef& folder, const disk::FdRef& descriptor,
                     std::span<const std::string> names);
  void count_entry(const InodeRef& folder, const disk::FdRef& descriptor, const Name& name);
  void count_orphans(const std::stop_token& stop);
  void count(const disk::Stat& stat, const InodeRef& inode_or_null);

  InodeTable& inodes_;
  Quota& quota_;
  const disk::FdRef orphans_;
  std::atomic<bool> is_running_{false};
  std::mutex mutex_;
  // Guarded by mutex_:
  std::unordered_set<std::uint64_t> counted_;
  std::deque<InodeRef> folders_;  // whose entries are still to be counted
  std::mutex thread_mutex_;       // guards thread_; taken before mutex_
  std::jthread thread_;
};

}  // namespace homefs
