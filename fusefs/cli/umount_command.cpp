// `homefs umount`: waits until everything is on the server, then takes the mount away. Works also
// when the daemon hangs or is gone: the mount point itself is never looked at.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "config/size.h"
#include "fusefs/cli/command.h"
#include "fusefs/cli/mountpoint.h"
#include "fusefs/cli/running_mounts.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/control_socket.h"
#include "fusefs/transfer/transfer_record.h"
#include "protocol/name.h"

extern char** environ;

namespace homefs {
namespace {

using Clock = std::chrono::steady_clock;

struct UmountCommand {
  std::string mountpoint;
  bool is_lazy = false;
  bool is_forced = false;
  int timeout_seconds = 0;  ///< 0: waits for as long as it goes on
};

constexpr std::chrono::milliseconds kLookEvery{200};
// Nothing was sent for so long: whoever waits here is told, and decides.
constexpr std::chrono::seconds kStandstillMax{60};

struct Outcome {
  int exit_status = 0;
  std::string text;  ///< of stderr
};

// Runs a program and returns what it says on stderr.
Outcome run_program(const std::vector<std::string>& command) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return {1, std::strerror(errno)};
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  posix_spawn_file_actions_t actions;
  (void)::posix_spawn_file_actions_init(&actions);
  (void)::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  std::vector<std::string> copy = command;
  std::vector<char*> arguments;
  for (std::string& each : copy) arguments.push_back(each.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  (void)::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return {127, command[0] + ": " + std::strerror(error)};
  write_end.reset();
  Outcome outcome;
  std::array<char, 512> buffer{};
  for (ssize_t count = 0; (count = ::read(read_end.get(), buffer.data(), buffer.size())) > 0;) {
    outcome.text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  while (!outcome.text.empty() && outcome.text.back() == '\n') outcome.text.pop_back();
  return outcome;
}

Outcome unmount(const std::filesystem::path& mountpoint, bool is_lazy) {
  std::vector<std::string> command{"fusermount3", "-u"};
  if (is_lazy) command.emplace_back("-z");
  command.emplace_back("--");
  command.push_back(mountpoint.string());
  return run_program(command);
}

std::uint64_t unsent_bytes(const nlohmann::json& status) {
  const auto files = status.value("files", nlohmann::json::object());
  const auto link = status.value("link", nlohmann::json::object());
  // What is queued for the network is, but for a few requests, what the files have unsent.
  return std::max(files.value("dirty_bytes", std::uint64_t{0}),
                  link.value("queued_bytes", std::uint64_t{0}));
}

// Says how much is left, on one line that is written over; nothing where there is no terminal.
class Remaining {
 public:
  ~Remaining() { say(""); }
  void show(std::uint64_t bytes, bool is_connected) {
    say(describe_size(bytes) + " to be sent" + (is_connected ? "" : ", waiting for the server"));
  }

 private:
  void say(const std::string& text) {
    if (::isatty(STDERR_FILENO) == 0 || (text.empty() && !has_said_)) return;
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    has_said_ = true;
  }
  bool has_said_ = false;
};

// Waits until the daemon has sent everything. Returns what is unsent when the time is over or
// nothing moves any more.
std::uint64_t wait_until_sent(const RunningMount& mount, Clock::time_point end) {
  Remaining remaining;
  std::uint64_t last = 0;
  auto moved = Clock::now();
  for (;;) {
    const auto status = ask_control(mount.socket, {{"ask", "status"}});
    if (!status) return 0;  // it has ended, or will not say: the kernel decides
    const std::uint64_t bytes = unsent_bytes(*status);
    if (bytes == 0) return 0;
    if (bytes != last) moved = Clock::now();
    last = bytes;
    const auto link = status->value("link", nlohmann::json::object());
    remaining.show(bytes, link.value("connected", false));
    if (Clock::now() >= end || Clock::now() - moved >= kStandstillMax) return bytes;
    std::this_thread::sleep_for(kLookEvery);
  }
}

// The daemon sends what the kernel gave it at the very end, and exits.
bool wait_until_gone(const RunningMount& mount, Clock::time_point end) {
  Remaining remaining;
  std::uint64_t last = 0;
  auto moved = Clock::now();
  while (::kill(static_cast<pid_t>(mount.pid), 0) == 0) {
    const auto status = ask_control(mount.socket, {{"ask", "status"}});
    if (!status) return true;
    const std::uint64_t bytes = unsent_bytes(*status);
    if (bytes > 0) remaining.show(bytes, true);
    if (bytes != last) moved = Clock::now();
    last = bytes;
    if (Clock::now() >= end || Clock::now() - moved >= kStandstillMax) return false;
    std::this_thread::sleep_for(kLookEvery);
  }
  return true;
}

// Whatever the daemon still has is given up.
int force_umount(const RunningMount* mount, const std::filesystem::path& mountpoint) {
  std::uint64_t lost = 0;
  if (mount != nullptr) {
    if (const auto status = ask_control(mount->socket, {{"ask", "status"}})) {
      lost = unsent_bytes(*status);
    }
  }
  const Outcome outcome = unmount(mountpoint, /*is_lazy=*/true);
  if (mount != nullptr) (void)::kill(static_cast<pid_t>(mount->pid), SIGKILL);
  if (outcome.exit_status != 0) return report(ExitStatus::kMountFailed, outcome.text);
  if (lost > 0) print_error(describe_size(lost) + " were not on the server yet, and are lost");
  return number_of(ExitStatus::kOk);
}

int run_umount(const ClientPaths& paths, const UmountCommand& command) {
  const auto resolved = resolve_mountpoint(paths, command.mountpoint);
  if (!resolved) return report(ExitStatus::kUsage, resolved.error().message());
  const std::filesystem::path& mountpoint = *resolved;
  const auto mounts = running_mounts(paths);
  const RunningMount* mount = mounts ? find_mount(*mounts, mountpoint) : nullptr;
  const std::string name = homefs::quoted(mountpoint.string());
  if (mount == nullptr && !is_home_mounted(mountpoint)) {
    return report(ExitStatus::kMountFailed, name + " is not a mount of homefs");
  }
  if (command.is_forced) return force_umount(mount, mountpoint);
  const auto end = command.timeout_seconds == 0
                       ? Clock::time_point::max()
                       : Clock::now() + std::chrono::seconds(command.timeout_seconds);
  const bool waits = mount != nullptr && !command.is_lazy;
  if (const std::uint64_t unsent = waits ? wait_until_sent(*mount, end) : 0; unsent > 0) {
    return report(ExitStatus::kBusy,
                  name + " stays mounted: " + describe_size(unsent) +
                      " are not on the server yet (-l detaches it and goes on sending, -f gives "
                      "them up)");
  }
  const Outcome outcome = unmount(mountpoint, command.is_lazy);
  if (outcome.exit_status != 0) {
    const bool is_busy = outcome.text.find("busy") != outcome.text.npos;
    return report(is_busy ? ExitStatus::kBusy : ExitStatus::kMountFailed,
                  is_busy ? name +
                                " is in use: close what uses it (\"fuser -vm\" shows it), or "
                                "detach it with -l"
                          : outcome.text);
  }
  if (waits && !wait_until_gone(*mount, end)) {
    return report(ExitStatus::kBusy,
                  name +
                      " is unmounted, but its daemon goes on: it is still sending (\"homefs "
                      "progress\" shows what), or a container or service that was started "
                      "meanwhile has the mount as well");
  }
  return number_of(ExitStatus::kOk);
}

}  // namespace

void add_umount_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<UmountCommand>();
  CLI::App* umount = app.add_subcommand("umount", "send everything, then take a mount away");
  umount->add_option("folder", command->mountpoint, "where it is mounted")
      ->type_name("FOLDER")
      ->required();
  umount->add_flag("-l,-z,--lazy", command->is_lazy,
                   "detach it now; its daemon goes on sending in the background");
  umount->add_flag("-f,--force", command->is_forced,
                   "take it away now and give up what is not on the server yet");
  umount->add_option("--timeout", command->timeout_seconds, "give up after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86400));
  umount->callback(
      [&context, command] { context.exit_status = run_umount(context.paths, *command); });
}

}  // namespace homefs
