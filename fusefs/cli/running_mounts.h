// The mounts of this user that are running, found by their control sockets.
//
// Executor: the main thread. Blocks: up to kControlDeadline for each daemon that hangs.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/client_paths.h"
#include "protocol/result.h"

namespace homefs {

struct RunningMount {
  std::filesystem::path socket;
  std::string profile;
  std::string mountpoint;
  std::string source;
  std::string user;
  std::string server;  ///< host:port
  long pid = 0;
  std::string status_text;  ///< the JSON of its answer
};

/// In the order of their names. Sockets that nobody listens on any more are removed.
Result<std::vector<RunningMount>> running_mounts(const ClientPaths& paths);

/// Null when none of them is at `mountpoint`.
[[nodiscard]] const RunningMount* find_mount(const std::vector<RunningMount>& mounts,
                                             const std::filesystem::path& mountpoint);

}  // namespace homefs
