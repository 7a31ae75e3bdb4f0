// The kernel's requests about file locks: fcntl(2), of processes and of open files, and flock(2).
#pragma once

struct fuse_lowlevel_ops;

namespace homefs {

void add_lock_operations(fuse_lowlevel_ops& table);

}  // namespace homefs
