// What is remembered of a home's use over a restart of the server, so that it need not be counted.
//
// Interface: the server's database is the real one; MemoryUsageStore is for tests and for homes
// that nothing is remembered of.
// Owner: the home's options and whoever made it. Executor: thread-safe. Blocks: on the database.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "protocol/result.h"

namespace homefs {

/// The use of a home: what its quota is measured against.
struct Usage {
  std::uint64_t bytes = 0;  ///< sum of the sizes of all regular files, hard links once, and orphans
  std::uint64_t files = 0;  ///< inodes of every type below the root, and orphans
  bool operator==(const Usage&) const = default;
};

struct UsageCheckpoint {
  Usage usage;
  /// Saved by an orderly stop, and nothing has served the home since: `usage` is exact.
  bool is_clean = false;
  bool operator==(const UsageCheckpoint&) const = default;
};

class UsageStore {
 public:
  virtual ~UsageStore() = default;
  /// What was saved last; nothing for a home that was never saved.
  virtual Result<std::optional<UsageCheckpoint>> load() = 0;
  /// Durable when it returns: a home that is marked as not clean must not come back as clean.
  virtual Result<void> save(const UsageCheckpoint& checkpoint) = 0;
};

class MemoryUsageStore : public UsageStore {
 public:
  Result<std::optional<UsageCheckpoint>> load() override {
    const std::lock_guard lock(mutex_);
    return checkpoint_;
  }
  Result<void> save(const UsageCheckpoint& checkpoint) override {
    const std::lock_guard lock(mutex_);
    checkpoint_ = checkpoint;
    return {};
  }

 private:
  std::mutex mutex_;
  std::optional<UsageCheckpoint> checkpoint_;  // guarded by mutex_
};

}  // namespace homefs
