#include "server/io_threads.h"

#include <pthread.h>

#include <algorithm>
#include <string>

namespace homefs {

std::size_t io_thread_count(std::size_t configured) {
  if (configured != 0) return std::max<std::size_t>(configured, 2);
  return std::max<std::size_t>(8, 2 * std::size_t{std::thread::hardware_concurrency()});
}

SessionLimits session_limits(std::size_t threads, std::size_t bulk_connections_max) {
  const std::size_t running = std::max<std::size_t>(1, threads / 2);
  return {.running_max = running,
          .slow_max = std::max<std::size_t>(1, running / 2),
          .bulk_connections_max = std::min<std::size_t>(bulk_connections_max, kBulkConnectionsMax)};
}

IoThreads::IoThreads(std::size_t count) : count_(count), context_(static_cast<int>(count)) {}

IoThreads::~IoThreads() { stop(); }

void IoThreads::start() {
  work_.emplace(context_.get_executor());
  for (std::size_t i = 0; i < count_; ++i) {
    threads_.emplace_back([this, i] {
      const std::string name = "io-" + std::to_string(i);
      (void)::pthread_setname_np(::pthread_self(), name.c_str());  // only for people
      context_.run();
    });
  }
}

void IoThreads::stop() {
  work_.reset();
  context_.stop();
  threads_.clear();  // joins
}

}  // namespace homefs
