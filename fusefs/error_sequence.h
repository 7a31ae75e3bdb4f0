// ErrorSequence: what went wrong with data that write(2) had accepted, for everybody who has the
// file open. Each open file description is told of each error once, whoever else was told (the
// kernel's errseq_t): a close(2) that nobody hears takes no error from an fsync(2).
//
// Owner: WriteQueue. Executor: whoever holds the state's lock. Blocks: never.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/result.h"

namespace homefs {

class ErrorSequence {
 public:
  void add(const Error& error) {
    if (!last_ || was_told_) last_ = error;  // the first that nobody knows of says most
    ++count_;
    was_told_ = false;
  }

  /// What a new opening has seen: all, but for an error that nobody was told of.
  [[nodiscard]] std::uint64_t seen_by_new() const { return was_told_ ? count_ : 0; }

  /// For who may not hear it, as a close(2): it stays unseen.
  [[nodiscard]] std::optional<Error> show(std::uint64_t seen) {
    if (seen == count_) return std::nullopt;
    was_told_ = true;
    return last_;
  }

  /// For a write or an fsync: once for each `seen`.
  [[nodiscard]] std::optional<Error> take(std::uint64_t& seen) {
    std::optional<Error> error = show(seen);
    seen = count_;
    return error;
  }

 private:
  std::optional<Error> last_;
  std::uint64_t count_ = 0;
  bool was_told_ = true;
};

}  // namespace homefs
