// Attributes: setattr, modes that keep the owner out, xattrs, statfs.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::Answer;
using test::TestHome;
using test::TestSession;

class AttributesOf : public testing::Test {
 protected:
  Answer<ChangeReply> set_xattr(NodeId node, const std::string& name, std::string_view value,
                                XattrMode mode = XattrMode::kSet) {
    return session_.call<ChangeReply>(
        Op::kSetxattr, SetxattrRequest{.node = node, .name = name, .mode = mode}, value);
  }
  Answer<EmptyMessage> get_xattr(NodeId node, const std::string& name) {
    return session_.call<EmptyMessage>(Op::kGetxattr, XattrRequest{.node = node, .name = name});
  }
  Answer<ChangeReply> remove_xattr(NodeId node, const std::string& name) {
    return session_.call<ChangeReply>(Op::kRemovexattr, XattrRequest{.node = node, .name = name});
  }
  std::string list_xattrs(NodeId node) {
    return session_.call<EmptyMessage>(Op::kListxattr, NodeRequest{.node = node}).payload;
  }
  std::uint32_t disk_mode(const std::string& name) {
    struct ::stat s{};
    EXPECT_EQ(::lstat((home_.root() / name).c_str(), &s), 0);
    return s.st_mode;
  }

  TestHome home_;
  TestSession session_{home_};
  NodeId file_ = session_.make_file(kRootNode, "file", "data");
};

TEST_F(AttributesOf, ChmodFromEveryFormOfModeToEveryOther) {
  const NodeId folder = session_.make_folder(kRootNode, "folder");
  const std::uint32_t modes[] = {0644, 0444, 0000, 04755, 01644, 0400, 02755, 01777, 0755, 0200};
  for (const std::uint32_t from : modes) {
    for (const std::uint32_t to : modes) {
      for (const NodeId node : {file_, folder}) {
        session_.chmod(node, from);
        const auto changed = session_.chmod(node, to);
        ASSERT_EQ(changed.status, Status::kOk);
        ASSERT_EQ(changed->attributes.mode & 07777u, to) << std::oct << from << " " << to;
        ASSERT_EQ(test::without_order(session_.getattr(node)->attributes),
                  test::without_order(changed->attributes));
      }
      ASSERT_EQ(session_.lookup(kRootNode, "file", file_)->attributes.mode, S_IFREG | to);
    }
  }
}

TEST_F(AttributesOf, ChmodOfAFifoToTheModeThatItHasKeepsSuidAndSgid) {
  const NodeId fifo = TestSession::next_node();
  ASSERT_TRUE(session_
                  .call<EntryReply>(Op::kMknod, MknodRequest{.parent = kRootNode,
                                                             .name = "fifo",
                                                             .node = fifo,
                                                             .mode = S_IFIFO | 0644})
                  .is_ok());
  for (const std::uint32_t mode : {04755, 04755, 06711, 06711, 0644, 0644}) {
    const auto changed = session_.chmod(fifo, mode);
    ASSERT_EQ(changed.status, Status::kOk);
    EXPECT_EQ(changed->attributes.mode, S_IFIFO | mode);
    EXPECT_EQ(disk_mode("fifo"), S_IFIFO | mode);
  }
}

TEST_F(AttributesOf, AFileOfMode0CanBeReadAndWrittenByTheServer) {
  session_.chmod(file_, 0);
  EXPECT_EQ(session_.write(file_, 0, "DATA").status, Status::kOk);
  TestSession other(home_);
  EXPECT_EQ(other.read(other.find(kRootNode, "file"), 0, 10).payload, "DATA");
  EXPECT_EQ(disk_mode("file") & 0777u, 0600u);
}

