// Answer<T>: what a call of RemoteClient comes to. A command makes many calls and looks at their
// answers later, in its own order: that is how it keeps a far server busy.
//
// Owner: who made the call; it may be thrown away, the call takes effect all the same.
// Executor: one thread at a time. Blocks: get(), until the answer has come.
#pragma once

#include <chrono>
#include <future>
#include <utility>

#include "protocol/result.h"

namespace homefs {

template <class T>
class [[nodiscard]] Answer {
 public:
  Answer() = default;
  explicit Answer(std::future<Result<T>> future) : future_(std::move(future)) {}

  /// False when there was no call, or its answer was taken.
  [[nodiscard]] bool is_expected() const { return future_.valid(); }
  /// Whether get() would not wait. Precondition: is_expected().
  [[nodiscard]] bool has_come() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  /// Waits. Precondition: is_expected().
  Result<T> get() { return future_.get(); }

 private:
  std::future<Result<T>> future_;
};

}  // namespace homefs
