// Home: attributes and xattrs.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <mutex>
#include <string_view>
#include <utility>

#include "protocol/privileges.h"
#include "server/crash_point.h"
#include "server/disk_mode.h"
#include "server/growth.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/orphanage.h"
#include "server/touched.h"

namespace homefs {
namespace {

timespec time_to_set(std::uint32_t which, std::uint32_t given, std::uint32_t now,
                     const Timestamp& time) {
  if ((which & now) != 0) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  if ((which & given) == 0) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  return {.tv_sec = time.seconds, .tv_nsec = static_cast<long>(time.nanoseconds)};
}

constexpr std::uint32_t kSetTimes = kSetAtime | kSetMtime | kSetAtimeNow | kSetMtimeNow;

constexpr std::uint32_t kSetOwnership = kSetMode | kSetUid | kSetGid | kSetKillPrivileges;

// The owner and mode after a change. A chown by anybody takes privileges from all but folders.
Ownership changed_ownership(const disk::Stat& before, const SetattrRequest& request) {
  const std::uint32_t which = request.which;
  Ownership wanted = ownership_of(before);
  if ((which & kSetUid) != 0) wanted.uid = request.uid;
  if ((which & kSetGid) != 0) wanted.gid = request.gid;
  if ((which & kSetMode) != 0) {
    wanted.mode = (wanted.mode & S_IFMT) | (request.mode & kModeBits);
  } else if ((which & kSetOwnership) != 0) {
    wanted.mode = without_privileges(wanted.mode);
  }
  return wanted;
}

// Which names clients may use. Only user.*: the others mean something to the server's kernel.
Result<void> check_xattr_name(const std::string& name) {
  if (name.size() > kXattrNameBytesMax) return fail(Status::kOutOfRange);
  if (name.empty()) return fail(Status::kOutOfRange);
  if (name.find('\0') != std::string::npos) return fail(Status::kInvalid);
  if (!name.starts_with("user.")) return fail(Status::kNotSupported);
  return {};
}

}  // namespace

Result<Attributes> Home::getattr(const InodeRef& inode) {
  const auto stat = inodes_->stat(inode);
  if (!stat) return std::unexpected(stat.error());
  return told(inode, *stat, /*is_change=*/false);
}

Result<Attributes> Home::setattr(const Actor& actor, const InodeRef& inode,
                                 const SetattrRequest& request) {
  if ((request.which & kSetSize) != 0) {
    if (inode->is_folder()) return fail(Status::kIsDirectory);
    if (!inode->is_file()) return fail(Status::kInvalid);
  }
  const auto file = inodes_->open(inode);
  if (!file) return std::unexpected(file.error());
  if ((request.which & kSetSize) != 0) quota_->wait_until_decidable();
  auto growth = begin_growth(actor, inode, *file);
  if (!growth) return std::unexpected(growth.error());
  const Attributes& before = growth->before.attributes;
  const bool changes_owner = ((request.which & kSetUid) != 0 && request.uid != before.uid) ||
                             ((request.which & kSetGid) != 0 && request.gid != before.gid);
  if (changes_owner && !preserves_owners()) {
    return fail(Status::kNotPermitted, "this home does not keep owners");
  }
  if ((request.which & kSetSize) != 0) {
    if (auto reserved = reserve_to(*growth, request.size); !reserved) {
      return std::unexpected(reserved.error());
    }
  }
  if ((request.which & kSetSize) != 0) {
    touch_data(actor, inode, growth->size(), request.size);
  } else {
    actor.touched.attributes(inode);
  }
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kSetattr, inode);
    facts.numbers.setattr = request;
    return facts;
  });
  const auto attributes =
      end_growth(*growth, change_attributes(growth->fd(), growth->before, request));
  if (attributes) {
    note_newest(actor, *growth, request, attributes->order);
    step.finish({.attributes = *attributes});
  }
  return attributes;
}

void Home::note_newest(const Actor& actor, const Growth& growth, const SetattrRequest& request,
                       std::uint64_t order) {
  Inode::NewestChanges& newest = growth.inode->newest_changes();
  if ((request.which & kSetSize) != 0 && request.size < growth.size()) {
    newest.cut_order = order;
    newest.cut_size = request.size;
    newest.cut_by = &actor.nodes;
  }
  if ((request.which & (kSetMtime | kSetMtimeNow)) != 0) {
    newest.mtime_order = order;
    newest.mtime_by = &actor.nodes;
  }
}

// Can be done once more after it was done in part.
Result<void> Home::change_attributes(int fd, const disk::Stat& before,
                                     const SetattrRequest& request) {
  const std::uint32_t which = request.which;
  Result<void> done{};
  if ((which & kSetSize) != 0) done = disk::truncate(fd, request.size);
  crash_point(CrashPoint::kMidChange);
  const Ownership wanted = changed_ownership(before, request);
  // The change of size has given a new ctime already.
  const bool is_asked = (which & kSetOwnership) != 0 && (which & kSetSize) == 0;
  if (done && (is_asked || wanted != ownership_of(before))) {
    done = store_ownership(fd, before, wanted);
  }
  if (done && (which & kSetTimes) != 0) {
    done = disk::change_times(fd, time_to_set(which, kSetAtime, kSetAtimeNow, request.atime),
                              time_to_set(which, kSetMtime, kSetMtimeNow, request.mtime));
  }
  return done;
}

