// RateLimit: no more than so many bytes a second, over all jobs of a command.
//
// Owner: the command. Executor: thread-safe. Blocks: take().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "protocol/guarded.h"

namespace homefs {

class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// 0: without a limit. `is_stopped`: nothing is sent from then on; or null.
  explicit RateLimit(std::uint64_t bytes_per_second, const std::atomic<bool>* is_stopped = nullptr)
      : rate_(bytes_per_second), is_stopped_(is_stopped) {}

  /// Waits until `bytes` more may be sent. False: they may not be, the end was asked for.
  [[nodiscard]] bool take(std::uint64_t bytes);
  /// The same without the waiting: how long it would be.
  [[nodiscard]] std::chrono::nanoseconds reserve(std::uint64_t bytes, Time now);

  /// What one request should carry at most, so that the limit holds within a second.
  [[nodiscard]] std::uint32_t request_bytes_max() const;

 private:
  const std::uint64_t rate_;
  const std::atomic<bool>* const is_stopped_;
  Guarded<Time> free_at_;
};

}  // namespace homefs
