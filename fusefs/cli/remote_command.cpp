#include "fusefs/cli/remote_command.h"

#include "fusefs/cli/remote_target.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/log_setup.h"
#include "protocol/name.h"

namespace homefs {
namespace {

// The server that the arguments name; they are only paths afterwards.
Result<std::string> take_server(const LoginFlags& flags, RemoteCommand& command) {
  const std::vector<std::string*> arguments = command.remote_arguments();
  std::vector<std::string> texts;
  for (const std::string* argument : arguments) texts.push_back(*argument);
  const bool is_server_known = !flags.host.empty() || !flags.profile.empty();
  auto split = split_remote_arguments(texts, is_server_known);
  if (!split) return std::unexpected(split.error());
  for (std::size_t i = 0; i < arguments.size(); ++i) *arguments[i] = std::move(split->paths[i]);
  return std::move(split->server);
}

int run_once(const ClientPaths& paths, const LoginFlags& flags, RemoteCommand& command) {
  log_to_stderr(false);
  const auto server = take_server(flags, command);
  if (!server) return report(server.error());
  auto session = RemoteSession::open(paths, flags, *server);
  if (!session) {
    print_error(session.error().text);
    return session.error().exit_status;
  }
  RemoteContext context{.session = **session};
  return command.run(context);
}

}  // namespace

int RemoteContext::failed(const Error& error, const std::string& what) {
  last_status = error.status;
  Error told = error;
  // The path is said once: an error of a lookup has it as its context.
  if (told.context == what || told.context == "/" + what) told.context.clear();
  print_error(homefs::quoted(what) + ": " + text_for_person(told));
  return number_of(exit_status_of(error));
}

const std::vector<RemoteCommandEntry>& remote_commands() {
  static const std::vector<RemoteCommandEntry> kCommands = {
      {"put", "put files into a home", make_put_command},
      {"get", "get files out of a home", make_get_command},
      {"verify", "compare files here with those of a home", make_verify_command},
      {"ls", "list files of a home", make_list_command},
      {"cp", "copy within a home, on the server", make_copy_command},
      {"mv", "move within a home", make_move_command},
      {"re", "rename within a folder", make_rename_command},
      {"mkdir", "make folders in a home", make_mkdir_command},
      {"rm", "remove files of a home", make_remove_command},
      {"df", "show the quota of a home", make_space_command},
  };
  return kCommands;
}

void add_remote_commands(CLI::App& app, CommandContext& context) {
  for (const RemoteCommandEntry& entry : remote_commands()) {
    CLI::App* sub = app.add_subcommand(entry.name, entry.description);
    const std::shared_ptr<RemoteCommand> command = entry.make();
    const auto flags = std::make_shared<LoginFlags>();
    command->declare(*sub);
    add_login_flags(*sub, *flags);
    sub->callback([&context, command, flags] {
      context.exit_status = run_once(context.paths, *flags, *command);
    });
  }
}

}  // namespace homefs
