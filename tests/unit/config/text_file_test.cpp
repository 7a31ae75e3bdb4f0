#include "config/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

TEST(TextFile, ReadsWhatIsThereUpToItsBound) {
  const TemporaryFolder folder;
  const std::string text(200'000, 'x');
  folder.write("a", text);
  const Result<TextFile> file = read_text_file(folder.file("a"), text.size());
  ASSERT_TRUE(file) << file.error().context;
  EXPECT_EQ(file->text, text);
  const Result<TextFile> over = read_text_file(folder.file("a"), text.size() - 1);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().status, Status::kTooBig);
}

TEST(TextFile, RefusesAFolderAndDoesNotHangOnAFifo) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_text_file(folder.path(), 10).error().status, Status::kInvalid);
  ASSERT_EQ(::mkfifo(folder.file("fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_text_file(folder.file("fifo"), 10).error().status, Status::kInvalid);
}

TEST(TextFile, ReplacesWholeAndKeepsTheMode) {
  const TemporaryFolder folder;
  folder.write("a", "old");
  ASSERT_EQ(::chmod(folder.file("a").c_str(), 0640), 0);
  ASSERT_TRUE(replace_text_file(folder.file("a"), "new", 0600));
  EXPECT_EQ(folder.read("a"), "new");
  EXPECT_EQ(mode_of(folder.file("a")), 0640u);
  EXPECT_EQ(folder.entries(), 1u) << "a temporary file was left";
}

TEST(TextFile, GivesANewFileTheModeThatIsAskedFor) {
  const TemporaryFolder folder;
  ASSERT_TRUE(replace_text_file(folder.file("a"), "new", 0604));
  EXPECT_EQ(mode_of(folder.file("a")), 0604u);
}

TEST(TextFile, FollowsASymlinkInsteadOfReplacingIt) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("real"));
  folder.write("real/a", "old");
  std::filesystem::create_symlink("real/a", folder.file("link"));
  ASSERT_TRUE(replace_text_file(folder.file("link"), "new", 0600));
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(folder.read("real/a"), "new");
}

TEST(TextFile, LeavesNothingBehindWhenItFails) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("a"));
  EXPECT_FALSE(replace_text_file(folder.file("a"), "new", 0600));
  EXPECT_FALSE(replace_text_file(folder.file("none/a"), "new", 0600));
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(TextFile, ChangesItsVersionWithEveryReplacement) {
  const TemporaryFolder folder;
  folder.write("a", "one");
  const Result<FileVersion> before = file_version(folder.file("a"));
  ASSERT_TRUE(replace_text_file(folder.file("a"), "two", 0600));
  const Result<FileVersion> after = file_version(folder.file("a"));
  ASSERT_TRUE(before && after);
  EXPECT_NE(*before, *after);
  EXPECT_EQ(*after, *file_version(folder.file("a")));
}

TEST(TextFile, WritesNothingWhenAnEditChangesNothingOrFails) {
  const TemporaryFolder folder;
  folder.write("a", "old");
  const FileVersion before = *file_version(folder.file("a"));
  EXPECT_TRUE(edit_text_file(folder.file("a"), 100, 0600,
                             [](const std::string& text) -> Result<std::string> { return text; }));
  const Result<> failed = edit_text_file(
      folder.file("a"), 100, 0600,
      [](const std::string&) -> Result<std::string> { return fail(Status::kExists, "no"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().context, "no");
  EXPECT_EQ(before, *file_version(folder.file("a")));
}

TEST(TextFile, EditsTakeAMissingFileForEmpty) {
  const TemporaryFolder folder;
  ASSERT_TRUE(edit_text_file(
      folder.file("a"), 100, 0600,
      [](const std::string& text) -> Result<std::string> { return "[" + text + "]"; }));
  EXPECT_EQ(folder.read("a"), "[]");
}

TEST(TextFile, WhatRootMakesBelongsToTheOwnerOfTheFolder) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const TemporaryFolder folder;
  constexpr uid_t kOwner = 12345;
  ASSERT_EQ(::chown(folder.path().c_str(), kOwner, kOwner), 0);
  const auto write = [](const std::string& text) -> Result<std::string> { return text + "x"; };
  ASSERT_TRUE(edit_text_file(folder.file("a"), 100, 0600, write));
  for (const char* name : {"a", "a.lock"}) {
    struct stat status{};
    ASSERT_EQ(::stat(folder.file(name).c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, kOwner) << name;
    EXPECT_EQ(status.st_gid, kOwner) << name;
  }
  // A file that exists keeps its owner, whoever owns the folder.
  ASSERT_EQ(::chown(folder.file("a").c_str(), kOwner + 1, kOwner + 2), 0);
  ASSERT_TRUE(edit_text_file(folder.file("a"), 100, 0600, write));
  const Result<TextFile> file = read_text_file(folder.file("a"), 100);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->uid, kOwner + 1);
}

TEST(TextFile, ConcurrentEditsLoseNothing) {
  const TemporaryFolder folder;
  constexpr int kThreads = 4;
  constexpr int kEdits = 20;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int edit = 0; edit < kEdits; ++edit) {
        EXPECT_TRUE(edit_text_file(
            folder.file("a"), 1000, 0600,
            [](const std::string& text) -> Result<std::string> { return text + "x"; }));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(folder.read("a"), std::string(kThreads * kEdits, 'x'));
}

}  // namespace
}  // namespace homefs
