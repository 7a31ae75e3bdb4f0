#include "server/exit_status.h"

#include <algorithm>
#include <cstdio>

namespace homefs {
namespace {

// Where the context says all; what the disk refuses has the path there, and the reason is missing.
bool is_sentence(const Error& error) {
  if (error.context.empty()) return false;
  switch (error.status) {
    case Status::kConfigError:
    case Status::kInvalid:
    case Status::kBusy:
    case Status::kUnknownUser:
    case Status::kExists:
    case Status::kLoginRefused:
    case Status::kTooManyOpen:
    case Status::kNotPermitted:
      return true;
    default:
      return false;
  }
}

}  // namespace

ExitStatus exit_status_of(const Error& error) {
  switch (error.status) {
    case Status::kConfigError:
      return ExitStatus::kConfig;
    case Status::kInvalid:
      return ExitStatus::kUsage;
    case Status::kBusy:
      return ExitStatus::kAlreadyRunning;
    case Status::kUnknownUser:
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
  std::string line = is_sentence(error) ? error.context : error.message();
  std::ranges::replace(line, '\n', ' ');
  (void)std::fprintf(stderr, "homefsd: %s\n", line.c_str());  // no other place to tell it
  return exit_status_of(error);
}

}  // namespace homefs
