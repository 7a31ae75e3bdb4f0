#include "fusefs/fuse_ops.h"

#define FUSE_USE_VERSION 314
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "fusefs/fuse_folder.h"
#include "fusefs/fuse_locks.h"
#include "fusefs/fuse_reply.h"
#include "fusefs/fuse_session.h"
#include "fusefs/fuse_waiting.h"
#include "fusefs/fuse_xattr.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

// FATTR_KILL_SUIDGID of the kernel; libfuse 3.14.0 passes the bit on under another name.
constexpr int kFattrKillSuidgid = 1 << 11;

FuseOps& ops_of(fuse_req_t request) { return *static_cast<FuseOps*>(fuse_req_userdata(request)); }
FileSystem& files_of(fuse_req_t request) { return ops_of(request).files(); }
NodeId node_of(fuse_ino_t number) { return NodeId{number}; }

// FUSE_NOTIFY_INC_EPOCH: see Notifier.
constexpr unsigned kDropsAllNamesSince = 44;

void on_init(void* ops, fuse_conn_info* connection) {
  FileSystem& files = static_cast<FuseOps*>(ops)->files();
  if (connection->proto_minor >= kDropsAllNamesSince) files.let_kernel_keep_absent_names();
  if (static_cast<FuseOps*>(ops)->session().maps_direct_files())
    files.let_kernel_map_direct_files();
  const auto want = [&](unsigned capability, bool is_on) {
    if (is_on && (connection->capable & capability) != 0) {
      connection->want |= capability;
    } else {
      connection->want &= ~capability;
    }
  };
  want(FUSE_CAP_ASYNC_READ, true);
  // After an asynchronous O_DIRECT write the kernel keeps the pages of before, for good: nothing
  // here voids them. Without it the write is one that waits, which does. Of what waits anyway a
  // large one is sent piece by piece then.
  want(FUSE_CAP_ASYNC_DIO, false);
  // An open with O_TRUNC comes as an open and a change of size: that one says whether suid and sgid
  // have to go, and its reply tells the kernel that they are gone.
  want(FUSE_CAP_ATOMIC_O_TRUNC, false);
  want(FUSE_CAP_PARALLEL_DIROPS, true);
  // The server tells us when contents change; guessing it from times throws good pages away.
  want(FUSE_CAP_AUTO_INVAL_DATA, false);
  want(FUSE_CAP_EXPLICIT_INVAL_DATA, true);
  want(FUSE_CAP_READDIRPLUS, true);
  want(FUSE_CAP_READDIRPLUS_AUTO, true);
  want(FUSE_CAP_CACHE_SYMLINKS, true);
  want(FUSE_CAP_HANDLE_KILLPRIV, false);
  want(FUSE_CAP_WRITEBACK_CACHE, false);
  want(FUSE_CAP_POSIX_ACL, false);
  want(FUSE_CAP_SPLICE_READ, false);
  want(FUSE_CAP_SPLICE_WRITE, false);
  want(FUSE_CAP_SPLICE_MOVE, false);
  want(FUSE_CAP_POSIX_LOCKS, true);
  want(FUSE_CAP_FLOCK_LOCKS, true);
  want(FUSE_CAP_EXPORT_SUPPORT, false);
  want(FUSE_CAP_DONT_MASK, false);
  connection->max_write = kPayloadBytesMax;
  connection->max_background = 128;
  connection->congestion_threshold = 96;
  connection->time_gran = 1;
}

// ---- Names ------------------------------------------------------------------------------------

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_entry(ops, request, ops.files().lookup(node_of(parent), name)));
}

void on_forget(fuse_req_t request, fuse_ino_t node, std::uint64_t count) {
  files_of(request).forget(node_of(node), count);
  fuse_reply_none(request);
}

void on_forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  for (std::size_t i = 0; i < count; ++i) {
    files_of(request).forget(node_of(forgets[i].ino), forgets[i].nlookup);
  }
  fuse_reply_none(request);
}

