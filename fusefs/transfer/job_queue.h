// JobQueue: what several threads take one after the other.
//
// Owner: a run, which outlives the threads. Executor: thread-safe. Blocks: never.
#pragma once

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "fusefs/transfer/transfer_options.h"

namespace homefs {

template <class Job>
class JobQueue {
 public:
  /// `jobs` does not change while it is used.
  explicit JobQueue(const std::deque<Job>& jobs) : jobs_(jobs) {}

  /// Starts `options.jobs` threads, or as many as there are jobs, that call `work` with one job
  /// after the other until none is left or all have to stop.
  template <class Work>
  [[nodiscard]] std::vector<std::jthread> run(const TransferOptions& options, Work work) {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < options.jobs && i < jobs_.size(); ++i) {
      threads.emplace_back([this, &options, work] {
        while (const Job* job = options.has_to_stop() ? nullptr : next()) work(*job);
      });
    }
    return threads;
  }

 private:
  // Null when there is none left.
  const Job* next() {
    const std::size_t place = next_++;
    return place < jobs_.size() ? &jobs_[place] : nullptr;
  }

  const std::deque<Job>& jobs_;
  std::atomic<std::size_t> next_{0};
};

}  // namespace homefs
