// Pipeline: calls whose answers are looked at in the order in which they were made, with a bounded
// number of them under way.
//
// Owner: the command. Executor: one thread. Blocks: push() while the pipeline is full, and drain().
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>

#include "fusefs/remote/answer.h"

namespace homefs {

/// Requests in the sequence that one command keeps under way: within the protocol's window.
inline constexpr std::size_t kPipelineDepth = 128;

template <class Reply>
class Pipeline {
 public:
  using Finish = std::function<void(Result<Reply>)>;

  explicit Pipeline(std::size_t depth = kPipelineDepth) : depth_(depth) {}

  /// `finish` is called with the answer, by this or a later push() or drain().
  void push(Answer<Reply> answer, Finish finish) {
    waiting_.emplace_back(std::move(answer), std::move(finish));
    // At once: what has come and is not written yet would be lost with the process.
    while (waiting_.size() > depth_ || (!waiting_.empty() && waiting_.front().first.has_come())) {
      finish_first();
    }
  }
  void drain() {
    while (!waiting_.empty()) finish_first();
  }

 private:
  void finish_first() {
    auto [answer, finish] = std::move(waiting_.front());
    waiting_.pop_front();
    finish(answer.get());
  }

  const std::size_t depth_;
  std::deque<std::pair<Answer<Reply>, Finish>> waiting_;
};

}  // namespace homefs
