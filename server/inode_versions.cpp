// InodeTable's versions: a ctime made exact.

#include <algorithm>
#include <ctime>

#include "server/inode_table.h"

namespace homefs {
namespace {

// A ctime this young may be that of a later change too, which falls into the same tick of the
// kernel's clock: 10 ms at HZ=100, and some for a thread that is held up between two calls.
constexpr std::int64_t kRacyNanoseconds = 50'000'000;

// Above all steps that are counted: nobody makes 2^20 changes in a tick.
constexpr std::uint64_t kChangesPerTickMax = 1u << 20;

std::uint64_t combine(std::int64_t ctime_ns, std::uint64_t step) {
  // Odd, and with bits everywhere: steps of one ctime never meet a ctime that is near.
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15;
  return static_cast<std::uint64_t>(ctime_ns) + step * kSpread;
}

std::int64_t now_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);  // cannot fail for this clock
  return disk::nanoseconds_of({now.tv_sec, static_cast<std::uint32_t>(now.tv_nsec)});
}

}  // namespace

// For an inode of which nobody remembers how often it was changed in this tick: 0 when the tick is
// over and the ctime says it all; else a step that no other reading gets, which makes this one
// differ from all others. Precondition: mutex_ is held.
std::uint64_t InodeTable::racy_step(std::int64_t ctime_ns) {
  return now_ns() - ctime_ns > kRacyNanoseconds ? 0 : unique_step();
}

std::uint64_t InodeTable::unique_step() { return ++racy_steps_ * kChangesPerTickMax; }

std::chrono::nanoseconds InodeTable::time_until_settled(std::int64_t ctime_ns) {
  const std::int64_t age = now_ns() - ctime_ns;
  // A ctime in the future is of a clock that was set back.
  return std::chrono::nanoseconds(
      std::clamp<std::int64_t>(kRacyNanoseconds + 1 - age, 0, kRacyNanoseconds + 1));
}

// The inode goes out of the table: without its count an older version, of older data, would come
// back with it. Precondition: mutex_ is held.
void InodeTable::remember_step(const Inode& inode) {
  if (inode.version_step_ == 0) return;
  if (past_steps_.size() >= kPastStepsMax) {
    for (const auto& [number, past] : past_steps_) {
      past_steps_lost_ns_ = std::max(past_steps_lost_ns_, past.ctime_ns);
    }
    past_steps_.clear();
  }
  past_steps_[inode.identity_.number] = {inode.version_ctime_ns_, inode.version_step_};
}

// The step of an inode that is in the table no more, or not yet. Precondition: mutex_ is held.
std::uint64_t InodeTable::step_of_unknown(std::uint64_t number, std::int64_t ctime_ns) {
  const auto past = past_steps_.find(number);
  if (past != past_steps_.end() && past->second.ctime_ns == ctime_ns) {
    // In the tick itself it may have been changed by others since.
    return std::max(past->second.step, racy_step(ctime_ns));
  }
  // Which of these had been changed several times nobody knows any more.
  if (ctime_ns <= past_steps_lost_ns_) return unique_step();
  return racy_step(ctime_ns);
}

std::uint64_t InodeTable::version_of(Inode& inode, std::int64_t ctime_ns, bool is_change) {
  const std::lock_guard lock(mutex_);
  if (ctime_ns > inode.version_ctime_ns_) {
    inode.version_ctime_ns_ = ctime_ns;
    inode.version_step_ = 0;
  } else if (is_change) {
    ++inode.version_step_;
  }
  return combine(ctime_ns, inode.version_step_);
}

std::uint64_t InodeTable::version_of_entry(const disk::Stat& stat) {
  const std::int64_t ctime_ns = disk::nanoseconds_of(stat.attributes.ctime);
  if (const InodeRef known = find(stat.attributes.inode)) {
    if (known->identity().birth_ns == stat.birth_ns) {
      return version_of(*known, ctime_ns, /*is_change=*/false);
    }
  }
  const std::lock_guard lock(mutex_);
  return combine(ctime_ns, step_of_unknown(number_of(stat.attributes.inode), ctime_ns));
}

}  // namespace homefs
