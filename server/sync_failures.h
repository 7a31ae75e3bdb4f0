// SyncFailures: with what syncs of one inode have failed, so that every session that knows it hears
// of it. The kernel tells an error of writing back once for each open file, and all sessions share
// one (DescriptorCache): without this only the first to ask would hear of what all have lost.
//
// Owner: the Inode. Executor: thread-safe. Blocks: run() on the disk, and while another run() does.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "protocol/result.h"

namespace homefs {

class SyncFailures {
 public:
  /// Returns what `sync()` does, a Result<void>. Of an inode one runs at a time: when one succeeds
  /// because another has got the error out of the kernel, that one has been counted.
  template <class Sync>
  Result<void> run(Sync&& sync) {
    const std::lock_guard lock(mutex_);
    const Result<void> done = sync();
    if (!done) {
      last_.store(done.error().status);
      count_.fetch_add(1);
    }
    return done;
  }

  /// How many have failed since the inode is known; for telling later whether there were more.
  [[nodiscard]] std::uint32_t count() const { return count_.load(); }
  /// With what the last one has. Precondition: count() is not 0.
  [[nodiscard]] Status last() const { return last_.load(); }

 private:
  std::mutex mutex_;  // held over a sync
  std::atomic<Status> last_{Status::kOk};
  std::atomic<std::uint32_t> count_{0};
};

}  // namespace homefs