Result<StatfsReply> Home::statfs() {
  const auto space = disk::space_of(orphanage_->folder()->get());
  if (!space) return std::unexpected(space.error());
  return StatfsReply{.files_used = quota_->used().files,
                     .files_max = quota_->limits().files,
                     .disk_bytes = space->bytes,
                     .disk_bytes_free = space->bytes_free};
}

// Files and folders can have xattrs of users; other kinds cannot, on Linux.
Result<disk::FdRef> Home::open_for_xattrs(const InodeRef& inode) {
  if (!inode->is_file() && !inode->is_folder()) return disk::FdRef();
  return inodes_->open(inode);
}

Result<Attributes> Home::setxattr(const Actor& actor, const InodeRef& inode,
                                  const std::string& name, std::span<const std::byte> value,
                                  XattrMode mode) {
  if (auto done = check_xattr_name(name); !done) return std::unexpected(done.error());
  if (value.size() > kXattrValueBytesMax) return fail(Status::kAttributeTooBig);
  if (name.starts_with(kOwnXattrPrefix)) return fail(Status::kNotPermitted);
  const auto file = open_for_xattrs(inode);
  if (!file) return std::unexpected(file.error());
  if (*file == nullptr) return fail(Status::kNotPermitted);
  const int flags = mode == XattrMode::kCreate    ? XATTR_CREATE
                    : mode == XattrMode::kReplace ? XATTR_REPLACE
                                                  : 0;
  const std::unique_lock lock(inode->size_lock());
  // Asked before, so that after a kill one that is there was set by this.
  if (mode == XattrMode::kCreate && disk::get_xattr((*file)->get(), name.c_str())) {
    return fail(Status::kExists);
  }
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kSetxattr, inode);
    facts.name = name;
    facts.numbers.value_hash = hash_of(value);
    return facts;
  });
  const auto done = disk::set_xattr((*file)->get(), name.c_str(), value, flags);
  if (done || !is_refusal(done.error().status)) actor.touched.attributes(inode);
  if (!done) {
    return std::unexpected(done.error());
  }
  const auto attributes = told_changed(inode, (*file)->get());
  if (attributes) step.finish({.attributes = *attributes});
  return attributes;
}

Result<Attributes> Home::removexattr(const Actor& actor, const InodeRef& inode,
                                     const std::string& name) {
  if (auto done = check_xattr_name(name); !done) return std::unexpected(done.error());
  if (name.starts_with(kOwnXattrPrefix)) return fail(Status::kNotPermitted);
  const auto file = open_for_xattrs(inode);
  if (!file) return std::unexpected(file.error());
  if (*file == nullptr) return fail(Status::kNotPermitted);
  const std::unique_lock lock(inode->size_lock());
  // Asked before, so that after a kill one that is not there was removed by this.
  if (const auto value = disk::get_xattr((*file)->get(), name.c_str()); !value) {
    return std::unexpected(value.error());
  }
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kRemovexattr, inode);
    facts.name = name;
    return facts;
  });
  const auto done = disk::remove_xattr((*file)->get(), name.c_str());
  if (done || !is_refusal(done.error().status)) actor.touched.attributes(inode);
  if (!done) {
    return std::unexpected(done.error());
  }
  const auto attributes = told_changed(inode, (*file)->get());
  if (attributes) step.finish({.attributes = *attributes});
  return attributes;
}

Result<std::vector<std::byte>> Home::getxattr(const InodeRef& inode, const std::string& name) {
  if (auto done = check_xattr_name(name); !done) return std::unexpected(done.error());
  if (name.starts_with(kOwnXattrPrefix)) return fail(Status::kNoAttribute);
  const auto file = open_for_xattrs(inode);
  if (!file) return std::unexpected(file.error());
  if (*file == nullptr) return fail(Status::kNoAttribute);
  return disk::get_xattr((*file)->get(), name.c_str());
}

Result<std::vector<std::byte>> Home::listxattr(const InodeRef& inode) {
  const auto file = open_for_xattrs(inode);
  if (!file) return std::unexpected(file.error());
  if (*file == nullptr) return std::vector<std::byte>();
  const auto names = disk::list_xattrs((*file)->get());
  if (!names) return names;
  std::vector<std::byte> visible;
  std::string_view rest(reinterpret_cast<const char*>(names->data()), names->size());
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\0'), rest.size() - 1);
    const std::string_view name = rest.substr(0, end);
    if (name.starts_with("user.") && !name.starts_with(kOwnXattrPrefix)) {
      const auto bytes = std::as_bytes(std::span(rest.substr(0, end + 1)));
      visible.insert(visible.end(), bytes.begin(), bytes.end());
    }
    rest.remove_prefix(end + 1);
  }
  return visible;
}

}  // namespace homefs
