#include "server/file_mode.h"

#include <sys/stat.h>

#include "protocol/result.h"

namespace homefs {

DiskMode disk_mode_of(std::uint32_t true_mode) {
  const std::uint32_t special = true_mode & (S_ISUID | S_ISGID | S_ISVTX);
  const std::uint32_t plain = true_mode & ~special;
  if (S_ISREG(true_mode)) {
    const std::uint32_t owner = true_mode & (S_IRUSR | S_IWUSR);
    if (special == 0 && owner == (S_IRUSR | S_IWUSR)) return {true_mode, false};
    const std::uint32_t disk = plain | S_IRUSR | S_IWUSR | S_ISVTX;
    return {disk, special != 0 || owner != S_IRUSR};
  }
  if (S_ISDIR(true_mode)) {
    const bool is_sgid = (special & (S_ISUID | S_ISGID)) != 0;
    if (!is_sgid && (true_mode & S_IRWXU) == S_IRWXU) return {true_mode, false};
    return {plain | S_IRWXU | S_ISVTX, true};
  }
  return {true_mode, false};
}

bool is_marked(std::uint32_t disk_mode) {
  return (disk_mode & S_ISVTX) != 0 && (S_ISREG(disk_mode) || S_ISDIR(disk_mode));
}

std::uint32_t true_mode_of(std::uint32_t disk_mode, std::optional<std::uint32_t> xattr) {
  HOMEFS_CHECK(is_marked(disk_mode));
  if (xattr) return (disk_mode & S_IFMT) | (*xattr & kModeBits);
  if (S_ISDIR(disk_mode)) return disk_mode;
  constexpr std::uint32_t kMark = S_ISVTX | S_IWUSR;
  return disk_mode & ~kMark;
}

std::uint32_t without_privileges(std::uint32_t mode) {
  std::uint32_t taken = S_ISUID;
  if ((mode & S_IXGRP) != 0) taken |= S_ISGID;
  return mode & ~taken;
}

}  // namespace homefs
