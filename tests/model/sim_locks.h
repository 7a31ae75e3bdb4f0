// SimLocks: what docs/SEMANTICS.md promises of file locks, checked against what programs hold.
//
// A lock is held for certain from the moment in which the call returns until the call begins that
// gives it free, or until the session is lost. Never are two held for certain that conflict. Who
// gets one reads all that was written before it was given free; and what was written under one
// takes no effect any more once somebody else has got it.
//
// Owner: SimChecker. Executor: its thread. Blocks: never.
#pragma once

#include <string>
#include <vector>

#include "fusefs/file_locks.h"
#include "tests/model/sim_moment.h"

namespace homefs::test {

class SimLocks {
 public:
  struct Hold {
    int mount = 0;
    int program = 0;
    FileKey file;
    FileLocker locker;  ///< `owner` is a program's or an open file's, in its mount
    LockType type = LockType::kShared;
    std::uint64_t begin = 0;
    std::uint64_t end = kLockEndMax;
    Moment asked = 0;
    Moment granted = kNever;
    Moment releasing = kNever;  ///< the call began that gives it free, or may do so
    Moment released = kNever;   ///< it is over, and was done
    Moment lost = kNever;       ///< with its session

    [[nodiscard]] bool is_certain() const {
      return granted != kNever && releasing == kNever && lost == kNever;
    }
    [[nodiscard]] bool covers_all() const { return begin == 0 && end == kLockEndMax; }
  };

  /// A program asks. The number names what it will hold.
  std::size_t asks(Hold hold);
  /// It has it. What is violated by that; empty: nothing.
  std::string granted(std::size_t number, Moment now);
  void releases(std::size_t number, Moment now) { holds_[number].releasing = now; }
  void released(std::size_t number, Moment now) { holds_[number].released = now; }
  /// Lost before it was granted.
  void lose_one(std::size_t number, Moment now) { holds_[number].lost = now; }
  /// The server has lost the session of the mount.
  void lose(int mount, Moment now);

  [[nodiscard]] const Hold& at(std::size_t number) const { return holds_[number]; }
  /// When what was written under the lock is over at the latest: somebody else has got one that
  /// excludes it. kNever: nobody has.
  [[nodiscard]] Moment superseded(std::size_t number) const;
  /// Whether who holds `number` has to see what `writer` had written to the file by `done`.
  [[nodiscard]] bool orders(int writer, Moment done, std::size_t number) const;

 private:
  [[nodiscard]] static bool conflict(const Hold& one, const Hold& other);

  std::vector<Hold> holds_;
};

}  // namespace homefs::test
