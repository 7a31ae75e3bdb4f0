// InodeTable's descriptors: from where an inode was last seen to an open file that is that inode.

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "server/disk_mode.h"
#include "server/inode_table.h"

namespace homefs {
namespace {

// O_NONBLOCK: should a FIFO or a device have taken the name, opening it must neither wait nor act.
int open_flags(const Inode& inode) {
  const std::uint32_t disk_type = inode.identity().type;
  if (S_ISDIR(disk_type)) return O_RDONLY | O_DIRECTORY;
  if (S_ISREG(disk_type)) return O_RDWR | O_NONBLOCK | O_NOCTTY;
  return O_PATH;
}

bool is_identity(const disk::Stat& stat, const Inode::Identity& identity) {
  return number_of(stat.attributes.inode) == identity.number &&
         stat.birth_ns == identity.birth_ns && (stat.disk_mode & S_IFMT) == identity.type;
}

// What the way ended in was something else than was looked for.
bool is_wrong_way(Status status) {
  switch (status) {
    case Status::kNoSuchFile:
    case Status::kNotDirectory:
    case Status::kIsDirectory:
    case Status::kLoop:
    case Status::kCrossDevice:
    case Status::kNoDeviceAddress:
      return true;
    default:
      return false;
  }
}

// An inode that was put into the home by other means may have a mode on the disk that keeps even
// its owner out. It gets the form that homefs gives its files (file_mode.h); its true mode stays.
Result<UniqueFd> open_after_mending(int folder, const char* name, const Inode& inode) {
  auto handle = disk::open_at(folder, name, O_PATH);
  if (!handle) return std::unexpected(handle.error());
  const auto stat = disk::stat_fd(handle->get());
  if (!stat) return std::unexpected(stat.error());
  if (!is_identity(*stat, inode.identity())) return fail(Status::kStale);
  const std::uint32_t mode = stat->attributes.mode;
  const DiskMode target = disk_mode_of(mode);
  if (auto done = disk::change_mode(handle->get(), target.mode & kModeBits); !done) {
    return std::unexpected(done.error());
  }
  auto fd = disk::open_at(folder, name, open_flags(inode));
  if (!fd || !target.has_xattr) return fd;
  const auto mended = stat_true(fd->get());
  if (!mended) return std::unexpected(mended.error());
  if (mended->is_whole) return fd;  // it had lost no more than permission bits on the disk
  if (auto done = store_mode_xattr(fd->get(), mode); !done) return std::unexpected(done.error());
  return fd;
}

Result<UniqueFd> open_to_read(int folder, const char* name) {
  return disk::open_at(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

Result<UniqueFd> open_somehow(int folder, const char* name, const Inode& inode) {
  auto fd = disk::open_at(folder, name, open_flags(inode));
  if (fd) return fd;
  switch (fd.error().status) {
    case Status::kAccessDenied:
      fd = open_after_mending(folder, name, inode);
      // Of another owner, whose mode is not ours to change: perhaps it can be read.
      if (!fd && fd.error().status == Status::kNotPermitted) return open_to_read(folder, name);
      return fd;
    case Status::kReadOnly:      // the file system
    case Status::kNotPermitted:  // the file is immutable
    case Status::kTextBusy:      // somebody on the server runs it
      return open_to_read(folder, name);
    default:
      return fd;
  }
}

}  // namespace

InodeTable::Way InodeTable::way_to(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return {.parent = inode.parent_,
          .name = inode.name_,
          .is_root = inode.is_root_,
          .is_orphan = inode.is_orphan_,
          .is_gone = inode.is_gone_};
}

Result<disk::FdRef> InodeTable::open(const InodeRef& inode) {
  if (auto descriptor = descriptors_->find(*inode)) return descriptor;
  auto descriptor = walk(inode);
  if (!descriptor && descriptor.error().status == Status::kTooManyOpen) {
    descriptors_->shrink();
    descriptor = walk(inode);
  }
  if (descriptor || descriptor.error().status != Status::kStale) return descriptor;
  // A folder on the way may have been moved between looking at the way and walking it: the second
  // try is made while nothing is moved.
  const std::lock_guard lock(names_mutex_);
  if (is_gone(*inode) && inode->is_folder()) return fail(Status::kNoSuchFile);
  return walk(inode);
}

Result<disk::FdRef> InodeTable::walk(const InodeRef& inode) {
  struct Step {
    InodeRef inode;
    std::string name;
  };
  std::vector<Step> down;  // what has to be opened, the last one first
  disk::FdRef at;
  const std::size_t steps_max = size() + 1;  // more would be a ring
  for (InodeRef next = inode; at == nullptr;) {
    if (!down.empty()) at = descriptors_->find(*next);
    if (at != nullptr) break;
    Way way = way_to(*next);
    if (way.is_root) {
      at = root_;
    } else if (way.is_orphan) {
      down.push_back({next, std::to_string(number_of(next->number()))});
      at = orphans_;
    } else if (way.is_gone || way.parent == nullptr || down.size() > steps_max) {
      return fail(Status::kStale);
    } else {
      down.push_back({next, std::move(way.name)});
      next = std::move(way.parent);
    }
  }
  for (; !down.empty(); down.pop_back()) {
    auto descriptor = open_from(at, down.back().name, *down.back().inode);
    if (!descriptor) return descriptor;
    at = std::move(*descriptor);
  }
  return at;
}

Result<disk::FdRef> InodeTable::open_from(const disk::FdRef& folder, const std::string& name,
                                          Inode& inode) {
  auto fd = open_somehow(folder->get(), name.c_str(), inode);
  if (!fd) {
    if (is_wrong_way(fd.error().status)) return fail(Status::kStale);
    return std::unexpected(fd.error());
  }
  const auto stat = disk::stat_fd(fd->get());
  if (!stat) return std::unexpected(stat.error());
  if (!is_identity(*stat, inode.identity())) return fail(Status::kStale);
  return descriptors_->put(inode, std::move(*fd));
}

disk::FdRef InodeTable::keep(const InodeRef& inode, UniqueFd descriptor) {
  return descriptors_->put(*inode, std::move(descriptor));
}

// The cheap way: by name in the parent, whose descriptor is probably there. Nothing: try another.
std::optional<disk::Stat> InodeTable::stat_by_name(const InodeRef& inode) {
  const Way way = way_to(*inode);
  if (way.parent == nullptr) return {};
  const auto folder = open(way.parent);
  if (!folder) return {};
  auto stat = stat_true_at((*folder)->get(), way.name.c_str());
  if (!stat || !is_identity(*stat, inode->identity())) return {};
  return *std::move(stat);
}

Result<disk::Stat> InodeTable::stat(const InodeRef& inode) {
  auto descriptor = descriptors_->find(*inode);
  if (descriptor == nullptr && !inode->is_folder()) {
    if (auto stat = stat_by_name(inode)) return *std::move(stat);
  }
  if (descriptor == nullptr) {
    auto opened = open(inode);
    if (!opened) {
      const std::lock_guard lock(mutex_);
      if (inode->last_ != nullptr) return *inode->last_;
      return std::unexpected(opened.error());
    }
    descriptor = std::move(*opened);
  }
  return stat_true(descriptor->get());
}

}  // namespace homefs
