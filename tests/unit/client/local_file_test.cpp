#include "fusefs/transfer/local_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

namespace homefs {
namespace {

TEST(LocalFile, ShowsAnyChangeThatFollowsASettledLook) {
  std::string name = "/tmp/homefs-local-XXXXXX";
  const UniqueFd writer(::mkstemp(name.data()));
  ASSERT_TRUE(writer);
  const auto file = LocalFile::open_to_read(name);
  ASSERT_TRUE(file);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(::pwrite(writer.get(), "before", 6, 0), 6);
    const auto before = file->settled_stat();
    ASSERT_EQ(::pwrite(writer.get(), "behind", 6, 0), 6);
    const auto after = file->stat();
    ASSERT_TRUE(before && after);
    const bool is_same = before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
                         before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
    EXPECT_FALSE(is_same) << "at " << i;
  }
  (void)::unlink(name.c_str());
}

}  // namespace
}  // namespace homefs
