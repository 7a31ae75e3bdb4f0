// The descriptors that are kept open for inodes, in all homes of the process: the ones used last,
// up to a limit. How one is opened is InodeTable's; here is only which are kept.
//
// Owner: shared by the homes of the process. Executor: thread-safe. Blocks: never (what is evicted
// is closed by the thread that evicts, outside the lock).
#pragma once

#include <cstddef>
#include <list>
#include <mutex>

#include "server/inode.h"
#include "server/posix_disk.h"

namespace homefs {

class DescriptorCache {
 public:
  /// A quarter of what RLIMIT_NOFILE leaves, at most this: the rest is for connections, and for
  /// descriptors of running operations, which stay open over their eviction.
  static constexpr std::size_t kDescriptorsMaxDefault = 4096;

  /// `descriptors_max` 0 = the default. Precondition: else at least 1.
  explicit DescriptorCache(std::size_t descriptors_max = 0);
  ~DescriptorCache();
  DescriptorCache(const DescriptorCache&) = delete;
  DescriptorCache& operator=(const DescriptorCache&) = delete;

  /// The inode's descriptor, or null; it counts as used now.
  disk::FdRef find(Inode& inode);
  /// Keeps `descriptor` for `inode`, and returns the one that is kept: another thread's, if that
  /// was faster.
  disk::FdRef put(Inode& inode, UniqueFd descriptor);
  void drop(Inode& inode);
  /// Closes half of what is kept: the process has no descriptors left.
  void shrink();

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t descriptors_max() const { return descriptors_max_; }

 private:
  std::list<disk::FdRef> evict_down_to(std::size_t count);

  const std::size_t descriptors_max_;
  mutable std::mutex mutex_;
  std::list<Inode*> used_;  // guarded by mutex_; the one used last in front
};

}  // namespace homefs
