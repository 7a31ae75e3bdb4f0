#include "server/disk_mode.h"

#include <fcntl.h>

#include <array>

#include "protocol/limits.h"

namespace homefs {
namespace {

using ModeBytes = std::array<std::byte, 2>;

// Anything but two bytes was not written by us, and counts as none.
std::optional<std::uint32_t> mode_in(std::span<const std::byte> value) {
  if (value.size() != sizeof(ModeBytes)) return {};
  return std::to_integer<std::uint32_t>(value[0]) | std::to_integer<std::uint32_t>(value[1]) << 8;
}

// Only a folder can stand for a folder.
bool is_fitting(std::uint32_t disk_mode, std::uint32_t mode) {
  return S_ISDIR(disk_mode) == S_ISDIR(mode);
}

// It has no xattr, or one of another owner that we may not read: the disk's own mode counts.
bool is_unmarked(Status status) {
  return status == Status::kNoAttribute || status == Status::kAccessDenied ||
         status == Status::kNotPermitted;
}

// `value`: what was found in the xattr; empty: nothing.
void believe(disk::Stat& stat, std::span<const std::byte> value) {
  Attributes& attributes = stat.attributes;
  const auto whole = decode_ownership(value);
  if (!whole || !is_fitting(stat.disk_mode, whole->mode)) {
    attributes.mode = true_mode_of(stat.disk_mode, mode_in(value));
    return;
  }
  stat.is_whole = true;
  attributes.mode = whole->mode;
  attributes.uid = whole->uid;
  attributes.gid = whole->gid;
  attributes.device = whole->device;
}

}  // namespace

Result<void> make_true(int fd, disk::Stat& stat) {
  if (!is_marked(stat.disk_mode)) return {};
  const auto value = disk::get_xattr(fd, kModeXattr);
  if (!value && !is_unmarked(value.error().status)) return std::unexpected(value.error());
  believe(stat, value ? std::span<const std::byte>(*value) : std::span<const std::byte>());
  return {};
}

void make_true_like(const disk::Stat& known, disk::Stat& stat) {
  stat.is_whole = known.is_whole;
  stat.attributes.mode = known.attributes.mode;
  stat.attributes.uid = known.attributes.uid;
  stat.attributes.gid = known.attributes.gid;
  stat.attributes.device = known.attributes.device;
}

Result<disk::Stat> stat_true(int fd) {
  auto stat = disk::stat_fd(fd);
  if (!stat) return stat;
  if (auto done = make_true(fd, *stat); !done) return std::unexpected(done.error());
  return stat;
}

Result<disk::Stat> stat_true_at(int folder, const char* name) {
  auto stat = disk::stat_at(folder, name);
  if (!stat || !is_marked(stat->disk_mode)) return stat;
  std::array<std::byte, 64> value{};  // more than any form has
  auto bytes = disk::get_xattr_at(folder, name, kModeXattr, value);
  if (!bytes && !is_unmarked(bytes.error().status)) return std::unexpected(bytes.error());
  believe(*stat, std::span(value).first(bytes ? *bytes : 0));
  return stat;
}

Ownership ownership_of(const disk::Stat& stat) {
  const Attributes& attributes = stat.attributes;
  return {.mode = attributes.mode,
          .uid = attributes.uid,
          .gid = attributes.gid,
          .device = stat.is_whole ? attributes.device : 0};
}

Result<void> store_ownership(int fd, const disk::Stat& before, const Ownership& wanted) {
  const Ownership now = ownership_of(before);
  const bool is_same = wanted == now;
  if (!before.is_whole && wanted.uid == now.uid && wanted.gid == now.gid) {
    // A touch takes suid and sgid from what has them on the disk: FIFOs and sockets.
    const bool can_touch = (before.disk_mode & (S_ISUID | S_ISGID)) == 0;
    if (is_same && can_touch) return disk::touch(fd);
    return store_mode(fd, before.disk_mode, wanted.mode);
  }
  if (!S_ISREG(before.disk_mode) && !S_ISDIR(before.disk_mode)) {
    return fail(Status::kNotPermitted, "it was made before this home preserved owners");
  }
  // The file system takes an xattr's old value for no change.
  if (is_same) return disk::touch(fd);
  if (auto done = store_ownership_xattr(fd, wanted); !done) return done;
  const std::uint32_t disk_mode = whole_disk_mode(wanted.mode);
  if (before.disk_mode == disk_mode) return {};
  return disk::change_mode(fd, disk_mode & kModeBits);
}

Result<void> store_mode(int fd, std::uint32_t disk_mode, std::uint32_t mode) {
  const DiskMode target = disk_mode_of(mode);
  const bool is_target_marked = is_marked(target.mode);
  if (is_marked(disk_mode) && is_target_marked && !target.has_xattr) {
    // Between the two marked forms an xattr that is there has to agree first; it may stay.
    const auto old = disk::get_xattr(fd, kModeXattr);
    if (old) {
      if (auto done = store_mode_xattr(fd, mode); !done) return done;
    }
  } else if (target.has_xattr) {
    if (auto done = store_mode_xattr(fd, mode); !done) return done;
  } else if (is_target_marked) {
    (void)disk::remove_xattr(fd, kModeXattr);  // a stale one; mostly there is none
  }
  if (auto done = disk::change_mode(fd, target.mode & kModeBits); !done) return done;
  if (is_marked(disk_mode) && !is_target_marked) {
    (void)disk::remove_xattr(fd, kModeXattr);  // not looked at any more; mostly there is none
  }
  return {};
}

Result<void> store_mode_xattr(int fd, std::uint32_t mode) {
  const ModeBytes value{static_cast<std::byte>(mode & 0xff),
                        static_cast<std::byte>((mode & kModeBits) >> 8)};
  return disk::set_xattr(fd, kModeXattr, value, 0);
}

Result<void> store_ownership_xattr(int fd, const Ownership& ownership) {
  return disk::set_xattr(fd, kModeXattr, encode_ownership(ownership), 0);
}

Result<std::string> read_target_at(int folder, const char* name, const disk::Stat& stat) {
  if (S_ISLNK(stat.disk_mode)) return disk::readlink_at(folder, name);
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
  // A listing is no use of the symlink. Only the owner of a file may ask for this.
  auto fd = disk::open_at(folder, name, kFlags | O_NOATIME);
  if (!fd && fd.error().status == Status::kNotPermitted) fd = disk::open_at(folder, name, kFlags);
  if (!fd) return std::unexpected(fd.error());
  return read_target(fd->get(), stat.disk_mode & S_IFMT);
}

Result<std::string> read_target(int fd, std::uint32_t disk_type) {
  if (S_ISLNK(disk_type)) return disk::readlink_fd(fd);
  std::array<std::byte, kSymlinkBytesMax> target;
  const auto bytes = disk::read_at(fd, target, 0);
  if (!bytes) return std::unexpected(bytes.error());
  return std::string(reinterpret_cast<const char*>(target.data()), *bytes);
}

}  // namespace homefs
