// The kernel's requests about extended attributes. Only `user.*` goes to the server; what the
// kernel asks of its own accord (security.capability before each write, ACLs) is answered here.
#pragma once

struct fuse_lowlevel_ops;

namespace homefs {

void add_xattr_operations(fuse_lowlevel_ops& table);

}  // namespace homefs
