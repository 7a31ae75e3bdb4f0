// Files in a home that belong to others than the server's user, as an administrator leaves them.

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

// This thread accesses files as the server's user does, who is not root.
class ForeignOwner : public ::testing::Test {
 protected:
  static constexpr uid_t kServerUser = 65534;

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "files of others can be made by root only";
    for (const auto& folder : {home_.root(), home_.orphans(), home_.root().parent_path()}) {
      ASSERT_EQ(::chown(folder.c_str(), kServerUser, kServerUser), 0);
    }
    put("readme", "for all", 0644);
    put("marked", "of root", 01600);
    put("secret", "of root", 0600);
    (void)::setfsuid(kServerUser);
    (void)::setfsgid(kServerUser);
  }
  void TearDown() override {
    (void)::setfsuid(0);
    (void)::setfsgid(0);
  }
  void put(const std::string& name, const std::string& text, mode_t mode) {
    std::ofstream(home_.root() / name) << text;
    ASSERT_EQ(::chmod((home_.root() / name).c_str(), mode), 0);
  }

  TestHome home_;
  TestSession session_{home_};
};

TEST_F(ForeignOwner, WhatTheServerMayReadIsRead) {
  const NodeId file = session_.find(kRootNode, "readme");
  EXPECT_EQ(session_.read(file, 0, 10).payload, "for all");
  EXPECT_EQ(session_.read(session_.find(kRootNode, "secret"), 0, 10).status, Status::kAccessDenied);
}

TEST_F(ForeignOwner, OneEntryThatCannotBeAskedHidesNoOther) {
  session_.make_file(kRootNode, "own", "mine");
  const auto listed = session_.list({.folder = kRootNode, .bytes_max = 1 << 20});
  ASSERT_EQ(listed.status, Status::kOk);
  EXPECT_EQ(listed->folders.front().entries.size(), 4u);
  EXPECT_EQ(session_.lookup(kRootNode, "marked", TestSession::next_node()).status, Status::kOk);
}

TEST_F(ForeignOwner, ARenameOfAFileThatCannotBeOpenedFailsNoOtherFsync) {
  const NodeId own = session_.make_file(kRootNode, "own", "mine");
  const FsyncRequest sync{.node = own};
  ASSERT_EQ(session_.call<EmptyMessage>(Op::kFsync, sync).status, Status::kOk);
  ASSERT_EQ(session_.rename(kRootNode, "secret", kRootNode, "renamed").status, Status::kRenamed);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(session_.write(own, 0, "more").status, Status::kOk);
    EXPECT_EQ(session_.call<EmptyMessage>(Op::kFsync, sync).status, Status::kOk);
  }
}

}  // namespace
}  // namespace homefs
