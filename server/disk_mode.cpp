#include "server/disk_mode.h"

#include <array>

namespace homefs {
namespace {

using XattrBytes = std::array<std::byte, 2>;

// Anything but two bytes was not written by us, and counts as none.
std::optional<std::uint32_t> mode_in(std::span<const std::byte> value) {
  if (value.size() != sizeof(XattrBytes)) return {};
  return std::to_integer<std::uint32_t>(value[0]) | std::to_integer<std::uint32_t>(value[1]) << 8;
}

}  // namespace

Result<void> make_true(int fd, disk::Stat& stat) {
  std::uint32_t& mode = stat.attributes.mode;
  if (!is_marked(mode)) return {};
  const auto value = disk::get_xattr(fd, kModeXattr);
  if (!value && value.error().status != Status::kNoAttribute) {
    return std::unexpected(value.error());
  }
  mode = true_mode_of(mode, value ? mode_in(*value) : std::nullopt);
  return {};
}

Result<disk::Stat> stat_true(int fd) {
  auto stat = disk::stat_fd(fd);
  if (!stat) return stat;
  if (auto done = make_true(fd, *stat); !done) return std::unexpected(done.error());
  return stat;
}

Result<disk::Stat> stat_true_at(int folder, const char* name) {
  auto stat = disk::stat_at(folder, name);
  if (!stat || !is_marked(stat->attributes.mode)) return stat;
  XattrBytes value{};
  const auto bytes = disk::get_xattr_at(folder, name, kModeXattr, value);
  if (!bytes && bytes.error().status != Status::kNoAttribute) {
    return std::unexpected(bytes.error());
  }
  stat->attributes.mode = true_mode_of(
      stat->attributes.mode, bytes ? mode_in(std::span(value).first(*bytes)) : std::nullopt);
  return stat;
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
  const XattrBytes value{static_cast<std::byte>(mode & 0xff),
                         static_cast<std::byte>((mode & kModeBits) >> 8)};
  return disk::set_xattr(fd, kModeXattr, value, 0);
}

}  // namespace homefs
