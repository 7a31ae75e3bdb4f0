// `homefs profile`: servers, users and options under a name.
#include <cstdio>
#include <filesystem>

#include "config/config_error.h"
#include "config/profile.h"
#include "fusefs/cli/command.h"
#include "fusefs/cli/mount_settings.h"

namespace homefs {
namespace {

struct ProfileCommand {
  std::string name;
  std::string target;
  std::string mountpoint;
  std::string password_file;
  std::vector<std::string> option_lists;
};

// "a,b=c" as pairs; the values have been checked by then.
void add_options(const std::string& list, Profile& profile) {
  std::size_t at = 0;
  while (at < list.size()) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string item = list.substr(at, end - at);
    const std::size_t equals = item.find('=');
    if (!item.empty()) {
      profile.options.emplace_back(item.substr(0, equals),
                                   equals == item.npos ? "true" : item.substr(equals + 1));
    }
    at = end + 1;
  }
}

// A profile is used from any folder; "~" stays as it is.
std::string absolute(const std::string& path) {
  if (path.empty() || path.starts_with('~')) return path;
  std::error_code error;
  const auto whole = std::filesystem::absolute(path, error).lexically_normal();
  return error ? path : whole.string();
}

int add_profile(const ClientPaths& paths, const ProfileCommand& command) {
  if (const auto checked = check_profile_name(command.name); !checked) {
    return report(checked.error());
  }
  auto target = parse_target(command.target);
  if (!target) return report(target.error());
  Profile profile{.name = command.name,
                  .target = std::move(*target),
                  .mountpoint = absolute(command.mountpoint),
                  .token = {},
                  .password_file = absolute(command.password_file),
                  .options = {}};
  MountSettings unused;
  for (const std::string& list : command.option_lists) {
    if (const auto applied = apply_mount_options(list, unused); !applied) {
      return report(applied.error());
    }
    add_options(list, profile);
  }
  const ProfileStore store(paths.profiles_dir());
  if (store.load(command.name)) {
    return report(ExitStatus::kFailed, "the profile " + shown(command.name) +
                                           " exists: remove it first, or edit its file");
  }
  if (const auto saved = store.save(profile); !saved) return report(saved.error());
  std::printf("Mount it with: homefs mount --profile %s%s\n", command.name.c_str(),
              command.mountpoint.empty() ? " FOLDER" : "");
  return number_of(ExitStatus::kOk);
}

int list_profiles(const ClientPaths& paths) {
  const ProfileStore store(paths.profiles_dir());
  const auto names = store.list();
  if (!names) return report(names.error());
  for (const std::string& name : *names) {
    const auto profile = store.load(name);
    std::printf("%-20s %s %s\n", name.c_str(),
                profile ? profile->target.text().c_str() : "(broken)",
                profile ? profile->mountpoint.c_str() : profile.error().message().c_str());
  }
  return number_of(ExitStatus::kOk);
}

int no_profile(const std::string& name, const Error& error) {
  if (error.status != Status::kNoSuchFile) return report(error);
  return report(ExitStatus::kFailed,
                "there is no profile " + shown(name) + " (\"homefs profile list\" shows them)");
}

int show_profile(const ClientPaths& paths, const std::string& name) {
  const auto profile = ProfileStore(paths.profiles_dir()).load(name);
  if (!profile) return no_profile(name, profile.error());
  std::fputs(profile->text().c_str(), stdout);
  return number_of(ExitStatus::kOk);
}

int remove_profile(const ClientPaths& paths, const std::string& name) {
  const auto removed = ProfileStore(paths.profiles_dir()).remove(name);
  return removed ? number_of(ExitStatus::kOk) : no_profile(name, removed.error());
}

}  // namespace

void add_profile_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<ProfileCommand>();
  CLI::App* profile = app.add_subcommand("profile", "keep a server and its options under a name");
  profile->require_subcommand(1);
  CLI::App* add = profile->add_subcommand("add", "make a profile");
  add->add_option("name", command->name, "what it is called")->type_name("NAME")->required();
  add->add_option("target", command->target, "the home")
      ->type_name("[USER@]HOST[:PORT][/SUBDIR]")
      ->required();
  add->add_option("folder", command->mountpoint, "where it is mounted")->type_name("FOLDER");
  add->add_option("-o", command->option_lists, "mount options")
      ->type_name("OPTION,...")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);  // the folder may follow
  add->add_option("--password-file", command->password_file, "a file with the password")
      ->type_name("FILE");
  add->callback(
      [&context, command] { context.exit_status = add_profile(context.paths, *command); });
  CLI::App* list = profile->add_subcommand("list", "all profiles");
  list->callback([&context] { context.exit_status = list_profiles(context.paths); });
  CLI::App* show = profile->add_subcommand("show", "a profile's file");
  show->add_option("name", command->name, "which one")->type_name("NAME")->required();
  show->callback(
      [&context, command] { context.exit_status = show_profile(context.paths, command->name); });
  CLI::App* remove = profile->add_subcommand("remove", "remove a profile");
  remove->add_option("name", command->name, "which one")->type_name("NAME")->required();
  remove->callback(
      [&context, command] { context.exit_status = remove_profile(context.paths, command->name); });
}

}  // namespace homefs
