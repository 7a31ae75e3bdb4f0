// Where this process logs to.
//
// Executor: the main thread, before others exist. Blocks: on the disk.
#pragma once

#include <filesystem>

namespace homefs {

/// To stderr: for commands and for a mount in the foreground (systemd adds the time).
void log_to_stderr(bool is_debug);

/// To a file of 1 MiB and two older ones: for a mount in the background. Stays with what was
/// before when the file cannot be made.
void log_to_file(const std::filesystem::path& file, bool is_debug);

}  // namespace homefs
