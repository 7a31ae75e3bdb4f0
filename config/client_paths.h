// Where the client keeps its things, after the XDG Base Directory Specification.
//
//   $XDG_CONFIG_HOME/homefs/          profiles/NAME.json, known_servers, tokens/
//   $XDG_STATE_HOME/homefs/PROFILE/   side log, journal
//   $XDG_RUNTIME_DIR/homefs/          control sockets; /tmp/homefs-UID where the session has none
//
// Executor: immutable, thread-safe. Blocks: the functions that make folders, on the disk.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/result.h"

namespace homefs {

/// What the paths are derived from: of this process, or of a test.
struct ClientEnvironment {
  std::optional<std::string> config_home;  ///< XDG_CONFIG_HOME
  std::optional<std::string> state_home;   ///< XDG_STATE_HOME
  std::optional<std::string> runtime_dir;  ///< XDG_RUNTIME_DIR
  std::optional<std::string> home;         ///< HOME, else the user database's
  uid_t uid = 0;
  std::filesystem::path temporary = "/tmp";

  [[nodiscard]] static ClientEnvironment of_process();
};

class ClientPaths {
 public:
  /// Variables that are not absolute paths are ignored, as the specification asks.
  /// Errors: kConfigError if a path is needed from HOME and there is none.
  [[nodiscard]] static Result<ClientPaths> make(const ClientEnvironment& environment);

  [[nodiscard]] std::filesystem::path config_dir() const { return config_dir_; }
  [[nodiscard]] std::filesystem::path profiles_dir() const { return config_dir_ / "profiles"; }
  [[nodiscard]] std::filesystem::path tokens_dir() const { return config_dir_ / "tokens"; }
  [[nodiscard]] std::filesystem::path known_servers_file() const {
    return config_dir_ / "known_servers";
  }
  [[nodiscard]] std::filesystem::path state_dir() const { return state_dir_; }

  /// The state folder of one profile, made if it is missing. `profile` is a checked profile name.
  [[nodiscard]] Result<std::filesystem::path> make_state_dir(std::string_view profile) const;
  /// The runtime folder, made if it is missing. Errors: kAccessDenied if what stands there is not a
  /// folder that belongs to us alone: somebody else may have put it into /tmp.
  [[nodiscard]] Result<std::filesystem::path> make_runtime_dir() const;

  /// `path` with a leading "~" replaced by the user's home, as profiles may say it. Any other path
  /// is returned as it is.
  [[nodiscard]] std::filesystem::path expand(std::string_view path) const;

 private:
  ClientPaths() = default;

  std::filesystem::path home_;  // Empty if there is none.
  std::filesystem::path config_dir_;
  std::filesystem::path state_dir_;
  std::filesystem::path runtime_dir_;
  uid_t uid_ = 0;
};

/// Makes `folder` and its missing parents with mode 0700. A folder that exists is left as it is.
/// Errors: those of mkdir; kNotDirectory.
[[nodiscard]] Result<> make_private_folder(const std::filesystem::path& folder);

}  // namespace homefs
