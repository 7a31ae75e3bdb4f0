#include "server/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace homefs {
namespace {

// Bits of the child's exit status: what it could do although it should not, or the reverse.
enum Wrong : int {
  kNoKernel = 1,
  kReadOutside = 2,
  kWroteOutside = 4,
  kCannotWrite = 8,
  kCannotMove = 16,
  kWroteReadable = 32,
  kCannotRead = 64,
};

int try_everything(const std::filesystem::path& folder) {
  const auto can_open = [](const std::filesystem::path& path, int flags) {
    return ::open(path.c_str(), flags | O_CLOEXEC, 0600) >= 0;
  };
  if (!confine_process(
          {.writable = {folder / "own", folder / "missing"}, .readable = {folder / "config"}})) {
    return kNoKernel;
  }
  int wrong = 0;
  if (can_open(folder / "other/file", O_RDONLY) || can_open("/etc/passwd", O_RDONLY)) {
    wrong |= kReadOutside;
  }
  if (can_open(folder / "other/new", O_WRONLY | O_CREAT)) wrong |= kWroteOutside;
  if (!can_open(folder / "own/new", O_RDWR | O_CREAT | O_TRUNC)) wrong |= kCannotWrite;
  // Between two folders, as a rename of a user or a removal into the orphanage is.
  if (::rename((folder / "own/new").c_str(), (folder / "own/sub/new").c_str()) != 0) {
    wrong |= kCannotMove;
  }
  if (!can_open(folder / "config", O_RDONLY)) wrong |= kCannotRead;
  if (can_open(folder / "config", O_WRONLY)) wrong |= kWroteReadable;
  return wrong;
}

TEST(Landlock, LeavesTheProcessItsOwnFilesAndNothingElse) {
  std::string pattern = testing::TempDir() + "confinement.XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  std::filesystem::create_directories(folder / "own/sub");
  std::filesystem::create_directories(folder / "other");
  std::ofstream(folder / "other/file") << "x";
  std::ofstream(folder / "config") << "x";

  const pid_t child = ::fork();
  if (child == 0) ::_exit(try_everything(folder));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoKernel) GTEST_SKIP() << "a kernel without Landlock";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace homefs
