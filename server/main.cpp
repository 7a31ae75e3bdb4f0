// homefsd: the server, and the commands of its administrator. man 8 homefsd describes all of it.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>

#include "server/admin/user_commands.h"
#include "server/data_folder.h"
#include "server/default_config.h"
#include "server/exit_status.h"
#include "server/serve.h"
#include "server/server.h"

namespace homefs {
namespace {

struct CommandLine {
  std::string config_file;  // empty: the default one, if there is one
  UserAddOptions add;
  std::string name;
  std::string quota;
  std::string token_id;
  std::optional<std::uint64_t> files_max;
  bool password_from_stdin = false;
  bool delete_files = false;
  // What was asked for.
  std::function<ExitStatus(const ServerConfig&)> run;
};

using Command = Result<void> (*)(const ServerConfig& config, const CommandLine& line);

CLI::App* add_command(CLI::App& parent, CommandLine& line, const std::string& name,
                      const std::string& description, Command command) {
  CLI::App* app = parent.add_subcommand(name, description);
  app->callback([&line, command] {
    line.run = [&line, command](const ServerConfig& config) {
      const Result<void> done = command(config, line);
      if (done) return ExitStatus::kOk;
      const ExitStatus status = print_failure(done.error());
      return done.error().status == Status::kLoginRefused ? ExitStatus::kPassword : status;
    };
  });
  return app;
}

void add_name(CLI::App* app, CommandLine& line) {
  app->add_option("NAME", line.name, "The account")->required();
}

void add_password_option(CLI::App* app, bool& flag) {
  app->add_flag("--password-stdin", flag,
                "Take the password from the first line of standard input, instead of asking");
}

// CLI11 would take -1 for the largest of the unsigned numbers.
std::string not_negative(const std::string& text) {
  return text.starts_with('-') ? "cannot be negative" : "";
}

void add_user_commands(CLI::App& app, CommandLine& line) {
  CLI::App* user = app.add_subcommand("user", "Accounts");
  user->require_subcommand(1);
  CLI::App* add = add_command(*user, line, "add", "Make an account",
                              [](const ServerConfig& config, const CommandLine& options) {
                                return user_add(config, options.add);
                              });
  add->add_option("NAME", line.add.name, "The account: a-z, A-Z, 0-9, '.', '_', '-'")->required();
  add->add_option("--quota", line.add.quota, "Bytes it may use, such as 10GiB; 0 = unlimited");
  add->add_option("--files", line.add.files_max, "Files it may have; 0 = unlimited")
      ->check(not_negative);
  add->add_option("--display-name", line.add.display_name, "The user's name, for people");
  add->add_flag("--preserve-owners", line.add.preserve_owners,
                "Keep numeric owners and devices, for mounts with idmap=none");
  add_password_option(add, line.add.password_from_stdin);
  CLI::App* passwd =
      add_command(*user, line, "passwd", "Set a password",
                  [](const ServerConfig& config, const CommandLine& options) {
                    return user_passwd(config, options.name, options.password_from_stdin);
                  });
  add_name(passwd, line);
  add_password_option(passwd, line.password_from_stdin);
  CLI::App* quota =
      add_command(*user, line, "quota", "Set the quota",
                  [](const ServerConfig& config, const CommandLine& options) {
                    return user_quota(config, options.name, options.quota, options.files_max);
                  });
  add_name(quota, line);
  quota->add_option("SIZE", line.quota, "Such as 10GiB; 0 = unlimited")->required();
  quota->add_option("--files", line.files_max, "Files it may have; 0 = unlimited")
      ->check(not_negative);
  add_name(add_command(*user, line, "disable", "Let nobody log in, and end what is logged in",
                       [](const ServerConfig& config, const CommandLine& options) {
                         return user_set_disabled(config, options.name, true);
                       }),
           line);
  add_name(add_command(*user, line, "enable", "Undo disable",
                       [](const ServerConfig& config, const CommandLine& options) {
                         return user_set_disabled(config, options.name, false);
                       }),
           line);
  add_name(add_command(*user, line, "recount", "Count what the home uses again",
                       [](const ServerConfig& config, const CommandLine& options) {
                         return user_recount(config, options.name);
                       }),
           line);
  add_command(*user, line, "list", "List the accounts",
              [](const ServerConfig& config, const CommandLine&) { return user_list(config); });
  CLI::App* remove = add_command(*user, line, "remove", "Remove an account",
                                 [](const ServerConfig& config, const CommandLine& options) {
                                   return user_remove(config, options.name, options.delete_files);
                                 });
  add_name(remove, line);
  remove->add_flag("--delete-files", line.delete_files, "Delete its home too, for good");
}

void add_token_commands(CLI::App& app, CommandLine& line) {
  CLI::App* token = app.add_subcommand("token", "Device tokens");
  token->require_subcommand(1);
  add_command(*token, line, "list", "List them",
              [](const ServerConfig& config, const CommandLine& options) {
                return token_list(config, options.name);
              })
      ->add_option("NAME", line.name, "Of one account only");
  CLI::App* revoke = add_command(*token, line, "revoke", "Log a device out, for good",
                                 [](const ServerConfig& config, const CommandLine& options) {
                                   return token_revoke(config, options.name, options.token_id);
                                 });
  add_name(revoke, line);
  revoke->add_option("ID", line.token_id, "As token list shows it")->required();
}

void add_rescan_command(CLI::App& app, CommandLine& line) {
  add_name(add_command(app, line, "rescan", "Make mounts ask for everything in a home anew",
                       [](const ServerConfig& config, const CommandLine& options) {
                         return rescan_home(config, options.name);
                       }),
           line);
}

ExitStatus check_config(const ServerConfig& config) {
  const Result<Accounts> accounts = Accounts::load(config.accounts_file);
  if (!accounts && accounts.error().status != Status::kNoSuchFile) {
    return print_failure(accounts.error());
  }
  std::printf("homes: %s\naccounts: %zu in %s\n", config.homes_dir.c_str(),
              accounts ? accounts->all().size() : 0, config.accounts_file.c_str());
  if (accounts) {
    for (const std::string& warning : accounts->warnings()) {
      std::fprintf(stderr, "homefsd: warning: %s\n", warning.c_str());
    }
  }
  return ExitStatus::kOk;
}

void add_other_commands(CLI::App& app, CommandLine& line) {
  const auto serve_until_stopped = [&line](const ServerConfig& config) {
    return serve({.config = config,
                  .config_file = line.config_file.empty() ? kConfigFile : line.config_file,
                  .reload_config = [&line] { return load_config(line.config_file); }});
  };
  line.run = serve_until_stopped;
  app.add_subcommand("serve", "Serve the homes (the default)")
      ->callback([&line, serve_until_stopped] { line.run = serve_until_stopped; });
  app.add_subcommand("check-config", "Say whether homefsd.json and accounts.ini can be used")
      ->callback([&line] { line.run = check_config; });
}

ExitStatus run(int argc, char** argv) {
  CLI::App app("homefsd keeps a home for each user and serves it to their mounts.", "homefsd");
  CommandLine line;
  app.add_option("--config", line.config_file, "Instead of /etc/homefs/homefsd.json");
  app.set_version_flag("--version", "homefsd " HOMEFS_VERSION);
  app.require_subcommand(0, 1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("homefsd: ") + error.what() + " (--help shows how)\n";
  });
  add_other_commands(app, line);
  add_user_commands(app, line);
  add_token_commands(app, line);
  add_rescan_command(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // the library's way to say --help, too
    return app.exit(error) == 0 ? ExitStatus::kOk : ExitStatus::kUsage;
  }
  const Result<ServerConfig> config = load_config(line.config_file);
  if (!config) {
    (void)print_failure(config.error());
    return ExitStatus::kConfig;
  }
  if (Result<void> owned = DataFolder::check_owner(config->data_dir); !owned) {
    return print_failure(owned.error());
  }
  return line.run(*config);
}

}  // namespace
}  // namespace homefs

int main(int argc, char** argv) {
  try {
    return static_cast<int>(homefs::run(argc, argv));
  } catch (const std::exception& error) {  // of a library: no memory, a file system that fails
    std::fprintf(stderr, "homefsd: %s\n", error.what());
    return static_cast<int>(homefs::ExitStatus::kFailed);
  }
}
