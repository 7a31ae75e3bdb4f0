// Calls a function again and again on an executor, and knows when the machine has slept between.
//
// Owner: whoever made it. Executor: the function runs on the executor, never twice at once.
// Blocks: the destructor, until a call under way has returned.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace homefs {

class Ticker {
 public:
  /// `was_suspended`: the machine has slept for over kSuspendMin since the last tick.
  using OnTick = std::function<void(bool was_suspended)>;

  Ticker(const boost::asio::any_io_executor& executor, std::chrono::milliseconds period,
         OnTick on_tick);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  /// Shorter ones leave connections as they are.
  static constexpr std::chrono::milliseconds kSuspendMin{1500};

 private:
  struct Shared;
  static void arm(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;  // owners: this, and the timer's wait under way
};

}  // namespace homefs
