// InodeTable's versions: a ctime made exact.

#include <ctime>

#include "server/inode_table.h"

namespace homefs {
namespace {

// A ctime this young may be that of a later change too, which falls into the same tick of the
// kernel's clock: 10 ms at HZ=100, and some for a thread that is held up between two calls.
constexpr std::int64_t kRacyNanoseconds = 50'000'000;

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
  if (now_ns() - ctime_ns > kRacyNanoseconds) return 0;
  // Above all steps that are counted: nobody makes 2^20 changes in a tick.
  constexpr std::uint64_t kChangesMax = 1u << 20;
  return ++racy_steps_ * kChangesMax;
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
  return combine(ctime_ns, racy_step(ctime_ns));
}

}  // namespace homefs
