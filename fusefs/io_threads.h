// The threads that move bytes between the server and the client core, and the executor they run.
//
// Made after every fork: threads do not survive one. Owner: main or a command; destroyed after
// everything that uses the executor. Executor: itself. Blocks: the destructor, until the work under
// way has returned.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

namespace homefs {

class IoThreads {
 public:
  /// One thread decrypts one connection at a time: two keep the control connection answering while
  /// bulk data comes in.
  static constexpr unsigned kDefault = 2;

  explicit IoThreads(unsigned count = kDefault);
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  [[nodiscard]] boost::asio::io_context::executor_type executor() {
    return context_.get_executor();
  }

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

}  // namespace homefs