TEST_F(AttributesOf, AFolderOfMode0IsStillListedAndFilled) {
  const NodeId folder = session_.make_folder(kRootNode, "folder");
  session_.chmod(folder, 0);
  session_.make_file(folder, "inside");
  EXPECT_EQ(session_.list({.folder = folder, .bytes_max = 10'000})->folders[0].entries.size(), 1u);
}

TEST_F(AttributesOf, ModesSurviveARestart) {
  const NodeId folder = session_.make_folder(kRootNode, "folder");
  session_.chmod(file_, 04000);
  session_.chmod(folder, 02070);
  session_->close();
  home_.restart(/*is_clean=*/true);
  TestSession again(home_);
  EXPECT_EQ(again.lookup(kRootNode, "file", NodeId{2})->attributes.mode, S_IFREG | 04000u);
  EXPECT_EQ(again.lookup(kRootNode, "folder", NodeId{3})->attributes.mode, S_IFDIR | 02070u);
}

TEST_F(AttributesOf, FilesThatWerePutThereByOtherMeansShowTheirModes) {
  const auto path = home_.root() / "file";
  for (const std::uint32_t mode : {0444u, 0000u, 0755u, 06755u}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    TestSession other(home_);
    const NodeId node = other.find(kRootNode, "file");
    EXPECT_EQ(other.getattr(node)->attributes.mode, S_IFREG | mode);
    EXPECT_EQ(other.read(node, 0, 10).payload, "data");
    EXPECT_EQ(other.getattr(node)->attributes.mode, S_IFREG | mode);
  }
}

TEST_F(AttributesOf, TimesAreSetToTheNanosecondAndToNow) {
  const auto set = session_.setattr({.node = file_,
                                     .which = kSetAtime | kSetMtime,
                                     .atime = {.seconds = -5, .nanoseconds = 1},
                                     .mtime = {.seconds = 1'000'000, .nanoseconds = 999'999'999}});
  ASSERT_EQ(set.status, Status::kOk);
  EXPECT_EQ(set->attributes.atime, (Timestamp{-5, 1}));
  EXPECT_EQ(set->attributes.mtime, (Timestamp{1'000'000, 999'999'999}));
  const auto now = session_.setattr({.node = file_, .which = kSetMtimeNow});
  EXPECT_EQ(now->attributes.atime, (Timestamp{-5, 1}));
  EXPECT_GT(now->attributes.mtime.seconds, 1'000'000);
  session_.symlink(kRootNode, "link", NodeId{2}, "x");
  EXPECT_EQ(
      session_.setattr({.node = NodeId{2}, .which = kSetMtime, .mtime = {7, 8}})->attributes.mtime,
      (Timestamp{7, 8}));
}

TEST_F(AttributesOf, OwnersCannotBeChangedButSettingTheSameIsFine) {
  const Attributes before = session_.getattr(file_)->attributes;
  session_.chmod(file_, 06755);
  const auto same = session_.setattr(
      {.node = file_, .which = kSetUid | kSetGid, .uid = before.uid, .gid = before.gid});
  EXPECT_EQ(same.status, Status::kOk);
  EXPECT_EQ(same->attributes.mode, S_IFREG | 0755u);  // as every chown of a file
  EXPECT_NE(same->attributes.version, before.version);
  EXPECT_EQ(session_.setattr({.node = file_, .which = kSetUid, .uid = before.uid + 1}).status,
            Status::kNotPermitted);
  EXPECT_EQ(session_.setattr({.node = file_, .which = 1u << 20}).status, Status::kProtocolError);
}

TEST_F(AttributesOf, KillPrivilegesClearsSuidOfATruncate) {
  session_.chmod(file_, 04755);
  const auto cut =
      session_.setattr({.node = file_, .which = kSetSize | kSetKillPrivileges, .size = 1});
  EXPECT_EQ(cut->attributes.mode, S_IFREG | 0755u);
  EXPECT_EQ(cut->attributes.size, 1u);
}

TEST_F(AttributesOf, XattrsAreKeptAndListed) {
  EXPECT_EQ(set_xattr(file_, "user.a", "one").status, Status::kOk);
  EXPECT_EQ(set_xattr(file_, "user.b", "").status, Status::kOk);
  EXPECT_EQ(get_xattr(file_, "user.a").payload, "one");
  EXPECT_EQ(get_xattr(file_, "user.b").status, Status::kOk);
  EXPECT_EQ(get_xattr(file_, "user.none").status, Status::kNoAttribute);
  EXPECT_EQ(list_xattrs(file_), std::string("user.a\0user.b\0", 14));
  EXPECT_EQ(set_xattr(file_, "user.a", "x", XattrMode::kCreate).status, Status::kExists);
  EXPECT_EQ(set_xattr(file_, "user.c", "x", XattrMode::kReplace).status, Status::kNoAttribute);
  EXPECT_EQ(remove_xattr(file_, "user.a").status, Status::kOk);
  EXPECT_EQ(remove_xattr(file_, "user.a").status, Status::kNoAttribute);
}

TEST_F(AttributesOf, WhatHomefsKeepsForItselfIsNotSeenAndNotSet) {
  session_.chmod(file_, 0);
  EXPECT_EQ(list_xattrs(file_), "");
  EXPECT_EQ(get_xattr(file_, "user.homefs.mode").status, Status::kNoAttribute);
  EXPECT_EQ(set_xattr(file_, "user.homefs.mode", "xx").status, Status::kNotPermitted);
  EXPECT_EQ(remove_xattr(file_, "user.homefs.mode").status, Status::kNotPermitted);
  EXPECT_EQ(session_.getattr(file_)->attributes.mode, S_IFREG | 0u);
}

TEST_F(AttributesOf, XattrsHaveTheErrorsOfTheKernel) {
  session_.symlink(kRootNode, "link", NodeId{2}, "x");
  EXPECT_EQ(set_xattr(NodeId{2}, "user.a", "x").status, Status::kNotPermitted);
  EXPECT_EQ(get_xattr(NodeId{2}, "user.a").status, Status::kNoAttribute);
  EXPECT_EQ(list_xattrs(NodeId{2}), "");
  EXPECT_EQ(set_xattr(file_, "security.capability", "x").status, Status::kNotSupported);
  EXPECT_EQ(set_xattr(file_, "trusted.a", "x").status, Status::kNotSupported);
  EXPECT_EQ(set_xattr(file_, "system.posix_acl_access", "x").status, Status::kNotSupported);
  EXPECT_EQ(set_xattr(file_, "user." + std::string(251, 'n'), "x").status, Status::kOutOfRange);
  EXPECT_EQ(set_xattr(file_, "user.a", std::string(65537, 'v')).status, Status::kAttributeTooBig);
  EXPECT_EQ(set_xattr(file_, "user.", "x").status, Status::kInvalid);
}

TEST_F(AttributesOf, StatfsSaysQuotaAndDisk) {
  const auto answer = session_.call<StatfsReply>(Op::kStatfs, NodeRequest{.node = kRootNode});
  ASSERT_EQ(answer.status, Status::kOk);
  EXPECT_EQ(answer->grant.used, 4u);
  EXPECT_EQ(answer->files_used, 1u);
  EXPECT_GT(answer->disk_bytes, answer->disk_bytes_free);
}

}  // namespace
}  // namespace homefs
