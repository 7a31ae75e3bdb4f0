// Loaded before a program (LD_PRELOAD), lets it believe that the machine has slept: CLOCK_BOOTTIME
// is ahead by the seconds that the file $HOMEFS_TEST_SLEPT says; by nothing without that file.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace {

long slept_seconds() {
  const char* path = std::getenv("HOMEFS_TEST_SLEPT");
  long seconds = 0;
  if (path != nullptr) std::ifstream(path) >> seconds;
  return seconds;
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = ::syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && clock == CLOCK_BOOTTIME) time->tv_sec += slept_seconds();
  return static_cast<int>(result);
}
