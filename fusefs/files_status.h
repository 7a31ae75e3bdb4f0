// How the client core stands, as JSON for the control socket.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace homefs {

class FileSystem;

[[nodiscard]] nlohmann::json files_status_json(FileSystem& files);

}  // namespace homefs
