// The forms a command line of homefs may have, brought into one: COMMAND ARGUMENTS...
//
//   homefs mount ...                     as it is
//   homefs -u alice mount ...            flags before the command
//   homefs alice@files:/ DIR -o a,b      as sshfs, and as mount(8) calls it
//   mount.fuse.homefs SRC DIR -o a,b -n  the mount helper, by its own name
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace homefs {

/// `program` is argv[0], `arguments` what follows it, `commands` the names of all commands.
[[nodiscard]] std::vector<std::string> normalize_arguments(std::string_view program,
                                                           std::span<const std::string> arguments,
                                                           std::span<const std::string> commands);

}  // namespace homefs
