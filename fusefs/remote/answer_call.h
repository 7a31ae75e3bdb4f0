// answer_call(): makes a call, and an Answer of what its reply says.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <functional>
#include <future>
#include <utility>

#include "fusefs/link.h"
#include "fusefs/remote/answer.h"

namespace homefs {

/// `read` gets the reply when its status is a success, on a net thread, and returns a Result<T>.
template <class T, class Read>
[[nodiscard]] Answer<T> answer_call(Link& link, Call call, Read read) {
  std::promise<Result<T>> promise;
  Answer<T> answer(promise.get_future());
  (void)link.send(std::move(call), [promise = std::move(promise),
                                    read = std::move(read)](Result<InFrame> reply) mutable {
    if (reply) {
      promise.set_value(read(*reply));
    } else {
      promise.set_value(std::unexpected(std::move(reply.error())));
    }
  });
  return answer;
}

}  // namespace homefs
