// The exit statuses of homefsd; man 8 homefsd lists them for scripts.
//
// Executor: immutable data. Blocks: never.
#pragma once

#include "protocol/result.h"

namespace homefs {

enum class ExitStatus : int {
  kOk = 0,
  kFailed = 1,          ///< something else, told on stderr
  kUsage = 2,           ///< the command line is wrong, or a name or size in it
  kConfig = 3,          ///< homefsd.json or accounts.ini says something that cannot be used
  kAlreadyRunning = 4,  ///< another server has the data folder
  kCannotListen = 5,    ///< an address or port cannot be had
  kNoSuchAccount = 6,   ///< or no such device token
  kAccountExists = 7,
  kPassword = 8,      ///< none was given, or one that cannot be used
  kNotPermitted = 9,  ///< the files are another user's
};

/// The status for a command that failed with `error`.
ExitStatus exit_status_of(const Error& error);

/// Prints "homefsd: <error>" to stderr, in one line. Returns exit_status_of(error).
ExitStatus print_failure(const Error& error);

}  // namespace homefs
