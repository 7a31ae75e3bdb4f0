#include "server/thread_counts.h"

#include <algorithm>
#include <thread>

namespace homefs {

IoThreads::Counts counts_of_threads(std::size_t configured) {
  const std::size_t count =
      configured != 0
          ? std::max<std::size_t>(configured, 2)
          : std::max<std::size_t>(8, 2 * std::size_t{std::thread::hardware_concurrency()});
  return {.net = count, .io = count};
}

std::size_t digest_threads(std::size_t threads) { return std::max<std::size_t>(2, threads / 4); }

SessionLimits session_limits(std::size_t threads, std::size_t bulk_connections_max) {
  const std::size_t running = std::max<std::size_t>(1, threads / 2);
  return {.running_max = running,
          .slow_max = std::max<std::size_t>(1, running / 2),
          .bulk_connections_max = std::min<std::size_t>(bulk_connections_max, kBulkConnectionsMax)};
}

}  // namespace homefs
