// `homefs shell`: the prompt.
#include "fusefs/cli/command.h"
#include "fusefs/cli/remote_target.h"
#include "fusefs/cli/shell.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/log_setup.h"

namespace homefs {
namespace {

struct ShellCommand {
  std::string target;
  Shell::Options options;
};

int run_shell(const ClientPaths& paths, ShellCommand& command) {
  log_to_stderr(false);
  if (command.options.login.password) {
    print_error(
        "warning: -p shows the password to everybody who runs \"ps\"; \"homefs login\" "
        "or --password-file does not");
  }
  command.options.server = command.target;
  return Shell(paths, std::move(command.options)).run();
}

}  // namespace

void add_shell_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<ShellCommand>();
  CLI::App* shell = app.add_subcommand("shell", "a prompt for put, get, ls, cd, ...");
  shell->add_option("target", command->target, "[USER@]HOST[:PORT][/SUBDIR]")
      ->type_name("[USER@]HOST");
  shell->add_flag("-v,--verbose", command->options.is_verbose, "show status codes");
  add_login_flags(*shell, command->options.login);
  shell->callback(
      [&context, command] { context.exit_status = run_shell(context.paths, *command); });
}

}  // namespace homefs
