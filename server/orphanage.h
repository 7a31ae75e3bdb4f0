// The orphanage of a home: where files live that have no name any more and are still open
// somewhere. Each lies under its inode number in a folder outside of the served tree, so that it
// outlives a kill of the server. What has other names left may have a link here too, because no
// other way to it is known; Home takes these links off the counts that clients see.
//
// An orphan goes when no session knows it any more. One with a *date* waits for sessions that are
// not back after a restart of the server: until then it stays, be it known to others or to nobody.
//
// Owner: Home. Executor: thread-safe; what changes it is called under the table's names_mutex().
// Blocks: on the disk.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/ids.h"
#include "protocol/result.h"
#include "server/posix_disk.h"

namespace homefs {

class Orphanage {
 public:
  using Clock = std::chrono::steady_clock;
  /// Goes with the last session that knows it.
  static constexpr auto kNoDate = Clock::time_point::max();
  /// As long as sessions are expected: until set_date_of_undecided().
  static constexpr auto kUndecided = kNoDate - Clock::duration(1);

  explicit Orphanage(disk::FdRef folder) : folder_(std::move(folder)) {}

  /// Finds what an earlier run left behind. Leftovers stay for `linger` from now on.
  Result<void> load(Clock::time_point now, std::chrono::seconds linger);

  /// Gives the open file `fd` a link here before its name goes.
  Result<void> hold(int fd, InodeNumber number);
  /// Removes the link. The file is gone then, unless it has other names.
  Result<void> remove(InodeNumber number);

  /// A session knows it, or may: from now on this is its date, or kNoDate.
  void adopt(InodeNumber number, Clock::time_point kept_until);
  /// No session is expected any longer.
  void set_date_of_undecided(Clock::time_point kept_until);

  /// Whether it has a link here. Cheap while there are no orphans.
  [[nodiscard]] bool has(InodeNumber number) const;
  /// A true stat (disk_mode.h).
  Result<disk::Stat> stat(InodeNumber number) const;
  /// Whether it is there, and goes when nobody knows it.
  [[nodiscard]] bool may_go(InodeNumber number, Clock::time_point now) const;
  /// Those whose date is over.
  [[nodiscard]] std::vector<InodeNumber> overdue(Clock::time_point now) const;
  /// Whether one has a date.
  [[nodiscard]] bool has_waiting() const;
  [[nodiscard]] std::size_t size() const { return count_.load(std::memory_order_relaxed); }

  /// A name for something that is being made here before it is renamed to where it belongs.
  std::string name_in_making();
  [[nodiscard]] const disk::FdRef& folder() const { return folder_; }

 private:
  void insert(InodeNumber number, Clock::time_point kept_until);

  const disk::FdRef folder_;
  std::atomic<std::size_t> count_{0};
  std::atomic<std::uint64_t> made_{0};
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, Clock::time_point> kept_until_;  // guarded by mutex_
};

}  // namespace homefs
