// Takes from the server the right to open any file but its own: a second wall behind the resolution
// of names below each home, should that ever be got around. Landlock, where the kernel has it.
//
// Executor: the main thread, before any other is started: threads inherit it.
// Blocks: opens the folders.
#pragma once

#include <filesystem>
#include <vector>

#include "protocol/result.h"

namespace homefs {

struct ConfinementPaths {
  std::vector<std::filesystem::path> writable;  ///< folders: everything below
  std::vector<std::filesystem::path> readable;  ///< folders or files
};

/// From now on this thread, and those it starts, can open what is below `paths` and nothing else;
/// what is open stays open. A path that does not exist is passed over. There is no way back.
/// Errors: kNotSupported for a kernel that cannot do it (files could not be moved between folders
/// with its first version); then nothing has changed.
Result<void> confine_process(const ConfinementPaths& paths);

}  // namespace homefs
