// SimQueue: an executor whose work waits until the simulation runs it. Asio's own polls the kernel
// at each look, which took most of a history's time.
//
// Owner: the simulation. Executor: its thread. Blocks: never.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <utility>

namespace homefs::test {

class SimQueue {
 public:
  class Executor;

  SimQueue() = default;
  ~SimQueue() { drop(); }
  SimQueue(const SimQueue&) = delete;
  SimQueue& operator=(const SimQueue&) = delete;

  [[nodiscard]] boost::asio::any_io_executor executor();
  [[nodiscard]] bool is_empty() const { return work_.empty(); }
  /// Nothing of it runs any more, nor what is posted from now on.
  void drop() {
    is_dropped_ = true;
    const auto left = std::exchange(work_, {});
    timers_.drop();
  }
  /// Runs the oldest; false: there is none.
  bool run_one() {
    if (work_.empty()) return false;
    auto work = std::move(work_.front());
    work_.pop_front();
    work();
    return true;
  }

 private:
  // Never run: no timer ends by itself. It has the strands, and what waits in them.
  class Timers : public boost::asio::io_context {
   public:
    void drop() { shutdown(); }
  };

  std::deque<std::move_only_function<void()>> work_;
  bool is_dropped_ = false;
  Timers timers_;  // last: what it lets go of may post
};

class SimQueue::Executor {
 public:
  explicit Executor(SimQueue& queue) : queue_(&queue) {}
  [[nodiscard]] boost::asio::execution_context& query(
      boost::asio::execution::context_t) const noexcept {
    return queue_->timers_;
  }
  static constexpr boost::asio::execution::blocking_t::never_t query(
      boost::asio::execution::blocking_t) noexcept {
    return {};
  }
  template <class Work>
  void execute(Work work) const {
    if (!queue_->is_dropped_) queue_->work_.emplace_back(std::move(work));
  }
  bool operator==(const Executor&) const noexcept = default;

 private:
  SimQueue* queue_;
};

inline boost::asio::any_io_executor SimQueue::executor() { return Executor(*this); }

}  // namespace homefs::test
