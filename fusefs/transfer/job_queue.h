// JobQueue: what several threads take one after the other.
//
// Owner: a run. Executor: thread-safe. Blocks: never.
#pragma once

#include <atomic>
#include <deque>

namespace homefs {

template <class Job>
class JobQueue {
 public:
  /// `jobs` does not change while it is used.
  explicit JobQueue(const std::deque<Job>& jobs) : jobs_(jobs) {}

  /// Null when there is none left.
  const Job* next() {
    const std::size_t place = next_++;
    return place < jobs_.size() ? &jobs_[place] : nullptr;
  }

 private:
  const std::deque<Job>& jobs_;
  std::atomic<std::size_t> next_{0};
};

}  // namespace homefs
