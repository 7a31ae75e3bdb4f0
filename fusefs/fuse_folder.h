// The kernel's requests about folders: opendir, readdir, readdirplus, releasedir, fsyncdir.
#pragma once

struct fuse_lowlevel_ops;

namespace homefs {

void add_folder_operations(fuse_lowlevel_ops& table);

}  // namespace homefs
