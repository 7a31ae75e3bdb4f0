// True modes on the disk: file_mode.h's rules carried out.
//
// Executor: thread-safe; changes of one inode's mode are made under its size lock.
// Blocks: on the disk.
#pragma once

#include "server/file_mode.h"
#include "server/posix_disk.h"

namespace homefs {

/// stat_fd(), with the true mode. The descriptor may be O_PATH if it is neither file nor folder.
Result<disk::Stat> stat_true(int fd);
/// stat_at(), with the true mode.
Result<disk::Stat> stat_true_at(int folder, const char* name);

/// Replaces the mode in `stat`, read of `fd`, by the true one.
Result<void> make_true(int fd, disk::Stat& stat);

/// Gives the inode behind `fd` the true mode `mode` (type bits too). `disk_mode`: as it is on the
/// disk now. Precondition: not a symlink; not O_PATH for files and folders.
Result<void> store_mode(int fd, std::uint32_t disk_mode, std::uint32_t mode);

/// Writes the xattr alone.
Result<void> store_mode_xattr(int fd, std::uint32_t mode);

}  // namespace homefs