void make(fuse_req_t request, MakeRequest what) {
  FuseOps& ops = ops_of(request);
  what.caller = FuseOps::caller_of(request);
  Concerned concerned = ops.files().concerned_by(what.parent, what.name);
  ops.spawn(reply_entry(ops, request, ops.files().make(std::move(what)), std::move(concerned)));
}

void on_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  make(request, {.parent = node_of(parent),
                 .name = name,
                 .mode = mode,
                 .device = static_cast<std::uint32_t>(device)});
}

void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make(request, {.parent = node_of(parent), .name = name, .mode = mode | S_IFDIR});
}

void on_symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  make(request,
       {.parent = node_of(parent), .name = name, .mode = S_IFLNK | 0777, .target = target});
}

void on_link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  FuseOps& ops = ops_of(request);
  Concerned concerned = ops.files().concerned_by(node_of(parent), name);
  concerned.nodes.push_back(node_of(node));
  ops.spawn(reply_entry(ops, request, ops.files().link(node_of(node), node_of(parent), name),
                        std::move(concerned)));
}

void remove(fuse_req_t request, fuse_ino_t parent, const char* name, bool is_folder) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_change(ops, request, ops.files().concerned_by(node_of(parent), name),
                         ops.files().remove(node_of(parent), name, is_folder)));
}

void on_unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove(request, parent, name, /*is_folder=*/false);
}

void on_rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove(request, parent, name, /*is_folder=*/true);
}

void on_rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  RenameRequest rename{.parent = node_of(parent),
                       .name = name,
                       .new_parent = node_of(new_parent),
                       .new_name = new_name};
  if (flags == RENAME_NOREPLACE) {
    rename.mode = RenameMode::kNoReplace;
  } else if (flags == RENAME_EXCHANGE) {
    rename.mode = RenameMode::kExchange;
  } else if (flags != 0) {
    fuse_reply_err(request, EINVAL);  // RENAME_WHITEOUT needs a privileged server
    return;
  }
  FuseOps& ops = ops_of(request);
  Concerned concerned = ops.files().concerned_by(rename.parent, rename.name);
  concerned.add(ops.files().concerned_by(rename.new_parent, rename.new_name));
  ops.spawn(
      reply_change(ops, request, std::move(concerned), ops.files().rename(std::move(rename))));
}

void on_readlink(fuse_req_t request, fuse_ino_t node) {
  ops_of(request).spawn(reply_target(request, files_of(request).readlink(node_of(node))));
}

// ---- Attributes -------------------------------------------------------------------------------

void on_getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_attributes(ops, request, ops.files().getattr(node_of(node))));
}

