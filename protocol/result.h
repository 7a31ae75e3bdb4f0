// Errors as values: Result<T> for everything a caller could handle, CHECK for our own bugs.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "protocol/status.h"

namespace homefs {

/// What went wrong: a wire-stable code, and a short text for the person who reads the message.
struct Error {
  Status status = Status::kIoError;
  std::string context;  ///< "open known_hosts: permission denied"; may be empty.

  /// "context: text of the status", or the text alone.
  [[nodiscard]] std::string message() const;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// Shorthand for `return fail(Status::kInvalid, "name is empty");`.
[[nodiscard]] inline std::unexpected<Error> fail(Status status, std::string context = {}) {
  return std::unexpected(Error{status, std::move(context)});
}

/// The same for a failed system call: the status of `error` (an errno), "what: strerror".
[[nodiscard]] std::unexpected<Error> fail_errno(int error, std::string what = {});

/// Logs to stderr where and what, and aborts. For broken invariants of our own only: never for
/// anything a peer, a user or the disk could cause.
[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace homefs

#define HOMEFS_CHECK(condition)                               \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::homefs::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
