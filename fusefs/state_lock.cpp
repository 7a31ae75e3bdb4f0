#include "fusefs/state_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace homefs {
namespace {

// A process that was killed keeps its locks until it is gone altogether.
constexpr std::chrono::milliseconds kLookEvery{10};
constexpr int kLooksMax = 10;

bool lock_now(int file) { return ::flock(file, LOCK_EX | LOCK_NB) == 0; }

bool lock_soon(int file) {
  for (int look = 1; look < kLooksMax; ++look) {
    if (lock_now(file)) return true;
    if (errno != EWOULDBLOCK) return false;
    std::this_thread::sleep_for(kLookEvery);
  }
  return lock_now(file);
}

}  // namespace

Result<StateLock> StateLock::acquire(const ClientPaths& paths, const std::string& name) {
  auto folder = paths.make_state_dir(name);
  if (!folder) return std::unexpected(folder.error());
  const auto path = *folder / "mount.lock";
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return fail_errno(errno, path.string());
  if (!lock_soon(file.get())) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, path.string());
    return fail(Status::kBusy,
                "\"" + name + "\" is mounted already: \"homefs status\" shows where");
  }
  return StateLock(std::move(file), name, std::move(*folder));
}

Result<StateLock> StateLock::acquire_any(const ClientPaths& paths, const std::string& name) {
  constexpr int kMountsMax = 32;
  auto lock = acquire(paths, name);
  for (int i = 2; i <= kMountsMax && !lock && lock.error().status == Status::kBusy; ++i) {
    lock = acquire(paths, name + "-" + std::to_string(i));
  }
  return lock;
}

}  // namespace homefs
