// `homefs status`: how each mount of the user stands, from their control sockets.
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "config/size.h"
#include "fusefs/cli/command.h"
#include "fusefs/cli/mountpoint.h"
#include "fusefs/cli/running_mounts.h"
#include "protocol/name.h"

namespace homefs {
namespace {

using Json = nlohmann::json;

struct StatusCommand {
  bool is_json = false;
};

std::uint64_t number(const Json& json, const char* key) {
  return json.value(key, std::uint64_t{0});
}

std::string size(const Json& json, const char* key) { return describe_size(number(json, key)); }

void line(const char* title, const std::string& text) {
  std::printf("  %-11s %s\n", title, text.c_str());
}

std::string moment(std::time_t time, const char* format) {
  std::tm parts{};
  char text[32];
  (void)::localtime_r(&time, &parts);
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

// What a person has to do before the mount goes on.
std::string remedy_for(const Json& refused, const RunningMount& mount, const ClientPaths& paths) {
  const std::string login = "\"homefs login " + mount.user + "@" + mount.server + "\"";
  switch (static_cast<Status>(refused.value("status", 0))) {
    case Status::kServerKeyChanged:
      return "if its administrator says that the new key is right, remove the line of " +
             mount.server + " from " + paths.known_servers_file().string() + " and run " + login +
             "; the mount goes on by itself";
    case Status::kAccountDisabled:
    case Status::kLockedOut:
      return "the mount tries again by itself";
    default:
      return "run " + login + "; the mount goes on by itself";
  }
}

std::string connection_text(const Json& link) {
  const Json refused = link.value("refused", Json());
  if (refused.is_object()) {
    return "REFUSED since " + moment(refused.value("since", std::int64_t{0}), "%F %T") + ": " +
           refused.value("text", "") + "; " + std::to_string(number(link, "calls_waiting")) +
           " requests wait";
  }
  if (!link.value("connected", false)) {
    return "NOT CONNECTED, trying again; " + std::to_string(number(link, "calls_waiting")) +
           " requests wait";
  }
  char round_trip[32];
  std::snprintf(round_trip, sizeof round_trip, "%.1f ms",
                static_cast<double>(number(link, "round_trip_us")) / 1000.0);
  return "connected to " + link.value("server", "") + ", round trip " + round_trip + ", " +
         std::to_string(1 + number(link, "bulk_connections")) + " connections, session " +
         link.value("session", "");
}

std::string quota_text(const Json& files) {
  const std::uint64_t limit = number(files, "quota_bytes");
  const std::string used = size(files, "used_bytes") + " used";
  return limit == 0 ? used + ", no quota" : used + " of " + describe_size(limit);
}

void print_troubles(const Json& link) {
  const Json troubles = link.value("troubles", Json::array());
  constexpr std::size_t kShown = 3;
  const std::size_t first = troubles.size() > kShown ? troubles.size() - kShown : 0;
  for (std::size_t i = first; i < troubles.size(); ++i) {
    const std::time_t time = troubles[i].value("time", std::int64_t{0});
    line(i == first ? "troubles" : "", moment(time, "%F %T") + " " + troubles[i].value("text", ""));
  }
}

void print_mount(const RunningMount& mount, const ClientPaths& paths) {
  const Json status = Json::parse(mount.status_text);
  const Json link = status.value("link", Json::object());
  const Json files = status.value("files", Json::object());
  std::printf("%s on %s (%s, process %ld)\n", homefs::quoted(mount.source).c_str(),
              homefs::quoted(mount.mountpoint).c_str(), mount.profile.c_str(), mount.pid);
  line("connection", connection_text(link));
  const Json refused = link.value("refused", Json());
  if (refused.is_object()) line("what to do", remedy_for(refused, mount, paths));
  line("traffic", size(link, "bytes_in") + " in, " + size(link, "bytes_out") + " out, " +
                      std::to_string(number(link, "reconnects")) + " reconnects, " +
                      std::to_string(number(link, "block_mismatches")) + " damaged blocks");
  if (!files.empty()) {
    line("unsent", size(files, "dirty_bytes"));
    line("quota", quota_text(files));
    line("cache",
         std::to_string(number(files, "nodes")) + " names, " +
             std::to_string(number(files, "open_files")) + " open files" +
             (files.value("is_shared", false) ? ", the home is mounted elsewhere too" : ""));
  }
  print_troubles(link);
}

// Its daemon was killed, or is of another version.
void print_dead_mount(const std::filesystem::path& folder) {
  std::printf("%s: no daemon answers for it; mount again, or take it away with \"homefs umount\"\n",
              homefs::quoted(folder.string()).c_str());
}

int run_status(const ClientPaths& paths, const StatusCommand& command) {
  const auto mounts = running_mounts(paths);
  if (!mounts) return report(mounts.error());
  if (command.is_json) {
    Json list = Json::array();
    for (const RunningMount& mount : *mounts) list.push_back(Json::parse(mount.status_text));
    std::printf("%s\n", list.dump(2).c_str());
    return number_of(ExitStatus::kOk);
  }
  bool is_any_mounted = !mounts->empty();
  for (const auto& folder : mounted_homes(::getuid())) {
    if (find_mount(*mounts, folder) != nullptr) continue;
    is_any_mounted = true;
    print_dead_mount(folder);
  }
  if (!is_any_mounted) std::puts("Nothing is mounted.");
  try {
    for (const RunningMount& mount : *mounts) print_mount(mount, paths);
  } catch (const Json::exception&) {
    return report(ExitStatus::kFailed, "a mount of another version answers in its own way");
  }
  return number_of(ExitStatus::kOk);
}

}  // namespace

void add_status_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<StatusCommand>();
  CLI::App* status = app.add_subcommand("status", "show how the mounts stand");
  status->add_flag("--json", command->is_json, "all there is, as JSON");
  status->callback(
      [&context, command] { context.exit_status = run_status(context.paths, *command); });
}

}  // namespace homefs
