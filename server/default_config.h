// Which config homefsd uses.
//
// Executor: thread-safe. Blocks: reads a file.
#pragma once

#include <string>

#include "config/server_config.h"
#include "protocol/result.h"

namespace homefs {

inline constexpr const char* kConfigFile = "/etc/homefs/homefsd.json";

/// `file`; where that is empty kConfigFile; and where that does not exist the defaults. For an
/// ordinary user these are below $XDG_DATA_HOME/homefsd instead of /var/lib/homefs and /etc/homefs.
/// Errors: those of reading the file; kConfigError.
Result<ServerConfig> load_config(const std::string& file);

}  // namespace homefs
