#include "server/file_mode.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "protocol/privileges.h"

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

TEST(FileMode, TheWholeFormIsTheSameAfterwards) {
  for (const std::uint32_t type :
       {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK}) {
    const Ownership ownership{
        .mode = type | 06755, .uid = 0x01020304, .gid = 0xfffffffe, .device = 0x00100731};
    EXPECT_EQ(decode_ownership(encode_ownership(ownership)), ownership) << std::oct << type;
  }
}

TEST(FileMode, TheWholeFormIsLittleEndianAndHasAVersion) {
  const OwnershipBytes bytes =
      encode_ownership({.mode = S_IFCHR | 0640, .uid = 1000, .gid = 5, .device = 0x0103});
  const unsigned expected[] = {1, 0, 0, 0, 0xa0, 0x21, 0, 0, 0xe8, 3, 0, 0, 5, 0, 0, 0, 3, 1, 0, 0};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(std::to_integer<unsigned>(bytes[i]), expected[i]) << i;
  }
}

TEST(FileMode, AnythingElseIsNoWholeForm) {
  const OwnershipBytes good = encode_ownership({.mode = S_IFREG | 0644});
  EXPECT_TRUE(decode_ownership(good));
  EXPECT_FALSE(decode_ownership(std::span(good).first(19)));
  EXPECT_FALSE(decode_ownership({}));
  OwnershipBytes newer = good;
  newer[0] = std::byte{2};
  EXPECT_FALSE(decode_ownership(newer));
  EXPECT_FALSE(decode_ownership(encode_ownership({.mode = 0644})));  // no type
}

TEST(FileMode, TheWholeFormIsAMarkedPlainFileOrFolderOnTheDisk) {
  EXPECT_EQ(whole_disk_mode(S_IFDIR | 02775), S_IFDIR | 01700u);
  for (const std::uint32_t type : {S_IFREG, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK}) {
    EXPECT_EQ(whole_disk_mode(type | 06777), S_IFREG | 01600u);
    EXPECT_TRUE(is_marked(whole_disk_mode(type)));
  }
}

TEST(FileMode, AWriteTakesPrivilegesAsTheKernelDoes) {
  EXPECT_EQ(without_privileges(S_IFREG | 06755), S_IFREG | 0755u);
  EXPECT_EQ(without_privileges(S_IFREG | 02745), S_IFREG | 02745u);  // no x for the group
  EXPECT_EQ(without_privileges(S_IFREG | 0644), S_IFREG | 0644u);
  EXPECT_EQ(without_privileges(S_IFDIR | 06755), S_IFDIR | 06755u);
  EXPECT_EQ(without_privileges(S_IFIFO | 06755), S_IFIFO | 0755u);
}

}  // namespace
}  // namespace homefs
