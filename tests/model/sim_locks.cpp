#include "tests/model/sim_locks.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace homefs::test {
namespace {

std::string show(const SimLocks::Hold& hold) {
  return fmt::format("{} {} of program {} in mount {}, {}..{}",
                     hold.type == LockType::kExclusive ? "exclusive" : "shared",
                     hold.locker.kind == LockKind::kWhole ? "flock" : "record lock", hold.program,
                     hold.mount, hold.begin, hold.end == kLockEndMax ? 0 : hold.end);
}

}  // namespace

bool SimLocks::conflict(const Hold& one, const Hold& other) {
  if (one.file != other.file || one.locker.kind != other.locker.kind) return false;
  if (one.mount == other.mount && one.locker.owner == other.locker.owner) return false;
  if (one.type != LockType::kExclusive && other.type != LockType::kExclusive) return false;
  return one.begin < other.end && other.begin < one.end;
}

std::size_t SimLocks::asks(Hold hold) {
  holds_.push_back(std::move(hold));
  return holds_.size() - 1;
}

std::string SimLocks::granted(std::size_t number, Moment now) {
  Hold& hold = holds_[number];
  hold.granted = now;
  for (const Hold& other : holds_) {
    if (!hold.is_certain() || !other.is_certain() || !conflict(hold, other)) continue;
    return fmt::format("inode {} is locked twice: {} since {}, and {} since {}",
                       number_of(hold.file.inode), show(other), other.granted, show(hold), now);
  }
  return {};
}

void SimLocks::lose(int mount, Moment now) {
  for (Hold& hold : holds_) {
    if (hold.mount == mount && hold.is_certain()) hold.lost = now;
  }
}

Moment SimLocks::superseded(std::size_t number) const {
  const Hold& hold = holds_[number];
  Moment first = kNever;
  for (const Hold& other : holds_) {
    if (other.granted == kNever || other.granted <= hold.granted || !conflict(hold, other))
      continue;
    first = std::min(first, other.granted);
  }
  return first;
}

bool SimLocks::orders(int writer, Moment done, std::size_t number) const {
  const Hold& reader = holds_[number];
  return std::ranges::any_of(holds_, [&](const Hold& before) {
    if (before.mount != writer || before.file != reader.file) return false;
    if (before.releasing == kNever || before.lost != kNever || before.releasing <= done) {
      return false;
    }
    if (before.released < reader.asked) return true;
    return conflict(before, reader) && before.granted < reader.granted &&
           before.releasing < reader.granted;
  });
}

}  // namespace homefs::test
