#include "server/file_mode.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace homefs {
namespace {

std::optional<std::uint32_t> xattr_of(const DiskMode& disk, std::uint32_t mode) {
  if (!disk.has_xattr) return {};
  return mode & kModeBits;
}

TEST(FileMode, EveryModeOfAFileOrFolderSurvivesTheDisk) {
  for (const std::uint32_t type : {S_IFREG, S_IFDIR}) {
    for (std::uint32_t bits = 0; bits <= kModeBits; ++bits) {
      const std::uint32_t mode = type | bits;
      const DiskMode disk = disk_mode_of(mode);
      const std::uint32_t back =
          is_marked(disk.mode) ? true_mode_of(disk.mode, xattr_of(disk, mode)) : disk.mode;
      ASSERT_EQ(back, mode) << std::oct << mode;
    }
  }
}

TEST(FileMode, TheOwnerCanAlwaysOpenWhatIsOnTheDisk) {
  for (std::uint32_t bits = 0; bits <= kModeBits; ++bits) {
    ASSERT_EQ(disk_mode_of(S_IFREG | bits).mode & 0600u, 0600u);
    ASSERT_EQ(disk_mode_of(S_IFDIR | bits).mode & 0700u, 0700u);
  }
}

TEST(FileMode, NoSetIdProgramIsEverOnTheDisk) {
  for (std::uint32_t bits = 0; bits <= kModeBits; ++bits) {
    ASSERT_EQ(disk_mode_of(S_IFREG | bits).mode & (S_ISUID | S_ISGID), 0u);
  }
}

TEST(FileMode, CommonModesNeedNoXattr) {
  for (const std::uint32_t mode : {0644, 0600, 0755, 0444, 0555, 0400, 0666}) {
    EXPECT_FALSE(disk_mode_of(S_IFREG | mode).has_xattr) << std::oct << mode;
  }
  for (const std::uint32_t mode : {0755, 0700, 01777, 0775}) {
    EXPECT_FALSE(disk_mode_of(S_IFDIR | mode).has_xattr) << std::oct << mode;
  }
}

TEST(FileMode, OtherTypesAreLeftAlone) {
  for (const std::uint32_t type : {S_IFIFO, S_IFSOCK, S_IFLNK}) {
    EXPECT_EQ(disk_mode_of(type | 01000u).mode, type | 01000u);
    EXPECT_FALSE(disk_mode_of(type | 0u).has_xattr);
    EXPECT_FALSE(is_marked(type | 01777u));
  }
}

TEST(FileMode, AWriteTakesPrivilegesAsTheKernelDoes) {
  EXPECT_EQ(without_privileges(S_IFREG | 06755), S_IFREG | 0755u);
  EXPECT_EQ(without_privileges(S_IFREG | 02745), S_IFREG | 02745u);  // no x for the group
  EXPECT_EQ(without_privileges(S_IFREG | 0644), S_IFREG | 0644u);
}

}  // namespace
}  // namespace homefs
