// Places where a test may have the server killed, as if by kill -9: each step of applying a change.
// Compiled in with HOMEFS_FAULTS only; chosen by
//
//   HOMEFS_CRASH_AT=after-change      at the first passing of the point
//   HOMEFS_CRASH_AT=after-change:3    at the third
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <cstdint>

namespace homefs {

/// In the order in which one change passes them.
enum class CrashPoint : std::uint8_t {
  kBeforeIntent,  ///< the request was taken, nothing is written down
  kBegun,         ///< it is written down that it is the next
  kAfterFacts,    ///< and what it is going to do to the disk; the disk is as it was
  kMidChange,     ///< between two steps of those that have several
  kAfterChange,   ///< the disk is changed, what came of it is not written down
  kAfterOutcome,  ///< it is; the reply is not
  kBeforeReply,   ///< the reply is written down, and not sent
  kWritten,       ///< of a write, outside of the sequence: it is done and noted, and not answered
};

#ifdef HOMEFS_FAULTS
inline constexpr bool kHasCrashPoints = true;
/// Kills the process if this is the place.
void crash_point(CrashPoint point);
#else
inline constexpr bool kHasCrashPoints = false;
inline void crash_point(CrashPoint) {}
#endif

}  // namespace homefs
