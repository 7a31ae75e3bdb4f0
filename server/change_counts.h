// How many changes the server has carried out, by kind: for administrators, and for tests that want
// to know that nothing was done twice. A resend that gets its stored reply is not counted, since
// nothing was carried out for it.
//
// Owner: the server. Executor: thread-safe. Blocks: never, but log() on the log's file.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "protocol/op.h"
#include "protocol/status.h"

namespace homefs {

class ChangeCounts {
 public:
  /// A change of a session's sequence was carried out, and came to `status`.
  void add(Op op, Status status);
  /// A line for each kind that there was, since the start of this process:
  /// event=changes op="mkdir" done=12 refused=1. And a last one, event=changes-in-all.
  void log() const;

 private:
  static constexpr std::size_t kFirst = static_cast<std::size_t>(Op::kCreate);
  static constexpr std::size_t kCount = static_cast<std::size_t>(Op::kCancelLock) - kFirst + 1;
  struct Row {
    std::atomic<std::uint64_t> done{0};
    std::atomic<std::uint64_t> refused{0};
  };
  std::array<Row, kCount> rows_;
};

}  // namespace homefs
