#include "server/home_registry.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

TEST(DeleteHome, TakesTheFilesAndTheOrphans) {
  const test::ScratchFolder homes;
  std::filesystem::create_directories(homes.path() / ".orphans" / "alice");
  std::filesystem::create_directories(homes.path() / "alice");
  std::ofstream(homes.path() / "alice" / "f") << "data";
  EXPECT_TRUE(delete_home(homes.path(), "alice"));
  EXPECT_FALSE(std::filesystem::exists(homes.path() / "alice"));
  EXPECT_TRUE(std::filesystem::is_empty(homes.path() / ".orphans"));
  EXPECT_TRUE(delete_home(homes.path(), "alice")) << "gone already is as good";
}

TEST(DeleteHome, FailsWhenItCannotLook) {
  const test::ScratchFolder folder;
  const std::filesystem::path loop = folder.path() / "loop";
  std::filesystem::create_symlink(loop, loop);
  EXPECT_FALSE(delete_home(loop, "alice"));
}

}  // namespace
}  // namespace homefs
