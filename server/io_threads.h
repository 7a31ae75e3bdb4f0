// The threads that run the server: one io_context on more of them than one session may occupy.
//
// Owner: the Server. Executor: start() and stop() by one thread. Blocks: stop(), until the
// handlers that run have returned.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <optional>
#include <thread>
#include <vector>

#include "server/session.h"

namespace homefs {

/// `configured`, or where that is 0: twice as many as processors, since most of them wait for the
/// disk, and at least 8, so that the shares below leave some over.
std::size_t io_thread_count(std::size_t configured);

/// What one session may occupy of `threads`: its changes take one, its control connection one,
/// what is left of a half the rest.
SessionLimits session_limits(std::size_t threads, std::size_t bulk_connections_max);

class IoThreads {
 public:
  explicit IoThreads(std::size_t count);
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  [[nodiscard]] boost::asio::any_io_executor executor() { return context_.get_executor(); }
  [[nodiscard]] std::size_t count() const { return count_; }

  void start();
  /// Runs no further handler; what has not run is dropped. Idempotent.
  void stop();

 private:
  const std::size_t count_;
  boost::asio::io_context context_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::vector<std::jthread> threads_;
};

}  // namespace homefs
