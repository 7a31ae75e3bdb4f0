// What a program that waits for an answer is in for, as /proc tells: the kernel's INTERRUPT says
// that some signal came, not which.
//
// Executor: thread-safe. Blocks: for reading two files of /proc.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace homefs {

enum class CallerState {
  kRunning,     ///< no signal, or one that its program does not expect to end a call (SIGCHLD ...)
  kAskedToEnd,  ///< it has a handler for what a person sends to end something: SIGINT, SIGTERM ...
  kDying,       ///< a signal has killed it, or will as soon as the call ends
  kExiting,     ///< it ends by itself, and closes its files
  kUnknown,     ///< not to be seen from here: another PID name space, or hidden
};

/// Of the thread `id`, as fuse_ctx has it.
[[nodiscard]] CallerState caller_state(pid_t id);

/// The same out of the texts of /proc/ID/status and /proc/ID/stat.
[[nodiscard]] CallerState caller_state_of(std::string_view status, std::string_view stat);

}  // namespace homefs
