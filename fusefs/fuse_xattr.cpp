#include "fusefs/fuse_xattr.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "fusefs/fuse_reply.h"

namespace homefs {
namespace {

FuseOps& ops_of(fuse_req_t request) { return *static_cast<FuseOps*>(fuse_req_userdata(request)); }

bool is_kept(std::string_view name) { return name.starts_with("user."); }

// What getxattr(2) says of a name that no file here can have.
int absent_errno(std::string_view name) {
  return name.starts_with("security.") || name.starts_with("trusted.") ? ENODATA : EOPNOTSUPP;
}

// XATTR_CREATE together with XATTR_REPLACE: one of them always objects.
Task<Result<>> object(FileSystem& files, NodeId node, std::string name) {
  const Result<SharedBuffer> value = co_await files.getxattr(node, std::move(name));
  if (value) co_return fail(Status::kExists);
  co_return std::unexpected(value.error());
}

void on_setxattr(fuse_req_t request, fuse_ino_t node, const char* name, const char* value,
                 std::size_t bytes, int flags) {
  if (!is_kept(name)) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  if (flags == (XATTR_CREATE | XATTR_REPLACE)) {
    ops_of(request).spawn(reply_done(request, object(ops_of(request).files(), NodeId{node}, name)));
    return;
  }
  auto buffer = std::make_shared<Buffer>(bytes);
  if (bytes > 0) std::memcpy(buffer->writable().data(), value, bytes);
  const XattrMode mode = flags == XATTR_CREATE    ? XattrMode::kCreate
                         : flags == XATTR_REPLACE ? XattrMode::kReplace
                                                  : XattrMode::kSet;
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_change(ops, request, {.names = {}, .nodes = {NodeId{node}}},
                         ops.files().setxattr(NodeId{node}, name, slice_of(buffer), mode)));
}

void on_getxattr(fuse_req_t request, fuse_ino_t node, const char* name, std::size_t size) {
  if (!is_kept(name)) {
    fuse_reply_err(request, absent_errno(name));
    return;
  }
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_xattr(request, size, ops.files().getxattr(NodeId{node}, name)));
}

void on_listxattr(fuse_req_t request, fuse_ino_t node, std::size_t size) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_xattr(request, size, ops.files().listxattr(NodeId{node})));
}

void on_removexattr(fuse_req_t request, fuse_ino_t node, const char* name) {
  if (!is_kept(name)) {
    fuse_reply_err(request, absent_errno(name));
    return;
  }
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_change(ops, request, {.names = {}, .nodes = {NodeId{node}}},
                         ops.files().removexattr(NodeId{node}, name)));
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& table) {
  table.setxattr = on_setxattr;
  table.getxattr = on_getxattr;
  table.listxattr = on_listxattr;
  table.removexattr = on_removexattr;
}

}  // namespace homefs
