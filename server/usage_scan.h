// UsageScan: counts what a home uses while the home is served, and comes out exact.
//
// The sum is kept over the set of inodes that were counted so far. A thread walks the tree and
// counts what it meets; whoever changes something counts what it is going to touch first, in its
// state before, and then applies its change to the sum. So it does not matter whether the walk
// comes before or after a change, and what is moved from where the walk was not yet to where it
// was already is counted by the move. While it runs, the changes that matter to the sum are made
// one at a time, and counting an inode is one of them. It begins between two changes.
//
// A use that is not known is counted as fast as the disk can. A recount of one that is, which stays
// in force meanwhile, takes a fourth of the time.
//
// Owner: Home. Executor: thread-safe; one thread of its own while it runs ("usage-scan").
// Blocks: change() for the change that runs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
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
  /// Counts beside a use that is known. When a count runs already another follows it.
  void start_recount(const InodeRef& root);
  /// Stops the walk, and waits for it. Whoever waits for the use waits no longer.
  void stop();

  /// How many folders and files the last complete count could not look at.
  [[nodiscard]] std::size_t missed() const { return missed_.load(); }
  /// How long the last complete count has taken.
  [[nodiscard]] std::chrono::nanoseconds last_took() const {
    return std::chrono::nanoseconds(last_took_ns_.load());
  }
  [[nodiscard]] bool is_running() const { return is_running_.load(); }
  /// Until no count runs. Blocks.
  void wait() const { is_running_.wait(true); }

  /// Held while a change is made that matters to the sum: a count that begins waits for those that
  /// are under way.
  class Change {
   public:
    Change(Change&& other) noexcept;
    Change& operator=(Change&&) = delete;
    ~Change();
    /// What `stat` was read of is going to be changed, removed or moved: counts it if it was not.
    /// `inode_or_null` is needed for folders.
    void touch(const disk::Stat& stat, const InodeRef& inode_or_null = nullptr);
    /// It was made just now, and its reservation was settled: it counts already.
    void made(const disk::Stat& stat);

   private:
    friend class UsageScan;
    explicit Change(UsageScan& scan);
    UsageScan* scan_;                    // null: moved from
    std::unique_lock<std::mutex> lock_;  // not held: no count runs
  };
  [[nodiscard]] Change change() { return Change(*this); }

 private:
  void start_thread(const InodeRef& root);
  void wait_for_changes();
  void run(const std::stop_token& stop, const InodeRef& root);
  void begin_count(const InodeRef& root);
  InodeRef next_folder(const std::stop_token& stop, const InodeRef& root,
                       std::chrono::steady_clock::time_point start);
  Result<disk::FdRef> open(const std::stop_token& stop, const InodeRef& folder);
  void rest(const std::stop_token& stop, std::chrono::steady_clock::time_point since);
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
  std::atomic<std::size_t> changes_{0};  // under way, that began while no count ran
  std::atomic<std::size_t> missed_{0};
  std::atomic<std::int64_t> last_took_ns_{0};
  std::mutex mutex_;
  std::condition_variable_any resting_;  // the walk's: its stop ends it
  // Guarded by mutex_:
  std::unordered_set<std::uint64_t> counted_;
  std::deque<InodeRef> folders_;  // whose entries are still to be counted
  bool is_recount_ = false;       // the use is known, and the walk has time
  bool is_wanted_again_ = false;
  std::size_t missing_ = 0;
  std::mutex thread_mutex_;  // guards thread_; taken before mutex_
  std::jthread thread_;
};

}  // namespace homefs
