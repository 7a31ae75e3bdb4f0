// Folders that homes are mounted on, and what the kernel says is mounted there. What is mounted is
// never looked at itself: a mount whose server is away would keep whoever does.
//
// Executor: the calling thread. Blocks: on the disk of the folders above.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "config/client_paths.h"
#include "protocol/result.h"

namespace homefs {

/// `text` as the kernel names it: absolute, without symlinks. Parts that are not there stay as they
/// are. Errors: those of the current folder; kTooManySymlinks.
[[nodiscard]] Result<std::filesystem::path> resolve_mountpoint(const ClientPaths& paths,
                                                               const std::string& text);

/// Whether a home can be mounted on `folder`. Errors: kNoSuchDirectory, kNotDirectory, kBusy when
/// one is mounted there, those of stat(2); the context says what to do.
[[nodiscard]] Result<> check_mountpoint(const std::filesystem::path& folder);

/// Whether a home is mounted on `folder`, by this user or another.
[[nodiscard]] bool is_home_mounted(const std::filesystem::path& folder);

/// Where `user` has mounted homes, in the order in which that was done.
[[nodiscard]] std::vector<std::filesystem::path> mounted_homes(uid_t user);

}  // namespace homefs
