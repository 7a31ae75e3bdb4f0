#include "fusefs/cli/running_mounts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fusefs/control_socket.h"

namespace homefs {
namespace {

RunningMount mount_of(const std::filesystem::path& socket, const nlohmann::json& status) {
  const auto mount = status.value("mount", nlohmann::json::object());
  const auto link = status.value("link", nlohmann::json::object());
  return {.socket = socket,
          .profile = mount.value("profile", ""),
          .mountpoint = mount.value("mountpoint", ""),
          .source = mount.value("source", ""),
          .user = mount.value("user", ""),
          .server = link.value("server", ""),
          .pid = mount.value("pid", 0L),
          .status_text = status.dump()};
}

}  // namespace

Result<std::vector<RunningMount>> running_mounts(const ClientPaths& paths) {
  const auto folder = paths.make_runtime_dir();
  if (!folder) return std::unexpected(folder.error());
  std::vector<RunningMount> mounts;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*folder, error)) {
    if (entry.path().extension() != ".sock") continue;
    const auto status = ask_control(entry.path(), {{"ask", "status"}});
    if (status) {
      try {
        mounts.push_back(mount_of(entry.path(), *status));
      } catch (const nlohmann::json::exception&) {
        continue;  // not a daemon of this version: nothing that can be shown
      }
    } else if (status.error().status == Status::kDisconnected) {
      std::error_code ignored;  // a daemon that was killed; somebody else may have removed it
      std::filesystem::remove(entry.path(), ignored);
    }
  }
  if (error) return fail_errno(error.value(), folder->string());
  std::ranges::sort(mounts, {}, &RunningMount::profile);
  return mounts;
}

const RunningMount* find_mount(const std::vector<RunningMount>& mounts,
                               const std::filesystem::path& mountpoint) {
  for (const RunningMount& mount : mounts) {
    if (mount.mountpoint == mountpoint) return &mount;
  }
  return nullptr;
}

}  // namespace homefs
