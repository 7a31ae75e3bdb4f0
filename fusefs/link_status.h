// How a link stands, as JSON for the control socket.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace homefs {

class ServerLink;

[[nodiscard]] nlohmann::json link_status_json(ServerLink& link);

}  // namespace homefs
