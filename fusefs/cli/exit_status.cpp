#include "fusefs/cli/exit_status.h"

namespace homefs {

ExitStatus exit_status_of(const Error& error) {
  switch (error.status) {
    case Status::kInvalid:
    case Status::kConfigError:
      return ExitStatus::kUsage;
    case Status::kNotLoggedIn:
    case Status::kUnknownUser:
    case Status::kLoginRefused:
    case Status::kAccountDisabled:
    case Status::kLockedOut:
    case Status::kTooManySessions:
      return ExitStatus::kLoginRefused;
    case Status::kServerKeyUnknown:
    case Status::kServerKeyChanged:
      return ExitStatus::kServerKey;
    case Status::kDisconnected:
    case Status::kTimedOut:
    case Status::kGoingAway:
    case Status::kVersionMismatch:
    case Status::kProtocolError:
      return ExitStatus::kNoConnection;
    case Status::kBusy:
      return ExitStatus::kBusy;
    default:
      return ExitStatus::kFailed;
  }
}

}  // namespace homefs
