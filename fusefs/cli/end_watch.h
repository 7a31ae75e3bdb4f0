// EndWatch: SIGINT, SIGTERM or SIGHUP end what is under way in good order, instead of the process.
//
// Owner: who does something long; one at a time is alive in effect, the last that was made.
// Executor: thread-safe; `on_end` runs on a thread of its own. Blocks: the destructor, while
// on_end runs.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace homefs {

class EndWatch {
 public:
  /// `on_end` is called once, `grace` after a signal has come, unless the watch is gone by then: it
  /// makes what is under way fail. A second signal ends the process.
  explicit EndWatch(std::function<void()> on_end, std::chrono::milliseconds grace = {});
  ~EndWatch();
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

  /// Whether a signal has come.
  [[nodiscard]] const std::atomic<bool>& has_ended() const { return has_ended_; }

 private:
  void run(const std::stop_token& stop);

  const std::function<void()> on_end_;
  const std::chrono::milliseconds grace_;
  std::atomic<bool> has_ended_{false};
  std::jthread thread_;
};

}  // namespace homefs
