// homefs: the client's command line. Each command is a file in cli/.
#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "config/config_error.h"
#include "fusefs/cli/arguments.h"
#include "fusefs/cli/command.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/mount_guard.h"

namespace homefs {
namespace {

// A wrong command line is told of in one line, as every other failure.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  const bool is_question = error.get_exit_code() == number_of(ExitStatus::kOk);
  if (is_question) return app.exit(error);
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "homefs" : "homefs " + chosen.front()->get_name();
  return report(ExitStatus::kUsage,
                std::string(error.what()) + " (\"" + command + " --help\" shows how)");
}

int run(std::string_view program, const std::vector<std::string>& arguments) {
  const auto paths = ClientPaths::make(ClientEnvironment::of_process());
  if (!paths) return report(paths.error());
  CommandContext context{.paths = *paths};
  CLI::App app("Mounts and manages homes on a homefsd server.", "homefs");
  app.set_version_flag("-V,--version", "homefs " HOMEFS_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  add_login_command(app, context);
  add_mount_command(app, context);
  add_umount_command(app, context);
  add_progress_command(app, context);
  add_status_command(app, context);
  add_logout_command(app, context);
  add_profile_command(app, context);
  add_remote_commands(app, context);
  add_shell_command(app, context);

  std::vector<std::string> commands;
  for (const CLI::App* each : app.get_subcommands({})) commands.push_back(each->get_name());
  std::vector<std::string> normal = normalize_arguments(program, arguments, commands);
  std::vector<std::string> reversed(normal.rbegin(), normal.rend());  // as CLI11 wants them
  if (normal.empty())
    return report(ExitStatus::kUsage, "no command is given; \"homefs --help\" lists them");
  if (!normal[0].starts_with('-') && std::ranges::find(commands, normal[0]) == commands.end()) {
    return report(ExitStatus::kUsage,
                  "there is no command " + shown(normal[0]) + suggestion(normal[0], commands));
  }
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  }
  return context.exit_status;
}

}  // namespace
}  // namespace homefs

int main(int argc, char** argv) {
  if (homefs::is_mount_guard(argc, argv)) return homefs::run_mount_guard(argc, argv);
  // Names are UTF-8 at the prompt too, whatever the environment says: in the "C" locale libedit
  // drops every other character. Nothing else of a locale is taken: numbers stay as JSON wants
  // them.
  (void)std::setlocale(LC_CTYPE, "C.UTF-8");  // without it the prompt refuses what is not ASCII
  (void)std::signal(SIGPIPE, SIG_IGN);        // a reader that has left is an error of its write
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    return homefs::run(argc > 0 ? argv[0] : "homefs", arguments);
  } catch (const std::exception& error) {  // of a library: no memory, a file system that fails
    return homefs::report(homefs::ExitStatus::kFailed, error.what());
  }
}
