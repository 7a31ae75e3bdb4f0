#include "fusefs/transfer/rate_limit.h"

#include <algorithm>
#include <thread>

#include "protocol/block.h"
#include "protocol/limits.h"

namespace homefs {

std::chrono::nanoseconds RateLimit::reserve(std::uint64_t bytes, Time now) {
  if (rate_ == 0) return {};
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(rate_)));
  const auto free_at = free_at_.lock();
  // Time in which nothing was sent is not made up for.
  const Time begin = std::max(*free_at, now);
  *free_at = begin + time;
  return begin - now;
}

void RateLimit::take(std::uint64_t bytes) {
  const auto wait = reserve(bytes, std::chrono::steady_clock::now());
  if (wait.count() > 0) std::this_thread::sleep_for(wait);
}

std::uint32_t RateLimit::request_bytes_max() const {
  if (rate_ == 0) return kPayloadBytesMax;
  const std::uint64_t blocks = rate_ / 4 / kBlockBytes;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(blocks * kBlockBytes, kBlockBytes, kPayloadBytesMax));
}

}  // namespace homefs
