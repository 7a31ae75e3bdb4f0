// What all commands of homefs have in common: where their files are, and the flags that log in.
//
// A command is a function that adds its subcommand to the parser and stores its exit status in
// Command::exit_status when it was run.
//
// Executor: the main thread.
#pragma once

#include <CLI/CLI.hpp>

#include "config/client_paths.h"
#include "fusefs/cli/connect_plan.h"
#include "fusefs/cli/exit_status.h"

namespace homefs {

struct CommandContext {
  const ClientPaths& paths;
  int exit_status = 0;  ///< of the command that was run
};

/// -s -P -u -p --password-file --profile --pin --accept-new-server; -p only where it is not taken.
void add_login_flags(CLI::App& command, LoginFlags& flags);

/// Prints the error as the one line that a command ends with; its exit status.
[[nodiscard]] int report(ExitStatus status, const std::string& text);
[[nodiscard]] int report(const Error& error);

void add_mount_command(CLI::App& app, CommandContext& context);
void add_umount_command(CLI::App& app, CommandContext& context);
void add_login_command(CLI::App& app, CommandContext& context);
void add_logout_command(CLI::App& app, CommandContext& context);
void add_status_command(CLI::App& app, CommandContext& context);
void add_progress_command(CLI::App& app, CommandContext& context);
void add_profile_command(CLI::App& app, CommandContext& context);
/// put, get, ls, ...: all that work on a home without a mount.
void add_remote_commands(CLI::App& app, CommandContext& context);
void add_shell_command(CLI::App& app, CommandContext& context);

}  // namespace homefs
