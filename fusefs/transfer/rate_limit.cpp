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

bool RateLimit::take(std::uint64_t bytes) {
  constexpr std::chrono::nanoseconds kStep = std::chrono::milliseconds(50);  // to the next look
  const Time now = std::chrono::steady_clock::now();
  const Time until = now + reserve(bytes, now);
  const auto has_to_stop = [this] { return is_stopped_ != nullptr && *is_stopped_; };
  while (!has_to_stop()) {
    const auto left = until - std::chrono::steady_clock::now();
    if (left.count() <= 0) return true;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, kStep));
  }
  return false;
}

std::uint32_t RateLimit::request_bytes_max() const {
  if (rate_ == 0) return kPayloadBytesMax;
  const std::uint64_t blocks = rate_ / 4 / kBlockBytes;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(blocks * kBlockBytes, kBlockBytes, kPayloadBytesMax));
}

}  // namespace homefs
