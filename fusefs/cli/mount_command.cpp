// `homefs mount`: from the command line to a mount that runs in the background.
#include <grp.h>
#include <pwd.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "fusefs/cli/command.h"
#include "fusefs/cli/mount_settings.h"
#include "fusefs/cli/mountpoint.h"
#include "fusefs/cli/remount.h"
#include "fusefs/cli/server_pins.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/control_socket.h"
#include "fusefs/daemonize.h"
#include "fusefs/fuse_session.h"
#include "fusefs/link_status.h"
#include "fusefs/log_setup.h"
#include "fusefs/server_link.h"
#include "fusefs/state_lock.h"
#include "fusefs/transfer/side_log.h"

namespace homefs {
namespace {

struct MountCommand {
  LoginFlags login;
  std::vector<std::string> positionals;  ///< [TARGET] MOUNTPOINT, or none with --profile
  std::vector<std::string> option_lists;
  bool is_foreground = false;
  bool is_debug = false;
};

/// What is to be mounted where, when the command line and the profile are understood.
struct MountPlan {
  MountSettings settings;
  std::string target_text;
  LoginFlags login;
  ConnectPlan connect;
};

Failure failure_of(const Error& error) {
  return {number_of(exit_status_of(error)), text_for_person(error)};
}

Failure bad_usage(const std::string& text) { return {number_of(ExitStatus::kUsage), text}; }

// "homefs#alice@files:/" is how fstab says which program a mount of type "fuse" is for.
std::string without_program(const std::string& source) {
  constexpr std::string_view kProgram = "homefs#";
  return source.starts_with(kProgram) ? source.substr(kProgram.size()) : source;
}

// Flags of the command line win over -o, and both over the profile.
void settle_flags(const MountSettings& settings, LoginFlags& login) {
  if (login.pin.empty()) login.pin = settings.pin.value_or("");
  if (login.password_file.empty()) login.password_file = settings.password_file.value_or("");
  if (login.port.empty() && settings.port) login.port = std::to_string(*settings.port);
  login.accept_new_server |= settings.accept_new_server;
}

std::expected<std::filesystem::path, Failure> mountpoint_of(const ClientPaths& paths,
                                                            const std::string& text) {
  auto resolved = resolve_mountpoint(paths, text);
  if (!resolved) return std::unexpected(bad_usage(resolved.error().message()));
  return *std::move(resolved);
}

std::expected<MountPlan, Failure> plan_mount(const ClientPaths& paths,
                                             const MountCommand& command) {
  MountPlan plan;
  MountSettings from_line;
  for (const std::string& list : command.option_lists) {
    if (const auto applied = apply_mount_options(list, from_line); !applied) {
      return std::unexpected(bad_usage(applied.error().context));
    }
  }
  plan.login = command.login;
  if (plan.login.profile.empty()) plan.login.profile = from_line.profile.value_or("");
  settle_flags(from_line, plan.login);
  const std::size_t count = command.positionals.size();
  const bool is_alone = count == 1 && plan.login.host.empty() && plan.login.profile.empty();
  if (is_alone) {
    return std::unexpected(
        bad_usage("a server or a folder is missing: homefs mount "
                  "[USER@]HOST FOLDER, or --profile NAME"));
  }
  if (count == 2) plan.target_text = without_program(command.positionals[0]);
  auto connect = make_connect_plan(paths, plan.login, plan.target_text, {.credentials = false});
  if (!connect) return std::unexpected(failure_of(connect.error()));
  plan.connect = std::move(*connect);
  if (plan.connect.profile) {
    for (const auto& [name, value] : plan.connect.profile->options) {
      if (value == "false") continue;
      const auto given = value == "true" ? std::nullopt : std::optional<std::string_view>(value);
      if (const auto applied = apply_mount_option(name, given, plan.settings); !applied) {
        return std::unexpected(
            bad_usage("profile " + plan.connect.profile->name + ": " + applied.error().context));
      }
    }
  }
  for (const std::string& list : command.option_lists) {
    (void)apply_mount_options(list, plan.settings);  // has been checked above
  }
  settle_flags(plan.settings, plan.login);
  plan.settings.is_foreground |= command.is_foreground || command.is_debug;
  plan.settings.mount.debug |= command.is_debug;
  std::string folder;
  if (count > 0) folder = command.positionals.back();
  if (folder.empty() && plan.connect.profile) folder = plan.connect.profile->mountpoint;
  if (folder.empty()) {
    return std::unexpected(bad_usage("no mount point is named: homefs mount [USER@]HOST FOLDER"));
  }
  auto mountpoint = mountpoint_of(paths, folder);
  if (!mountpoint) return std::unexpected(mountpoint.error());
  plan.settings.mount.mountpoint = std::move(*mountpoint);
  if (plan.settings.mount.source.empty()) {
    const Target& target = plan.connect.target;
    plan.settings.mount.source = target.user + "@" + target.host + ":/" + target.subdir;
  }
  return plan;
}

// Root mounts for somebody else (fstab: setuid=alice).
Result<> become_user(const std::string& name) {
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr) return fail(Status::kInvalid, "setuid: there is no user " + name);
  if (::geteuid() != 0) {
    if (entry->pw_uid == ::getuid()) return {};
    return fail(Status::kNotPermitted, "setuid: only root can become " + name);
  }
  const std::string home = entry->pw_dir;
  if (::initgroups(name.c_str(), entry->pw_gid) != 0 || ::setgid(entry->pw_gid) != 0 ||
      ::setuid(entry->pw_uid) != 0) {
    return fail_errno(errno, "setuid=" + name);
  }
  (void)::setenv("HOME", home.c_str(), 1);
  (void)::setenv("USER", name.c_str(), 1);
  for (const char* variable : {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"}) {
    (void)::unsetenv(variable);
  }
  return {};
}

std::unique_ptr<ControlSocket> listen_for_commands(const ClientPaths& paths, const MountPlan& plan,
                                                   const StateLock& state, ServerLink& link) {
  const auto folder = paths.make_runtime_dir();
  auto control = folder ? ControlSocket::listen(*folder / (state.name() + ".sock"))
                        : std::unexpected(folder.error());
  if (!control) {
    // The mount works without it; "homefs status" does not show it.
    print_error("no control socket, going on without: " + control.error().message());
    return nullptr;
  }
  const nlohmann::json mount = {{"profile", state.name()},
                                {"mountpoint", plan.settings.mount.mountpoint.string()},
                                {"source", plan.settings.mount.source},
                                {"user", plan.connect.target.user},
                                {"pid", ::getpid()},
                                {"started", std::time(nullptr)},
                                {"version", HOMEFS_VERSION},
                                {"read_only", plan.settings.mount.read_only}};
  (*control)->add_status("mount", [mount] { return mount; });
  (*control)->add_status("link", [&link] { return link_status_json(link); });
  (*control)->on_connect([&link] { link.hurry(); });
  return std::move(*control);
}

Result<> check_home(const MountPlan& plan, const HomeInfo& home) {
  if (plan.settings.mount.id_map == IdMap::kNone && !home.preserves_owners) {
    return fail(Status::kInvalid,
                "idmap=none: this account does not preserve owners. Leave the option out, or have "
                "the administrator of the server set preserve_owners = yes for the account in "
                "accounts.ini, and mount again");
  }
  return {};
}

// The whole life of the mount, in the process that serves it.
Failure serve_mount(const ClientPaths& paths, MountPlan& plan, Background& background) {
  const bool is_debug = plan.settings.mount.debug;
  auto connect = make_connect_plan(paths, plan.login, plan.target_text, {.credentials = true});
  if (!connect) return failure_of(connect.error());
  remove_dead_mounts(plan.settings.mount.mountpoint);
  if (const auto checked = check_mountpoint(plan.settings.mount.mountpoint); !checked) {
    return {number_of(ExitStatus::kMountFailed), text_for_person(checked.error())};
  }
  auto state = connect->profile ? StateLock::acquire(paths, connect->state_name)
                                : StateLock::acquire_any(paths, connect->state_name);
  if (!state) return failure_of(state.error());
  connect->state_name = state->name();
  auto options = link_options_of(paths, plan.login, *connect);
  if (!options) return failure_of(options.error());
  auto tls = TlsContext::client();
  if (!tls) return failure_of(tls.error());
  if (background.is_background()) log_to_file(state->folder() / "homefs.log", is_debug);

  block_end_signals();
  SideLog side_log({.file = state->folder() / "transfers.jsonl",
                    .mount = plan.settings.mount.mountpoint.string()});
  options->times = plan.settings.times;
  options->bulk_connections = plan.settings.bulk_connections;
  options->on_write_mismatch = [&](NodeId node, std::uint64_t offset, int attempt) {
    side_log.on_write_mismatch(node, offset, attempt);
  };
  options->on_reconnected = [&side_log] { side_log.on_resumed(); };
  IoThreads io(kLinkThreads);
  io.start();
  ServerLink link(io, *tls, std::move(*options));
  if (const auto connected = link.connect_and_login(); !connected) {
    return {number_of(exit_status_of(connected.error())),
            explain_connect_error(connected.error(), connect->target, paths)};
  }
  if (connect->trust.pinned.empty()) {
    const auto pinned = remember_server(paths, connect->target, link.offered_fingerprint());
    if (!pinned) return failure_of(pinned.error());
  }
  const HomeInfo home = link.session()->home;
  if (const auto checked = check_home(plan, home); !checked) return failure_of(checked.error());
  plan.settings.mount.read_only |= home.is_read_only;
  const auto control = listen_for_commands(paths, plan, *state, link);
  const auto on_ready = [&] {
    background.ready();
    (void)::sd_notifyf(0, "READY=1\nSTATUS=%s mounted", plan.settings.mount.source.c_str());
  };
  const auto ended = run_mount(
      plan.settings.mount,
      {.link = link, .io = io, .transfers = side_log, .control = control.get()}, on_ready);
  if (!ended) return {number_of(ExitStatus::kMountFailed), text_for_person(ended.error())};
  return {*ended, {}};
}

int carry_out(const ClientPaths& paths, MountPlan& plan) {
  if (plan.login.password) {
    print_error(
        "warning: -p shows the password to everybody who runs \"ps\"; \"homefs login\" "
        "or --password-file does not");
  }
  log_to_stderr(plan.settings.mount.debug);
  Background background;
  if (!plan.settings.is_foreground) {
    auto forked = Background::fork_off();
    if (!forked) return report(forked.error());
    background = std::move(*forked);
  }
  const Failure end = serve_mount(paths, plan, background);
  if (end.text.empty()) return end.exit_status;
  if (background.is_background()) {
    background.failed(end.exit_status, end.text);
  } else if (plan.settings.is_foreground) {
    print_error(end.text);
  } else {
    spdlog::error("{}", end.text);  // the terminal is left behind
  }
  return end.exit_status;
}

// What `mount -o remount` asks of its helper. Only ro and rw can be changed.
std::optional<int> run_remount(const MountCommand& command) {
  MountSettings asked;
  for (const std::string& list : command.option_lists) {
    if (!apply_mount_options(list, asked)) return std::nullopt;  // reported by plan_mount()
  }
  if (!asked.is_remount) return std::nullopt;
  if (command.positionals.empty()) return report(ExitStatus::kUsage, "no mount point is named");
  const std::string& folder = command.positionals.back();
  const Result<bool> is_read_only = is_mounted_read_only(folder);
  if (!is_read_only) return report(is_read_only.error());
  asked.mount.read_only = *is_read_only;
  for (const std::string& list : command.option_lists) (void)apply_mount_options(list, asked);
  if (const auto done = remount(folder, asked.mount.read_only); !done) {
    return report(done.error());
  }
  return number_of(ExitStatus::kOk);
}

int run_mount_command(const ClientPaths& paths, const MountCommand& command) {
  if (const std::optional<int> status = run_remount(command)) return *status;
  auto plan = plan_mount(paths, command);
  if (plan && plan->settings.set_user) {
    // Paths and profiles are of that user from now on.
    if (const auto become = become_user(*plan->settings.set_user); !become) {
      return report(become.error());
    }
    const auto their_paths = ClientPaths::make(ClientEnvironment::of_process());
    if (!their_paths) return report(their_paths.error());
    plan = plan_mount(*their_paths, command);
    if (plan) return carry_out(*their_paths, *plan);
  }
  if (!plan) {
    print_error(plan.error().text);
    return plan.error().exit_status;
  }
  return carry_out(paths, *plan);
}

// Two positionals of which the first may be missing: CLI11 shows them as one, "target(0x)".
class MountFormatter final : public CLI::Formatter {
  std::string make_option_usage(const CLI::Option*) const override { return "[TARGET] FOLDER"; }
};

}  // namespace

void add_mount_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<MountCommand>();
  CLI::App* mount = app.add_subcommand("mount", "mount a home as a folder");
  const auto formatter = std::make_shared<MountFormatter>();
  formatter->column_width(34);
  mount->formatter(formatter);
  mount->add_option("target", command->positionals, "[USER@]HOST[:PORT][/SUBDIR] and the folder")
      ->type_name("[TARGET] FOLDER")
      ->expected(0, 2);
  add_login_flags(*mount, command->login);
  mount->add_option("-o", command->option_lists, "mount options, as homefs(1) lists them")
      ->type_name("OPTION,...")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);  // the folder may follow
  mount->add_flag("-f,--foreground", command->is_foreground, "stay in the foreground");
  mount->add_flag("-d,--debug", command->is_debug, "the same, and show every request");
  mount->callback(
      [&context, command] { context.exit_status = run_mount_command(context.paths, *command); });
}

}  // namespace homefs
