// Trees of the local disk, as the TreeEntry that trees of the server are.
//
// Executor: the calling thread. Blocks: on the disk.
#pragma once

#include <sys/stat.h>

#include <filesystem>

#include "fusefs/remote/remote_walk.h"
#include "fusefs/remote/tree_entry.h"

namespace homefs {

[[nodiscard]] Attributes attributes_of(const struct stat& stat);

/// What lstat(2) says of `path`; the root's origin is the path. Errors: its errno's.
[[nodiscard]] Result<TreeEntry> local_entry(const std::filesystem::path& path);

/// The same with all that is below, in folders that `options` want.
[[nodiscard]] Result<WalkedTree> walk_local(const std::filesystem::path& path,
                                            const WalkOptions& options);

}  // namespace homefs
