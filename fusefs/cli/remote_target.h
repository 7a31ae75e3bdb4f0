// What names something on the server on a command line: [USER@]HOST[:PORT]/PATH, or PATH alone
// where flags or a profile say which server.
//
//   alice@files.example.org/photos/2024     from the home's root
//   alice@files:photos/2024                 the same, as scp has it
//   nas:7071/x   :x                         a port; the same server as the argument before
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs {

struct RemoteArguments {
  std::string server;              ///< [USER@]HOST[:PORT]; empty: flags say which
  std::vector<std::string> paths;  ///< as written, for parse_remote_path()
};

/// Splits arguments of one command, which are all on one server. `is_server_known`: by -s or
/// --profile, so that they are paths. Errors: kInvalid, for a person.
[[nodiscard]] Result<RemoteArguments> split_remote_arguments(std::span<const std::string> arguments,
                                                             bool is_server_known);

}  // namespace homefs
