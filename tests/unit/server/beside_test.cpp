// What other programs change in a home is told to all its sessions, and what sessions change is not
// told a second time.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "server/folder_watch.h"
#include "server/told_log.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::pattern;
using test::TestHome;
using test::TestSession;

// Where a home's news arrive.
class Told {
 public:
  void take(const std::vector<Change>& changes) {
    const std::lock_guard lock(mutex_);
    changes_.insert(changes_.end(), changes.begin(), changes.end());
    arrived_.notify_all();
  }
  bool wait_for(const std::function<bool(const Change&)>& is_it) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return std::ranges::any_of(changes_, is_it); });
  }
  std::vector<Change> all() {
    const std::lock_guard lock(mutex_);
    return changes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Change> changes_;
};

class Beside : public ::testing::Test {
 protected:
  void SetUp() override { list(kRootNode); }
  std::filesystem::path path(const std::string& name) { return home_.root() / name; }
  void list(NodeId folder) {
    EXPECT_EQ(session_.list({.folder = folder, .bytes_max = 1 << 20}).status, Status::kOk);
  }
  InodeNumber root() { return session_.getattr(kRootNode)->attributes.inode; }
  bool is_told_of_name(InodeNumber folder, const std::string& name, InodeNumber target) {
    return told_.wait_for([&](const Change& change) {
      return change.inode == folder && change.name == name && change.target == target;
    });
  }
  bool is_told_of_data(InodeNumber inode) {
    return told_.wait_for(
        [&](const Change& change) { return change.inode == inode && change.has_data; });
  }
  InodeNumber inode_of(const std::string& name) {
    struct stat stat{};
    EXPECT_EQ(::lstat(path(name).c_str(), &stat), 0);
    return InodeNumber{stat.st_ino};
  }
  // Events come in order: when this one was told, all before it were looked at.
  InodeNumber flush() {
    static int count = 0;
    const std::string mark = "mark" + std::to_string(count++);
    std::ofstream(path(mark)) << "x";
    EXPECT_TRUE(is_told_of_name(root(), mark, inode_of(mark)));
    return inode_of(mark);
  }

  Told told_;
  TestHome home_{{.watch = *FolderWatch::start(),
                  .on_beside = [this](const std::vector<Change>& c) { told_.take(c); }}};
  TestSession session_{home_};
};

TEST_F(Beside, AFileThatIsMadeReplacedAndRemoved) {
  std::ofstream(path("a")) << "one";
  const InodeNumber first = inode_of("a");
  EXPECT_TRUE(is_told_of_name(root(), "a", first));
  const NodeId node = session_.find(kRootNode, "a");
  EXPECT_EQ(session_.read(node, 0, 10).payload, "one");
  std::ofstream(path("b")) << "two";
  std::filesystem::rename(path("b"), path("a"));
  EXPECT_TRUE(is_told_of_name(root(), "a", inode_of("a")));
  EXPECT_EQ(session_.read(session_.find(kRootNode, "a"), 0, 10).payload, "two");
  std::filesystem::remove(path("a"));
  EXPECT_TRUE(is_told_of_name(root(), "a", InodeNumber{}));
  EXPECT_TRUE(told_.wait_for([&](const Change& c) { return c.inode == root() && c.name.empty(); }));
}

TEST_F(Beside, AFileThatIsWrittenWhereItIs) {
  const NodeId file = session_.make_file(kRootNode, "log", "one\n");
  flush();
  std::ofstream(path("log"), std::ios::app) << "two\n";
  EXPECT_TRUE(is_told_of_data(session_.getattr(file)->attributes.inode));
}

TEST_F(Beside, AFileInAFolderThatASessionHasMadeAndNeverListed) {
  session_.make_folder(kRootNode, "d");
  std::ofstream(path("d") / "f") << "x";
  EXPECT_TRUE(is_told_of_name(inode_of("d"), "f", inode_of("d/f")));
}

TEST_F(Beside, AFolderThatWasMovedIsFoundThere) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  const NodeId file = session_.make_file(folder, "f", "data");
  std::filesystem::rename(path("d"), path("e"));
  EXPECT_TRUE(is_told_of_name(root(), "e", inode_of("e")));
  while (home_.descriptors().size() > 0) home_.descriptors().shrink();
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
}

TEST_F(Beside, WhatSessionsChangeThemselvesIsNotTold) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  list(folder);
  for (int i = 0; i < 50; ++i) {
    const std::string name = std::to_string(i);
    const NodeId file = session_.make_file(folder, name, pattern(1000 + i));
    session_.write(file, 10, "more");
    session_.chmod(file, i % 2 == 0 ? 0600 : 01777);
    session_.truncate(file, 5);
    session_.link(file, kRootNode, "link" + name);
    if (i % 3 == 0) session_.unlink(folder, name, i % 2 == 0);
    if (i % 3 == 1) session_.rename(folder, name, kRootNode, "moved" + name);
    if (i % 5 == 2) session_.rename(folder, name, kRootNode, "link0", RenameMode::kExchange);
    session_.forget({file});
  }
  session_.rmdir(kRootNode, "none");
  const InodeNumber mark = flush();
  for (const Change& change : told_.all()) {
    const bool is_mark = change.name.starts_with("mark") || change.inode == mark;
    const bool is_folder_of_mark = change.inode == root() && change.name.empty();
    EXPECT_TRUE(is_mark || is_folder_of_mark) << number_of(change.inode) << " " << change.name;
  }
}

TEST_F(Beside, ManyAreToldAsTheirFolder) {
  for (int i = 0; i < 2000; ++i) std::ofstream(path("f" + std::to_string(i))) << i;
  EXPECT_TRUE(told_.wait_for([&](const Change& change) {
    return change.inode == root() && change.name.empty() && change.has_data;
  }));
}

TEST_F(Beside, IsCountedSoon) {
  using Clock = std::chrono::steady_clock;
  home_->wait_until_usage_known();
  std::ofstream(path("restored")) << pattern(1234);
  EXPECT_TRUE(is_told_of_name(root(), "restored", inode_of("restored")));
  const auto start = Clock::now();
  EXPECT_FALSE(home_->care_for_usage(start));
  EXPECT_FALSE(home_->care_for_usage(start + std::chrono::milliseconds(100))) << "not all the time";
  EXPECT_TRUE(home_->care_for_usage(start + std::chrono::minutes(1)));
  home_->wait_until_counted();
  EXPECT_EQ(home_->usage().bytes, 1234u);
  EXPECT_FALSE(home_->care_for_usage(start + std::chrono::minutes(2)));
  EXPECT_TRUE(home_->care_for_usage(start + std::chrono::hours(30))) << "now and then";
}

TEST(ToldLogTest, ForgetsWhatIsOlderThanTwoRotations) {
  ToldLog log;
  log.note_inode(InodeNumber{1}, 5);
  log.note_entry(InodeNumber{1}, "a", InodeNumber{2});
  EXPECT_TRUE(log.has_inode(InodeNumber{1}, 5));
  EXPECT_FALSE(log.has_inode(InodeNumber{1}, 6));
  EXPECT_FALSE(log.has_entry(InodeNumber{1}, "a", InodeNumber{}));
  log.rotate();
  EXPECT_TRUE(log.has_entry(InodeNumber{1}, "a", InodeNumber{2}));
  log.note_inode(InodeNumber{1}, 7);
  EXPECT_FALSE(log.has_inode(InodeNumber{1}, 5)) << "the last one counts";
  log.rotate();
  EXPECT_FALSE(log.has_entry(InodeNumber{1}, "a", InodeNumber{2}));
}

}  // namespace
}  // namespace homefs
