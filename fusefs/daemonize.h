// Going into the background: the command returns to the shell when the mount can be used, or with
// the reason why it cannot.
//
// The fork comes first, before any thread exists, since threads do not survive one; the child does
// everything, still at the terminal (it may ask for a password), and tells its parent how it went.
//
// Owner: the mount command. Executor: the main thread. Blocks: the parent, until the child has
// told it.
#pragma once

#include <string>

#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class Background {
 public:
  /// In the foreground: nothing is forked, and ready() and failed() only return.
  Background() = default;

  /// Forks. The parent does not return: it waits, prints what the child says, and exits with its
  /// status. Precondition: one thread. Errors: those of pipe and fork.
  static Result<Background> fork_off();

  Background(Background&&) noexcept = default;
  Background& operator=(Background&&) noexcept = default;

  /// The mount can be used: leaves the terminal, and lets the parent exit with 0.
  void ready();
  /// It cannot: the parent prints `text` ("" prints nothing) and exits with `exit_status`, which
  /// the caller is to exit with too.
  void failed(int exit_status, const std::string& text);

  [[nodiscard]] bool is_background() const { return report_.is_open(); }

 private:
  explicit Background(UniqueFd report) : report_(std::move(report)) {}
  void tell(int exit_status, const std::string& text);

  UniqueFd report_;
};

}  // namespace homefs
