#include "fusefs/mount_status.h"

#include <linux/fuse.h>

#include <nlohmann/json.hpp>

#include "fusefs/file_system.h"
#include "fusefs/fuse_session.h"

namespace homefs {
namespace {

// The requests worth a line each in a status, under the kernel's names.
constexpr struct {
  std::uint32_t opcode;
  const char* name;
} kShown[] = {
    {FUSE_LOOKUP, "lookup"},
    {FUSE_FORGET, "forget"},
    {FUSE_GETATTR, "getattr"},
    {FUSE_SETATTR, "setattr"},
    {FUSE_READLINK, "readlink"},
    {FUSE_SYMLINK, "symlink"},
    {FUSE_MKNOD, "mknod"},
    {FUSE_MKDIR, "mkdir"},
    {FUSE_UNLINK, "unlink"},
    {FUSE_RMDIR, "rmdir"},
    {FUSE_LINK, "link"},
    {FUSE_OPEN, "open"},
    {FUSE_READ, "read"},
    {FUSE_WRITE, "write"},
    {FUSE_STATFS, "statfs"},
    {FUSE_RELEASE, "release"},
    {FUSE_FSYNC, "fsync"},
    {FUSE_SETXATTR, "setxattr"},
    {FUSE_GETXATTR, "getxattr"},
    {FUSE_LISTXATTR, "listxattr"},
    {FUSE_FLUSH, "flush"},
    {FUSE_OPENDIR, "opendir"},
    {FUSE_READDIR, "readdir"},
    {FUSE_CREATE, "create"},
    {FUSE_READDIRPLUS, "readdirplus"},
    {FUSE_LSEEK, "lseek"},
    {FUSE_COPY_FILE_RANGE, "copy_file_range"},
};

}  // namespace

nlohmann::json files_status_json(FileSystem& files) {
  const FileSystem::Figures figures = files.figures();
  return {{"dirty_bytes", figures.dirty_bytes},
          {"quota_bytes", figures.grant.limit},
          {"used_bytes", figures.grant.used},
          {"granted_bytes", figures.grant.granted},
          {"nodes", figures.nodes},
          {"open_files", figures.open_files},
          {"is_shared", figures.is_shared}};
}

nlohmann::json kernel_status_json(const FuseSession& session) {
  nlohmann::json requests = nlohmann::json::object();
  for (const auto& shown : kShown) requests[shown.name] = session.request_count(shown.opcode);
  // The kernel uses the older one for a rename without flags.
  requests["rename"] = session.request_count(FUSE_RENAME) + session.request_count(FUSE_RENAME2);
  return {{"agreed_flags", session.agreed_flags()}, {"requests", requests}};
}

}  // namespace homefs
