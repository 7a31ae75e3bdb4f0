#include "config/client_paths.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace homefs {
namespace {

constexpr mode_t kPrivateMode = 0700;
constexpr std::size_t kUserEntryBytesMax = 16 * 1024;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<std::string> home_of(uid_t uid) {
  passwd entry;
  passwd* found = nullptr;
  std::array<char, kUserEntryBytesMax> buffer;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0) return std::nullopt;
  if (found == nullptr || found->pw_dir == nullptr) return std::nullopt;
  return found->pw_dir;
}

bool is_absolute(const std::optional<std::string>& path) { return path && path->starts_with('/'); }

// An XDG folder: the variable's, else `fallback` under the home.
Result<std::filesystem::path> base_dir(const std::optional<std::string>& value,
                                       std::string_view variable_name,
                                       const std::filesystem::path& home,
                                       std::string_view fallback) {
  if (is_absolute(value)) return std::filesystem::path(*value);
  if (!home.empty()) return home / fallback;
  return fail(Status::kConfigError,
              "neither " + std::string(variable_name) + " nor HOME is set to an absolute path");
}

}  // namespace

ClientEnvironment ClientEnvironment::of_process() {
  ClientEnvironment environment;
  environment.config_home = variable("XDG_CONFIG_HOME");
  environment.state_home = variable("XDG_STATE_HOME");
  environment.runtime_dir = variable("XDG_RUNTIME_DIR");
  environment.uid = ::geteuid();
  environment.home = variable("HOME");
  if (!is_absolute(environment.home)) environment.home = home_of(environment.uid);
  return environment;
}

Result<ClientPaths> ClientPaths::make(const ClientEnvironment& environment) {
  ClientPaths paths;
  paths.uid_ = environment.uid;
  if (is_absolute(environment.home)) paths.home_ = *environment.home;
  const auto config = base_dir(environment.config_home, "XDG_CONFIG_HOME", paths.home_, ".config");
  if (!config) return std::unexpected(config.error());
  const auto state =
      base_dir(environment.state_home, "XDG_STATE_HOME", paths.home_, ".local/state");
  if (!state) return std::unexpected(state.error());
  paths.config_dir_ = *config / "homefs";
  paths.state_dir_ = *state / "homefs";
  paths.runtime_dir_ = is_absolute(environment.runtime_dir)
                           ? std::filesystem::path(*environment.runtime_dir) / "homefs"
                           : environment.temporary / ("homefs-" + std::to_string(environment.uid));
  return paths;
}

Result<std::filesystem::path> ClientPaths::make_state_dir(std::string_view profile) const {
  std::filesystem::path folder = state_dir_ / profile;
  if (Result<> made = make_private_folder(folder); !made) return std::unexpected(made.error());
  return folder;
}

Result<std::filesystem::path> ClientPaths::make_runtime_dir() const {
  if (::mkdir(runtime_dir_.c_str(), kPrivateMode) != 0 && errno != EEXIST) {
    return fail_errno(errno, "make the folder " + runtime_dir_.string());
  }
  struct stat status;
  // lstat: a symlink planted in /tmp must not be followed.
  if (::lstat(runtime_dir_.c_str(), &status) != 0) {
    return fail_errno(errno, "look at " + runtime_dir_.string());
  }
  const bool is_ours = S_ISDIR(status.st_mode) && status.st_uid == uid_;
  if (!is_ours || (status.st_mode & 077) != 0) {
    return fail(Status::kAccessDenied,
                runtime_dir_.string() + " is not a folder of this user's alone");
  }
  return runtime_dir_;
}

std::filesystem::path ClientPaths::expand(std::string_view path) const {
  if (home_.empty() || !path.starts_with('~')) return path;
  if (path.size() == 1) return home_;
  if (path[1] != '/') return path;
  const std::size_t rest = path.find_first_not_of('/', 1);
  return rest == path.npos ? home_ : home_ / path.substr(rest);
}

Result<> make_private_folder(const std::filesystem::path& folder) {
  std::filesystem::path made;
  for (const std::filesystem::path& part : folder) {
    made /= part;
    if (::mkdir(made.c_str(), kPrivateMode) == 0) continue;
    // Above us there may be folders that exist and that we may not write to.
    const int error = errno;
    struct stat status;
    if (::stat(made.c_str(), &status) != 0) {
      return fail_errno(error, "make the folder " + made.string());
    }
    if (!S_ISDIR(status.st_mode)) return fail_errno(ENOTDIR, made.string());
  }
  return {};
}

}  // namespace homefs
