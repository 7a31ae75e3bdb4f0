// `homefsd serve`: runs the server until a signal ends it.
//
// Executor: the main thread. Blocks: for as long as the server runs.
#pragma once

#include <filesystem>
#include <functional>

#include "config/server_config.h"
#include "server/exit_status.h"

namespace homefs {

struct ServeOptions {
  ServerConfig config;
  std::filesystem::path config_file;  ///< what a reload reads; may not exist
  std::function<Result<ServerConfig>()> reload_config;
};

/// SIGTERM and SIGINT stop the server, SIGHUP makes it call `reload_config` and apply what can
/// change while it runs. Failures are told in one line on stderr.
ExitStatus serve(const ServeOptions& options);

}  // namespace homefs
