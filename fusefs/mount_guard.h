// MountGuard: a process beside the daemon of a mount, which frees its programs when it is killed.
//
// The kernel ends a FUSE connection when the last descriptor of /dev/fuse goes. But a daemon that
// gets SIGKILL while one of its threads is in the kernel, with a notification that waits for a page
// whose READ only the daemon could answer, never ends: every program in the mount would wait for
// ever, unkillable, and so would the next "homefs mount". The guard gets a signal when the thread
// ends that started it, and aborts the connection.
//
// Owner: FuseSession. Executor: the main thread, which must live as long as the mount.
// Blocks: never; the destructor until the process has ended.
#pragma once

#include <sys/types.h>

#include <string>

namespace homefs {

class MountGuard {
 public:
  MountGuard() = default;
  ~MountGuard();
  MountGuard(const MountGuard&) = delete;
  MountGuard& operator=(const MountGuard&) = delete;

  /// For what was just mounted at `mountpoint`, before anything of it is answered. Where there is
  /// no way to abort a connection the mount goes on without a guard.
  void start(const std::string& mountpoint);

 private:
  pid_t pid_ = 0;
};

/// Whether this process was started as a guard; main() then returns run_mount_guard().
[[nodiscard]] bool is_mount_guard(int argc, char** argv);
int run_mount_guard(int argc, char** argv);

}  // namespace homefs