Timestamp timestamp(const timespec& time) {
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

// Whether the caller is in the group, besides its own.
bool is_member(fuse_req_t request, gid_t group) {
  std::array<gid_t, 256> groups{};
  const int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
  const auto known = std::min(static_cast<std::size_t>(std::max(count, 0)), groups.size());
  return std::find(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(known), group) !=
         groups.begin() + static_cast<std::ptrdiff_t>(known);
}

// With one owner for all, taking what one has already is done and giving away is not permitted.
// Groups are not kept: giving a file to another group that one is in changes nothing.
bool drop_own_owner(fuse_req_t request, const struct stat& to, int& which) {
  const FuseOpsOptions& options = ops_of(request).options();
  if (options.idmap == IdMap::kNone) return true;
  const bool is_own = ((which & FUSE_SET_ATTR_UID) == 0 || to.st_uid == options.uid) &&
                      ((which & FUSE_SET_ATTR_GID) == 0 || to.st_gid == options.gid ||
                       is_member(request, to.st_gid));
  which &= ~(FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID);
  return is_own;
}

Concerned contents_of(fuse_ino_t node) { return {.names = {}, .nodes = {node_of(node)}}; }

void on_setattr(fuse_req_t request, fuse_ino_t node, struct stat* to, int which,
                fuse_file_info* info) {
  FuseOps& ops = ops_of(request);
  const bool changes_owner = (which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0;
  if (!drop_own_owner(request, *to, which)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  SetattrRequest change{.node = node_of(node)};
  const auto set = [&](int bit, std::uint32_t ours) {
    if ((which & bit) != 0) change.which |= ours;
  };
  set(FUSE_SET_ATTR_MODE, kSetMode);
  set(FUSE_SET_ATTR_UID, kSetUid);
  set(FUSE_SET_ATTR_GID, kSetGid);
  set(FUSE_SET_ATTR_SIZE, kSetSize);
  set(FUSE_SET_ATTR_ATIME_NOW, kSetAtimeNow);
  set(FUSE_SET_ATTR_MTIME_NOW, kSetMtimeNow);
  if ((change.which & kSetAtimeNow) == 0) set(FUSE_SET_ATTR_ATIME, kSetAtime);
  if ((change.which & kSetMtimeNow) == 0) set(FUSE_SET_ATTR_MTIME, kSetMtime);
  if (changes_owner || (change.which & kSetSize) != 0) set(kFattrKillSuidgid, kSetKillPrivileges);
  change.mode = to->st_mode;
  change.uid = to->st_uid;
  change.gid = to->st_gid;
  change.size = static_cast<std::uint64_t>(to->st_size);
  change.atime = timestamp(to->st_atim);
  change.mtime = timestamp(to->st_mtim);
  // The kernel asks for no change at all when chown(2) is told to change neither owner nor group,
  // and when a write has to take privileges away.
  if (change.which == 0) change.which = kSetKillPrivileges;
  const std::uint64_t handle = info == nullptr ? 0 : info->fh;
  ops.spawn(reply_attributes(ops, request, ops.files().setattr(change, handle), contents_of(node)));
}

void on_statfs(fuse_req_t request, fuse_ino_t) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_statfs(request, ops.files().statfs()));
}

// ---- Files ------------------------------------------------------------------------------------

void on_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* info) {
  FuseOps& ops = ops_of(request);
  CreateRequest create{
      .parent = node_of(parent), .name = name, .mode = mode, .caller = FuseOps::caller_of(request)};
  Concerned concerned = ops.files().concerned_by(create.parent, create.name);
  ops.spawn(reply_create(ops, request, info->flags,
                         ops.files().create(std::move(create), info->flags), std::move(concerned)));
}

void on_open(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  FuseOps& ops = ops_of(request);
  // With O_TRUNC it is a change.
  Concerned concerned = (info->flags & O_TRUNC) != 0 ? contents_of(node) : Concerned();
  ops.spawn(reply_open(ops, request, info->flags, ops.files().open(node_of(node), info->flags),
                       std::move(concerned)));
}

// Whoever has lost a lock must not go on as if it was held.
bool refuse_lost(fuse_req_t request, const fuse_file_info* info) {
  const bool is_lost = files_of(request).locks().is_lost(info->fh);
  if (is_lost) fuse_reply_err(request, EIO);
  return is_lost;
}

void on_read(fuse_req_t request, fuse_ino_t, std::size_t bytes, off_t offset,
             fuse_file_info* info) {
  if (refuse_lost(request, info)) return;
  const bool is_page = FuseSession::reads_pages();
  ops_of(request).spawn(
      reply_data(request, files_of(request).read(info->fh, static_cast<std::uint64_t>(offset),
                                                 static_cast<std::uint32_t>(bytes), is_page)));
}

// Suid and sgid have to go before the write. Where it goes through pages the kernel has seen to
// that.
Task<Result<>> write_without_privileges(FileSystem& files, NodeId node, Task<Result<>> work) {
  if (files.has_privileges(node)) {
    SetattrRequest kill{.node = node, .which = kSetKillPrivileges};
    Result<AttributesOut> killed = co_await files.setattr(kill);
    if (!killed) co_return std::unexpected(killed.error());
  }
  co_return co_await std::move(work);
}

