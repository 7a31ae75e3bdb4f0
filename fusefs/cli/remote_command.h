// RemoteCommand: a command that works on a home without a mount. The same object serves the command
// line, where it brings its own connection, and the prompt of `homefs shell`, where there is one.
//
// Executor: the main thread. Blocks: run(), until it is done.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "fusefs/cli/command.h"
#include "fusefs/cli/remote_session.h"

namespace homefs {

/// What a command works with.
struct RemoteContext {
  RemoteSession& session;
  RemotePath folder;                 ///< where paths begin
  Status last_status = Status::kOk;  ///< of what was done last, for a shell that shows it

  [[nodiscard]] RemoteClient& client() { return session.client(); }
  [[nodiscard]] Result<RemotePath> path(std::string_view text) const {
    return parse_remote_path(folder, text);
  }
  /// Says what failed, in one line; the exit status for it.
  int failed(const Error& error, const std::string& what);
};

class RemoteCommand {
 public:
  virtual ~RemoteCommand() = default;
  /// Adds flags and arguments to the parser; both live until run() has returned.
  virtual void declare(CLI::App& app) = 0;
  /// The arguments that name something on the server, where they stand: the server is cut off them
  /// before run(). Called after parsing.
  virtual std::vector<std::string*> remote_arguments() = 0;
  /// Whether run() itself waits for the signals that end it, and returns kInterrupted then.
  [[nodiscard]] virtual bool watches_for_end() const { return false; }
  /// The exit status.
  virtual int run(RemoteContext& context) = 0;
};

struct RemoteCommandEntry {
  const char* name;
  const char* description;
  std::unique_ptr<RemoteCommand> (*make)();
};

/// All of them, in the order of the help.
[[nodiscard]] const std::vector<RemoteCommandEntry>& remote_commands();

// One line each where they are defined.
std::unique_ptr<RemoteCommand> make_put_command();
std::unique_ptr<RemoteCommand> make_get_command();
std::unique_ptr<RemoteCommand> make_verify_command();
std::unique_ptr<RemoteCommand> make_list_command();
std::unique_ptr<RemoteCommand> make_copy_command();
std::unique_ptr<RemoteCommand> make_move_command();
std::unique_ptr<RemoteCommand> make_rename_command();
std::unique_ptr<RemoteCommand> make_mkdir_command();
std::unique_ptr<RemoteCommand> make_remove_command();
std::unique_ptr<RemoteCommand> make_space_command();

}  // namespace homefs
