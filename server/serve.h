// `homefsd serve`: runs the server until a signal ends it.
//
// Executor: the main thread. Blocks: for as long as the server runs.
#pragma once

#include <functional>

#include "config/server_config.h"
#include "server/exit_status.h"

namespace homefs {

/// SIGTERM and SIGINT stop the server, SIGHUP makes it call `reload_config` and apply what can
/// change while it runs. Failures are told in one line on stderr.
ExitStatus serve(ServerConfig config, const std::function<Result<ServerConfig>()>& reload_config);

}  // namespace homefs
