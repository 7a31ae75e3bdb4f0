// The threads of a program that has connections: those that wait for its sockets and do what comes
// (net-N, the Poller's), and those that run what is posted and timers (io-N, an io_context's).
//
// Made and started after every fork: threads do not survive one. Owner: main, a command, the
// Server; destroyed after everything that uses it. Executor: start() and stop() by one thread.
// Blocks: stop() and the destructor, until what runs has returned.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "protocol/poller.h"

namespace homefs {

class IoThreads {
 public:
  struct Counts {
    std::size_t net = 0;
    std::size_t io = 0;
  };

  explicit IoThreads(Counts counts);
  /// Runs what is posted to its end first, unless it was stopped.
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  using Executor = boost::asio::io_context::executor_type;
  [[nodiscard]] Executor executor() { return context_.get_executor(); }
  [[nodiscard]] const std::shared_ptr<Poller>& poller() const { return poller_; }

  void start();
  /// Runs nothing any more; what has not run is dropped. Idempotent.
  void stop();

 private:
  const std::size_t io_count_;
  const std::shared_ptr<Poller> poller_;  // owners: we, and the channels that were made with it
  boost::asio::io_context context_;
  std::optional<boost::asio::executor_work_guard<Executor>> work_;
  std::vector<std::jthread> threads_;
};

}  // namespace homefs
