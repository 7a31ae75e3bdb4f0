// What the commands of homefs tell their caller. homefs(1), section EXIT STATUS, lists the same.
//
// Executor: immutable, thread-safe. Blocks: never.
#pragma once

#include "protocol/result.h"

namespace homefs {

enum class ExitStatus : int {
  kOk = 0,
  kFailed = 1,         ///< anything that has no number of its own
  kUsage = 2,          ///< the command line or a profile says something that cannot be used
  kLoginRefused = 3,   ///< the server refuses the user, the password or the token
  kServerKey = 4,      ///< the server's key is unknown, or not the pinned one
  kNoConnection = 5,   ///< the server cannot be reached
  kMountFailed = 6,    ///< the mount point cannot be mounted, or unmounted
  kBusy = 7,           ///< the mount is in use, or not everything is on the server yet
  kPartly = 8,         ///< a part of what was asked for is done; messages say what is not
  kInterrupted = 130,  ///< ended in good order by a signal; the number is a shell's for SIGINT
};

[[nodiscard]] constexpr int number_of(ExitStatus status) { return static_cast<int>(status); }

/// The exit status for an error of connecting, logging in or reading files; kFailed for others.
[[nodiscard]] ExitStatus exit_status_of(const Error& error);

}  // namespace homefs
