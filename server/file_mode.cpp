#include "server/file_mode.h"

#include <sys/stat.h>

#include "protocol/result.h"

namespace homefs {
namespace {

constexpr std::uint32_t kOwnershipVersion = 1;
constexpr std::size_t kNumberBytes = 4;

void put(OwnershipBytes& bytes, std::size_t index, std::uint32_t number) {
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    bytes[index * kNumberBytes + i] = static_cast<std::byte>(number >> (8 * i) & 0xff);
  }
}

std::uint32_t number_at(std::span<const std::byte> bytes, std::size_t index) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    number |= std::to_integer<std::uint32_t>(bytes[index * kNumberBytes + i]) << (8 * i);
  }
  return number;
}

bool is_type(std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
      return true;
    default:
      return false;
  }
}

}  // namespace

OwnershipBytes encode_ownership(const Ownership& ownership) {
  OwnershipBytes bytes{};
  std::size_t index = 0;
  for (const std::uint32_t number :
       {kOwnershipVersion, ownership.mode, ownership.uid, ownership.gid, ownership.device}) {
    put(bytes, index++, number);
  }
  return bytes;
}

std::optional<Ownership> decode_ownership(std::span<const std::byte> value) {
  if (value.size() != sizeof(OwnershipBytes)) return {};
  if (number_at(value, 0) != kOwnershipVersion) return {};
  const Ownership ownership{.mode = number_at(value, 1),
                            .uid = number_at(value, 2),
                            .gid = number_at(value, 3),
                            .device = number_at(value, 4)};
  if (!is_type(ownership.mode)) return {};
  return ownership;
}

std::uint32_t whole_disk_mode(std::uint32_t true_mode) {
  if (S_ISDIR(true_mode)) return S_IFDIR | S_ISVTX | S_IRWXU;
  return S_IFREG | S_ISVTX | S_IRUSR | S_IWUSR;
}

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

}  // namespace homefs
