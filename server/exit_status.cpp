#include "server/exit_status.h"

#include <algorithm>
#include <cstdio>

namespace homefs {

ExitStatus exit_status_of(const Error& error) {
  switch (error.status) {
    case Status::kConfigError:
      return ExitStatus::kConfig;
    case Status::kInvalid:
      return ExitStatus::kUsage;
    case Status::kBusy:
      return ExitStatus::kAlreadyRunning;
    case Status::kNoSuchFile:
      return ExitStatus::kNoSuchAccount;
    case Status::kExists:
      return ExitStatus::kAccountExists;
    case Status::kNotPermitted:
    case Status::kAccessDenied:
      return ExitStatus::kNotPermitted;
    default:
      return ExitStatus::kFailed;
  }
}

ExitStatus print_failure(const Error& error) {
  std::string line = error.context.empty() ? error.message() : error.context;
  std::ranges::replace(line, '\n', ' ');
  (void)std::fprintf(stderr, "homefsd: %s\n", line.c_str());  // no other place to tell it
  return exit_status_of(error);
}

}  // namespace homefs
