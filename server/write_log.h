// What became of a session's writes, by their numbers, so that each takes effect exactly once
// however often it is sent; and which of its syncs failed, so that each is told of it. Writes come
// in any order and run beside each other; the numbers of those without an answer lie close
// together, so the last kRequestsInFlightMax are enough.
//
// What a number came to is noted under the lock that keeps others off the file (Inode::size_lock):
// when it is not noted, nobody has written there since, and the write may be done (again).
//
// Owner: the session's ReplayRecord. Executor: admit() under the session's lock, the rest
// thread-safe. Blocks: never.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "protocol/limits.h"
#include "protocol/result.h"

namespace homefs {

/// As it is kept, in memory or in a mapped file. All zeros: no write yet.
struct WriteSlots {
  std::uint64_t highest = 0;                               ///< number that has come
  std::array<std::uint8_t, kRequestsInFlightMax> codes{};  ///< by number % size; see write_log.cpp
};

class WriteLog {
 public:
  /// Works on `slots`, which has to outlive it.
  explicit WriteLog(WriteSlots& slots) : slots_(&slots) {}

  /// A write has come. kSequenceConflict: the client has said that it has the answer to it.
  Result<void> admit(std::uint64_t number);

  /// A step of a write: `is_all` when nothing of it is left to do.
  struct Outcome {
    Status status = Status::kOk;
    bool is_all = true;
  };
  /// What was noted last; nothing when it has changed nothing yet.
  [[nodiscard]] std::optional<Outcome> find(std::uint64_t number) const;
  void note(std::uint64_t number, Outcome outcome);

 private:
  WriteSlots* slots_;
};

/// One write that is being done: where it notes what becomes of it.
struct WriteTurn {
  WriteLog& log;
  std::uint64_t number = 0;
  bool has_more = false;  ///< something is done after the data

  [[nodiscard]] std::optional<WriteLog::Outcome> earlier() const { return log.find(number); }
  /// The data was written, or some of it. Called under the inode's size lock.
  void wrote(Status status) const {
    log.note(number, {.status = status, .is_all = !has_more || !is_success(status)});
  }
  /// All is done, or failed.
  void finish(Status status) const { log.note(number, {.status = status}); }
};

}  // namespace homefs