Task<> write_and_send(FileSystem& files, fuse_req_t request, NodeId node, std::size_t count,
                      Task<Result<>> work) {
  Waiting waiting(request);
  co_await files.room_for(node);
  if (!waiting.is_waiting()) co_return;  // the program was told that nothing was written
  Result<> result = co_await std::move(work);
  if (!waiting.take()) {
    files.send_writes(node);
    files.correct_kernel({.names = {}, .nodes = {node}});  // its pages lack what was written
  } else if (!result) {
    reply_error(request, result.error());
    if (is_in_doubt(result.error())) files.correct_kernel({.names = {}, .nodes = {node}});
  } else {
    fuse_reply_write(request, count);
    files.send_writes(node);  // the program goes on meanwhile
  }
}

// The flags that the kernel sends with each WRITE are those of the descriptor at the time of the
// call, fcntl(F_SETFL) included, and those of the call:
//
//   O_APPEND         the data goes to the end; opened with it, the file has no pages (open_node())
//   O_DSYNC, O_SYNC  also RWF_DSYNC, RWF_SYNC, `sync` of the mount and chattr +S: the kernel sends
//   an
//                    FSYNC itself, except for files that it writes to without pages
//   O_DIRECT         nothing to do: the kernel sees to its pages
//   FUSE_WRITE_CACHE a page that was stored to through mmap(2): `writepage`; the flags, the handle
//   and
//                    the caller are those of anybody who has the file open for writing
//   FUSE_WRITE_KILL_SUIDGID  see FuseSession::write_kills_privileges()
//
// Not sent: RWF_APPEND (the kernel has applied it, with the size that it knows) and RWF_HIPRI (a
// hint). O_TRUNC comes as a change of size. O_NONBLOCK and O_NOATIME mean nothing here: files never
// block for readiness, and reading changes no time. The kernel itself refuses RWF_NOWAIT,
// RWF_ATOMIC and RWF_DONTCACHE.
WriteTarget write_target(NodeId node, std::uint64_t offset, const fuse_file_info& info) {
  const bool is_page = info.writepage != 0;
  return {.node = node,
          .handle = info.fh,
          .offset = offset,
          .is_append = !is_page && (info.flags & O_APPEND) != 0,
          .is_page = is_page,
          .is_synced = !is_page && (info.flags & O_SYNC) == O_SYNC,
          .is_data_synced = !is_page && (info.flags & O_DSYNC) != 0};
}

void on_write(fuse_req_t request, fuse_ino_t node, const char* bytes, std::size_t count,
              off_t offset, fuse_file_info* info) {
  if (info->writepage == 0 && refuse_lost(request, info)) return;
  // The data lies in the request's buffer: it is kept by keeping that.
  const Slice data{FuseSession::current_request(), std::as_bytes(std::span(bytes, count))};
  FileSystem& files = files_of(request);
  const NodeId id = node_of(node);
  const WriteTarget to = write_target(id, static_cast<std::uint64_t>(offset), *info);
  Task<Result<>> work = files.write(to, data);
  const bool kills = FuseSession::write_kills_privileges();
  Task<Result<>> whole =
      kills ? write_without_privileges(files, id, std::move(work)) : std::move(work);
  ops_of(request).spawn(write_and_send(files, request, id, count, std::move(whole)));
}

void on_flush(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  ops_of(request).spawn(
      reply_flush(request, files_of(request).close(node_of(node), info->fh, info->lock_owner)));
}

void on_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  files_of(request).release_with_locks(info->fh);
  fuse_reply_err(request, 0);
}

void on_fsync(fuse_req_t request, fuse_ino_t node, int data_only, fuse_file_info* info) {
  if (refuse_lost(request, info)) return;
  ops_of(request).spawn(
      reply_done(request, files_of(request).fsync(node_of(node), info->fh, data_only != 0)));
}

