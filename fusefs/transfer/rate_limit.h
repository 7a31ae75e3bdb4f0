// RateLimit: no more than so many bytes a second, over all jobs of a command.
//
// Owner: the command. Executor: thread-safe. Blocks: take().
#pragma once

#include <chrono>
#include <cstdint>

#include "protocol/guarded.h"

namespace homefs {

class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// 0: without a limit.
  explicit RateLimit(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

  /// Waits until `bytes` more may be sent.
  void take(std::uint64_t bytes);
  /// The same without the waiting: how long it would be.
  [[nodiscard]] std::chrono::nanoseconds reserve(std::uint64_t bytes, Time now);

  /// What one request should carry at most, so that the limit holds within a second.
  [[nodiscard]] std::uint32_t request_bytes_max() const;

 private:
  const std::uint64_t rate_;
  Guarded<Time> free_at_;
};

}  // namespace homefs
