// The time of day, for times that we set in place of the server until it has told its own.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <ctime>

#include "protocol/attributes.h"

namespace homefs {

inline Timestamp wall_clock_now() {
  timespec time{};
  (void)clock_gettime(CLOCK_REALTIME, &time);  // cannot fail for this clock
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

}  // namespace homefs