void on_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  FallocateRequest allocate{.node = node_of(node),
                            .offset = static_cast<std::uint64_t>(offset),
                            .length = static_cast<std::uint64_t>(length)};
  switch (mode) {
    case 0:
      allocate.mode = FallocateMode::kAllocate;
      break;
    case FALLOC_FL_KEEP_SIZE:
      allocate.mode = FallocateMode::kKeepSize;
      break;
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
      allocate.mode = FallocateMode::kPunchHole;
      break;
    case FALLOC_FL_ZERO_RANGE:
      allocate.mode = FallocateMode::kZero;
      break;
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
      allocate.mode = FallocateMode::kZeroKeepSize;
      break;
    default:
      fuse_reply_err(request, EOPNOTSUPP);
      return;
  }
  FuseOps& ops = ops_of(request);
  ops.spawn(
      reply_change(ops, request, contents_of(node), ops.files().fallocate(allocate, info->fh)));
}

// NOLINTNEXTLINE(readability-function-size): as libfuse calls it
void on_copy_file_range(fuse_req_t request, fuse_ino_t source, off_t source_offset,
                        fuse_file_info* source_info, fuse_ino_t target, off_t target_offset,
                        fuse_file_info* target_info, std::size_t length, int) {
  if (refuse_lost(request, source_info)) return;
  CopyRequest copy{.source = node_of(source),
                   .source_offset = static_cast<std::uint64_t>(source_offset),
                   .target = node_of(target),
                   .target_offset = static_cast<std::uint64_t>(target_offset),
                   .length = length};
  FuseOps& ops = ops_of(request);
  ops.spawn(
      reply_count(ops, request, ops.files().copy(copy, target_info->fh), contents_of(target)));
}

void on_lseek(fuse_req_t request, fuse_ino_t node, off_t offset, int whence, fuse_file_info*) {
  SeekRequest seek{.node = node_of(node),
                   .offset = static_cast<std::uint64_t>(offset),
                   .whence = whence == SEEK_DATA ? SeekWhence::kData : SeekWhence::kHole};
  ops_of(request).spawn(reply_offset(request, files_of(request).seek(seek)));
}

fuse_lowlevel_ops make_table() {
  fuse_lowlevel_ops table{};
  table.init = on_init;
  table.lookup = on_lookup;
  table.forget = on_forget;
  table.forget_multi = on_forget_multi;
  table.getattr = on_getattr;
  table.setattr = on_setattr;
  table.readlink = on_readlink;
  table.mknod = on_mknod;
  table.mkdir = on_mkdir;
  table.unlink = on_unlink;
  table.rmdir = on_rmdir;
  table.symlink = on_symlink;
  table.rename = on_rename;
  table.link = on_link;
  table.create = on_create;
  table.open = on_open;
  table.read = on_read;
  table.write = on_write;
  table.flush = on_flush;
  table.release = on_release;
  table.fsync = on_fsync;
  table.fallocate = on_fallocate;
  table.copy_file_range = on_copy_file_range;
  table.lseek = on_lseek;
  table.statfs = on_statfs;
  add_folder_operations(table);
  add_xattr_operations(table);
  add_lock_operations(table);
  return table;
}

}  // namespace

const fuse_lowlevel_ops& FuseOps::table() {
  static const fuse_lowlevel_ops table = make_table();
  return table;
}

struct stat FuseOps::to_stat(const Attributes& attributes) const {
  struct stat out{};
  out.st_ino = number_of(attributes.inode);
  out.st_mode = attributes.mode;
  out.st_nlink = attributes.links;
  out.st_uid = options_.idmap == IdMap::kUser ? options_.uid : attributes.uid;
  out.st_gid = options_.idmap == IdMap::kUser ? options_.gid : attributes.gid;
  out.st_rdev = attributes.device;
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blocks = static_cast<blkcnt_t>(attributes.blocks);
  out.st_blksize = kIoBytes;
  out.st_atim = {attributes.atime.seconds, attributes.atime.nanoseconds};
  out.st_mtim = {attributes.mtime.seconds, attributes.mtime.nanoseconds};
  out.st_ctim = {attributes.ctime.seconds, attributes.ctime.nanoseconds};
  return out;
}

Caller FuseOps::caller_of(fuse_req_t request) {
  const fuse_ctx* context = fuse_req_ctx(request);
  return {context->uid, context->gid};
}

}  // namespace homefs
