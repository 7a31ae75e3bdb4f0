// True modes and owners on the disk: file_mode.h's rules carried out.
//
// A stat is "true" when its attributes say what clients are told and not what is on the disk.
//
// Executor: thread-safe; changes of one inode's mode or owner are made under its size lock.
// Blocks: on the disk.
#pragma once

#include <string>

#include "server/file_mode.h"
#include "server/posix_disk.h"

namespace homefs {

/// stat_fd(), made true. The descriptor may be O_PATH if the inode on the disk is neither file nor
/// folder.
Result<disk::Stat> stat_true(int fd);
/// stat_at(), made true.
Result<disk::Stat> stat_true_at(int folder, const char* name);

/// Makes `stat`, as it was read of `fd`, true.
Result<void> make_true(int fd, disk::Stat& stat);
/// The same for a `stat` of the inode that `known`, which is true, was read of before, when nothing
/// changed its mode or owner in between.
void make_true_like(const disk::Stat& known, disk::Stat& stat);

/// What a true stat says of the owner.
Ownership ownership_of(const disk::Stat& stat);

/// Gives the inode behind `fd` this mode and owner, and a new ctime in any case. The form stays;
/// the short one becomes the whole one when the owner changes, and is kNotPermitted for what the
/// disk keeps no xattrs of. `before`: true, read of it under its size lock. Precondition: not
/// O_PATH where the inode on the disk is a file or folder.
Result<void> store_ownership(int fd, const disk::Stat& before, const Ownership& wanted);

/// Gives the inode behind `fd` the true mode `mode` (type bits too) in the short form. `disk_mode`:
/// as it is on the disk now. Precondition: not a symlink; not O_PATH for files and folders.
Result<void> store_mode(int fd, std::uint32_t disk_mode, std::uint32_t mode);

/// Writes the xattr alone, in the short form.
Result<void> store_mode_xattr(int fd, std::uint32_t mode);
/// The same in the whole form.
Result<void> store_ownership_xattr(int fd, const Ownership& ownership);

/// The target of the symlink `name`, of which `stat` was read.
Result<std::string> read_target_at(int folder, const char* name, const disk::Stat& stat);
/// The same of a descriptor. `disk_type`: the S_IFMT bits on the disk.
Result<std::string> read_target(int fd, std::uint32_t disk_type);

}  // namespace homefs
