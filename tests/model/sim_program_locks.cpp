// What programs do with file locks in the simulation. No program waits for flock(2) while it holds
// a lock, so that nobody waits for ever; of record locks the server finds the circles.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/model/sim_world.h"

namespace homefs::test {
namespace {

// In the middle of the second page.
constexpr std::uint64_t kMiddle = 300 * kSlotBytes;

std::string show(const FileLock& lock, int fd) {
  const char* const kind = lock.locker.kind == LockKind::kWhole ? "flock" : "fcntl";
  const char* const type = lock.type == LockType::kExclusive ? "exclusive"
                           : lock.type == LockType::kShared  ? "shared"
                                                             : "unlock";
  const char* const part = lock.begin != 0           ? ", its end"
                           : lock.end != kLockEndMax ? ", its begin"
                                                     : "";
  return fmt::format("{} fd {} {}{}{}", kind, fd, type, part, lock.waits ? ", waits" : "");
}

}  // namespace

// Under locks there is more to see.
Task<bool> SimWorld::call_with_locks(Program& program, std::uint64_t choice) {
  if (calls_left_ == 0 && !program.locks.empty()) {
    co_await call_unlock(program, 0);
    co_return true;
  }
  if (!options_.has_locks) co_return false;
  const std::uint64_t kind = choice / 1'000'000 % 10;
  if (!program.locks.empty() && kind < 4) {
    const int fd = program.locks[choice % program.locks.size()].fd;
    const auto open = std::ranges::find(program.open, fd, &std::pair<int, int>::first);
    const bool is_writer = (open->second & O_ACCMODE) != O_RDONLY;
    const bool is_log = logs_.contains(program.mount->kernel->identity_of(fd));
    if (is_writer && kind < 2) {
      co_await call_write(program, fd, open->second);
    } else if (is_log && kind < 3) {
      co_await call_seek_end(program, fd);
    } else {
      co_await call_read(program, fd);
    }
  } else if (!program.locks.empty() && kind < 6) {
    co_await call_unlock(program, choice / 10 % program.locks.size());
  } else if (!program.open.empty() && kind < 8 && program.locks.size() < 3) {
    co_await call_lock(program, program.open[choice / 10 % program.open.size()].first);
  } else {
    co_return false;
  }
  co_return true;
}

// Of record locks the program is the owner, of flock(2) the open file.
FileLock SimWorld::random_lock(const Program& program, int fd) {
  FileLock lock;
  const bool is_whole = random(2) == 0;
  lock.locker.kind = is_whole ? LockKind::kWhole : LockKind::kRecord;
  lock.locker.owner = is_whole ? 1000U + static_cast<std::uint64_t>(fd)
                               : static_cast<std::uint64_t>(program.number);
  lock.type = random(3) == 0 ? LockType::kShared : LockType::kExclusive;
  if (!is_whole && random(2) == 0) {
    const bool is_end = random(2) == 0;
    lock.begin = is_end ? kMiddle : 0;
    lock.end = is_end ? kLockEndMax : kMiddle;
  }
  const bool has_flock = std::ranges::any_of(program.locks, [](const ProgramLock& held) {
    return held.lock.locker.kind == LockKind::kWhole;
  });
  const bool may_wait = program.locks.empty() || (!is_whole && !has_flock);
  lock.waits = may_wait && random(4) != 0;
  return lock;
}

// What the owner holds of the range is changed, or lost, by the new request.
std::vector<std::size_t> SimWorld::begin_releasing(Program& program, const FileLocker& locker,
                                                   const FileKey& file, std::uint64_t begin,
                                                   std::uint64_t end) {
  std::vector<std::size_t> numbers;
  for (const ProgramLock& held : program.locks) {
    const SimLocks::Hold& hold = checker_.locks().at(held.number);
    const bool is_concerned = hold.file == file && hold.locker.kind == locker.kind &&
                              hold.locker.owner == locker.owner && hold.begin < end &&
                              begin < hold.end;
    if (!is_concerned) continue;
    checker_.locks().releases(held.number, now_);
    numbers.push_back(held.number);
  }
  return numbers;
}

void SimWorld::forget_locks(Program& program, const std::vector<std::size_t>& numbers) {
  std::erase_if(program.locks, [&](const ProgramLock& held) {
    return std::ranges::find(numbers, held.number) != numbers.end();
  });
}

Task<> SimWorld::call_lock(Program& program, int fd) {
  const FileLock lock = random_lock(program, fd);
  FakeKernel& kernel = *program.mount->kernel;
  const FileKey file = kernel.identity_of(fd);
  const std::string what = show(lock, fd);
  const Moment asked = begun(program, what);
  const std::vector<std::size_t> before =
      begin_releasing(program, lock.locker, file, lock.begin, lock.end);
  const std::size_t number = checker_.locks().asks({.mount = program.mount->number,
                                                    .program = program.number,
                                                    .file = file,
                                                    .locker = lock.locker,
                                                    .type = lock.type,
                                                    .begin = lock.begin,
                                                    .end = lock.end,
                                                    .asked = asked});
  Result<> done = co_await kernel.lock(fd, lock);
  ended(program, what, done ? nullptr : &done.error());
  if (is_over_) co_return;
  if (!done) {
    const Status status = done.error().status;
    const bool is_refusal = status == Status::kWouldBlock || status == Status::kInterrupted ||
                            status == Status::kDeadlock;
    if (!is_refusal) (void)is_surprising(done.error(), file);
    co_return;
  }
  check_not_lost(program, fd, asked, what);
  // It was lost before the call returned.
  if (program.mount->has_lost_session || kernel.has_lost_locks(fd)) {
    checker_.locks().lose_one(number, now_);
  }
  checker_.granted(number, now_);
  if (lock.type == LockType::kShared) note_released(program, file, before, asked);
  // A part of what was held before may be held still: it is given free with the next unlock.
  forget_locks(program, before);
  program.locks.push_back({.fd = fd, .lock = lock, .number = number});
}

// What was written before is at the server, unless that has refused it: a mount that was late.
void SimWorld::note_released(const Program& program, const FileKey& file,
                             const std::vector<std::size_t>& numbers, Moment begin) {
  if (!options_.has_lateness && !has_lost_session_) {
    checker_.settle(program.mount->number, file, begin, now_);
  }
  for (const std::size_t number : numbers) checker_.locks().released(number, now_);
}

Task<> SimWorld::call_unlock(Program& program, std::size_t place) {
  const ProgramLock held = program.locks[place];
  FakeKernel& kernel = *program.mount->kernel;
  const FileKey file = kernel.identity_of(held.fd);
  FileLock all{.locker = held.lock.locker, .type = LockType::kNone};
  const std::string what = show(all, held.fd);
  const Moment begin = begun(program, what);
  const std::vector<std::size_t> before =
      begin_releasing(program, all.locker, file, 0, kLockEndMax);
  // Whoever gives it up before the mount knows that it is lost has nothing to be told.
  if (program.mount->reachable_since == kNever) program.lost.erase(held.fd);
  Result<> done = co_await kernel.lock(held.fd, all);
  ended(program, what, done ? nullptr : &done.error());
  forget_locks(program, before);
  if (is_over_) co_return;
  if (!done) {
    (void)is_surprising(done.error(), file);
  } else {
    note_released(program, file, before, begin);
  }
}

// Where a program under a lock would append.
Task<> SimWorld::call_seek_end(Program& program, int fd) {
  const FileKey file = program.mount->kernel->identity_of(fd);
  std::vector<std::size_t> locks = held_locks(program, file);
  const std::string what = fmt::format("lseek fd {} to the end", fd);
  const Moment begin = begun(program, what);
  Result<std::uint64_t> end = co_await program.mount->kernel->seek_end(fd);
  ended(program, end ? fmt::format("{} = {}", what, *end) : what, end ? nullptr : &end.error());
  if (is_over_) co_return;
  if (!end) {
    (void)is_surprising(end.error(), file);
  } else if (!locks.empty()) {
    checker_.found_end({.mount = program.mount->number,
                        .file = file,
                        .length = *end,
                        .begin = begin,
                        .end = now_,
                        .locks = std::move(locks)});
  }
}

// A lock was lost with its session: no program goes on as if it held it, once its mount knows.
void SimWorld::check_not_lost(const Program& program, int fd, Moment begin,
                              const std::string& what) {
  if (is_over_ || !program.lost.contains(fd)) return;
  if (program.mount->reachable_since > begin) return;
  checker_.violated(
      fmt::format("program {}: {} succeeds after its lock was lost", program.number, what));
}

void SimWorld::lose_locks(const SimMount& mount) {
  checker_.locks().lose(mount.number, now_);
  for (const auto& program : programs_) {
    if (program->mount != &mount) continue;
    for (const ProgramLock& held : program->locks) {
      if (checker_.locks().at(held.number).lost == now_) program->lost.insert(held.fd);
    }
  }
}

// Closing drops the locks of the open file, and the program's record locks of the file; with
// another descriptor of it these may stay (docs/SEMANTICS.md), until the program unlocks.
void SimWorld::begin_closing(Program& program, int fd) {
  const FakeKernel& kernel = *program.mount->kernel;
  const FileKey file = kernel.identity_of(fd);
  const auto other = std::ranges::find_if(
      program.open, [&](const auto& open) { return kernel.identity_of(open.first) == file; });
  std::erase_if(program.locks, [&](ProgramLock& held) {
    const bool is_record = held.lock.locker.kind == LockKind::kRecord;
    const bool is_of_file = checker_.locks().at(held.number).file == file;
    if (held.fd != fd && !(is_record && is_of_file)) return false;
    checker_.locks().releases(held.number, now_);
    if (!is_record || other == program.open.end()) return true;
    held.fd = other->first;
    return false;
  });
}

std::vector<std::size_t> SimWorld::held_locks(const Program& program, const FileKey& file) {
  std::vector<std::size_t> numbers;
  for (const ProgramLock& held : program.locks) {
    const SimLocks::Hold& hold = checker_.locks().at(held.number);
    if (hold.file == file && hold.is_certain()) numbers.push_back(held.number);
  }
  return numbers;
}

// What the program believes to hold: it may be lost by now.
std::optional<std::size_t> SimWorld::write_lock(const Program& program, const FileKey& file) {
  for (const ProgramLock& held : program.locks) {
    const SimLocks::Hold& hold = checker_.locks().at(held.number);
    const bool is_held = hold.granted != kNever && hold.releasing == kNever;
    if (is_held && hold.file == file && hold.covers_all() && hold.type == LockType::kExclusive) {
      return held.number;
    }
  }
  return std::nullopt;
}

}  // namespace homefs::test
