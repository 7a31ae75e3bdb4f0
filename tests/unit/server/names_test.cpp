// Names: create, mkdir, mknod, symlink, link, unlink, rmdir, rename, lookup, as a session asks.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

class Names : public testing::Test {
 protected:
  TestHome home_;
  TestSession session_{home_};
};

TEST_F(Names, CreateMakesAFileWithExactlyTheModeAskedFor) {
  const auto made = session_.create(kRootNode, "file", NodeId{2}, 0666);
  ASSERT_EQ(made.status, Status::kOk);
  EXPECT_EQ(made->attributes.mode, S_IFREG | 0666u);
  EXPECT_EQ(made->attributes.links, 1u);
  EXPECT_EQ(made->attributes.size, 0u);
  EXPECT_EQ(made->parent.inode, session_.getattr(kRootNode)->attributes.inode);
  EXPECT_EQ(test::without_order(session_.getattr(NodeId{2})->attributes),
            test::without_order(made->attributes));
}

TEST_F(Names, EveryModeComesBackFromCreateMkdirAndLookup) {
  for (std::uint32_t mode = 0; mode <= 07777; mode += 0111) {
    const std::string name = "f" + std::to_string(mode);
    const auto made = session_.create(kRootNode, name, session_.next_node(), mode);
    ASSERT_EQ(made.status, Status::kOk);
    ASSERT_EQ(made->attributes.mode, S_IFREG | mode);
    ASSERT_EQ(
        test::without_order(session_.lookup(kRootNode, name, session_.next_node())->attributes),
        test::without_order(made->attributes));
    const auto folder = session_.mkdir(kRootNode, "d" + name, session_.next_node(), mode);
    ASSERT_EQ(folder->attributes.mode, S_IFDIR | (mode & 01777));
  }
}

TEST_F(Names, CreateNeverOpensWhatExists) {
  session_.make_file(kRootNode, "file", "kept");
  session_.make_folder(kRootNode, "folder");
  session_.symlink(kRootNode, "link", session_.next_node(), "/etc/passwd");
  for (const std::uint32_t mode : {0644u, 04755u}) {
    for (const char* name : {"file", "folder", "link"}) {
      EXPECT_EQ(session_.create(kRootNode, name, session_.next_node(), mode).status,
                Status::kExists);
      EXPECT_EQ(session_.mkdir(kRootNode, name, session_.next_node(), mode).status,
                Status::kExists);
    }
  }
  EXPECT_EQ(session_.read(session_.find(kRootNode, "file"), 0, 10).payload, "kept");
}

TEST_F(Names, AChainOfRequestsNeedsNoAnswers) {
  session_.mkdir(kRootNode, "a", NodeId{2});
  session_.mkdir(NodeId{2}, "b", NodeId{3});
  session_.create(NodeId{3}, "c", NodeId{4}, 0600);
  session_.write(NodeId{4}, 0, "deep");
  EXPECT_EQ(std::filesystem::file_size(home_.root() / "a/b/c"), 4u);
}

TEST_F(Names, WhatFollowsAFailedMkdirIsStale) {
  session_.make_file(kRootNode, "a");
  EXPECT_EQ(session_.mkdir(kRootNode, "a", NodeId{2}).status, Status::kExists);
  EXPECT_EQ(session_.create(NodeId{2}, "b", NodeId{3}).status, Status::kStale);
}

TEST_F(Names, AFolderThatWasRemovedIsOneWithoutLinks) {
  session_.mkdir(kRootNode, "d", NodeId{2}, 0750);
  session_.mkdir(kRootNode, "replaced", NodeId{3}, 0700);
  session_.mkdir(kRootNode, "new", NodeId{4}, 0711);
  session_.rmdir(kRootNode, "d");
  EXPECT_EQ(session_.rename(kRootNode, "new", kRootNode, "replaced").status, Status::kRenamed);
  const auto removed = session_.getattr(NodeId{2});
  ASSERT_TRUE(removed.is_ok());
  EXPECT_EQ(removed->attributes.mode, S_IFDIR | 0750u);
  EXPECT_EQ(removed->attributes.links, 0u);
  EXPECT_EQ(session_.getattr(NodeId{3})->attributes.mode, S_IFDIR | 0700u);
  EXPECT_EQ(session_.create(NodeId{2}, "in it", NodeId{5}).status, Status::kNoSuchFile);
}

TEST_F(Names, ANodeNumberInUseIsRefusedBeforeAnythingIsDone) {
  const NodeId used = session_.make_file(kRootNode, "a");
  EXPECT_EQ(session_.create(kRootNode, "b", used).status, Status::kProtocolError);
  EXPECT_EQ(session_.create(kRootNode, "b", kNoNode).status, Status::kProtocolError);
  EXPECT_FALSE(std::filesystem::exists(home_.root() / "b"));
}

TEST_F(Names, MknodMakesFifosSocketsAndFilesButNoDevices) {
  const auto mknod = [&](const char* name, std::uint32_t mode) {
    return session_.call<EntryReply>(Op::kMknod, MknodRequest{.parent = kRootNode,
                                                              .name = name,
                                                              .node = session_.next_node(),
                                                              .mode = mode,
                                                              .device = 0x103});
  };
  EXPECT_EQ(mknod("fifo", S_IFIFO | 0622)->attributes.mode, S_IFIFO | 0622u);
  EXPECT_EQ(mknod("socket", S_IFSOCK | 0700)->attributes.mode, S_IFSOCK | 0700u);
  EXPECT_EQ(mknod("file", S_IFREG | 0400)->attributes.mode, S_IFREG | 0400u);
  EXPECT_EQ(mknod("device", S_IFCHR | 0600).status, Status::kNotPermitted);
  EXPECT_EQ(mknod("device", S_IFBLK | 0600).status, Status::kNotPermitted);
  EXPECT_EQ(mknod("folder", S_IFDIR | 0700).status, Status::kNotPermitted);
  EXPECT_EQ(mknod("odd", S_IFLNK | 0700).status, Status::kInvalid);
}

TEST_F(Names, SymlinksAreStoredAndReturnedNeverFollowed) {
  const auto made = session_.symlink(kRootNode, "out", NodeId{2}, "/etc");
  ASSERT_EQ(made.status, Status::kOk);
  EXPECT_EQ(made->attributes.mode & S_IFMT, static_cast<std::uint32_t>(S_IFLNK));
  EXPECT_EQ(made->attributes.size, 4u);
  EXPECT_EQ(session_.lookup(kRootNode, "out", NodeId{2})->target, "/etc");
  EXPECT_EQ(session_.call<TargetReply>(Op::kReadlink, NodeRequest{.node = NodeId{2}})->target,
            "/etc");
  EXPECT_EQ(session_.lookup(NodeId{2}, "passwd", NodeId{3}).status, Status::kNotDirectory);
  EXPECT_EQ(session_.create(NodeId{2}, "new", NodeId{3}).status, Status::kNotDirectory);
  EXPECT_EQ(session_.read(NodeId{2}, 0, 10).status, Status::kInvalid);
  EXPECT_EQ(session_.chmod(NodeId{2}, 0600).status, Status::kNotSupported);
}

TEST_F(Names, SymlinkTargetsHaveTheLimitsOfTheDisk) {
  EXPECT_EQ(session_.symlink(kRootNode, "a", NodeId{2}, "").status, Status::kNoSuchFile);
  const auto longest = session_.symlink(kRootNode, "a", NodeId{2}, std::string(4095, 'x'));
  EXPECT_EQ(longest.status, Status::kOk);
  EXPECT_EQ(session_.lookup(kRootNode, "a", NodeId{2})->target.size(), 4095u);
  EXPECT_EQ(session_.symlink(kRootNode, "b", NodeId{3}, std::string("x\0y", 3)).status,
            Status::kInvalid);
}

TEST_F(Names, ReadlinkOfAFileIsInvalid) {
  const NodeId file = session_.make_file(kRootNode, "file");
  EXPECT_EQ(session_.call<TargetReply>(Op::kReadlink, NodeRequest{.node = file}).status,
            Status::kInvalid);
}

TEST_F(Names, LinkGivesAFurtherNameAndCountsIt) {
  const NodeId file = session_.make_file(kRootNode, "a", "data");
  const auto linked = session_.link(file, kRootNode, "b");
  ASSERT_EQ(linked.status, Status::kOk);
  EXPECT_EQ(linked->attributes.links, 2u);
  EXPECT_EQ(session_.lookup(kRootNode, "b", session_.next_node())->attributes.inode,
            linked->attributes.inode);
  EXPECT_EQ(session_.link(file, kRootNode, "b").status, Status::kExists);
  EXPECT_EQ(session_.link(kRootNode, kRootNode, "c").status, Status::kNotPermitted);
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 4, .files = 1}));
}

TEST_F(Names, SymlinksAndFifosCanBeLinkedToo) {
  session_.symlink(kRootNode, "link", NodeId{2}, "target");
  EXPECT_EQ(session_.link(NodeId{2}, kRootNode, "again").status, Status::kOk);
  EXPECT_EQ(session_.lookup(kRootNode, "again", NodeId{3})->target, "target");
}

TEST_F(Names, UnlinkTellsHowManyNamesAreLeft) {
  const NodeId file = session_.make_file(kRootNode, "a", "data");
  session_.link(file, kRootNode, "b");
  const auto first = session_.unlink(kRootNode, "a");
  ASSERT_EQ(first.status, Status::kOk);
  EXPECT_EQ(first->attributes.links, 1u);
  const auto second = session_.unlink(kRootNode, "b");
  EXPECT_EQ(second->attributes.links, 0u);
  EXPECT_EQ(session_.unlink(kRootNode, "b").status, Status::kNoSuchFile);
  EXPECT_EQ(session_.getattr(file).status, Status::kStale);
  EXPECT_EQ(home_->usage(), Usage{});
}

TEST_F(Names, RmdirRemovesOnlyEmptyFolders) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  session_.make_file(folder, "f");
  EXPECT_EQ(session_.rmdir(kRootNode, "d").status, Status::kNotEmpty);
  EXPECT_EQ(session_.rmdir(folder, "f").status, Status::kNotDirectory);
  EXPECT_EQ(session_.unlink(kRootNode, "d").status, Status::kIsDirectory);
  session_.unlink(folder, "f");
  EXPECT_EQ(session_.rmdir(kRootNode, "d")->attributes.links, 0u);
  EXPECT_EQ(session_.rmdir(kRootNode, "d").status, Status::kNoSuchFile);
}

TEST_F(Names, ARemovedFolderTakesNothingIn) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  session_.rmdir(kRootNode, "d");
  EXPECT_EQ(session_.create(folder, "f", session_.next_node()).status, Status::kNoSuchFile);
  EXPECT_EQ(session_.lookup(folder, "f", session_.next_node()).status, Status::kNoSuchFile);
}

TEST_F(Names, MkdirInASgidFolderInheritsTheBit) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  session_.chmod(folder, 02775);
  EXPECT_EQ(session_.mkdir(folder, "sub", session_.next_node(), 0755)->attributes.mode,
            S_IFDIR | 02755u);
}

TEST_F(Names, RenameMovesAndReplaces) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  const NodeId file = session_.make_file(kRootNode, "a", "new");
  session_.make_file(folder, "b", "older");
  const auto moved = session_.rename(kRootNode, "a", folder, "b");
  ASSERT_EQ(moved.status, Status::kRenamed);
  ASSERT_TRUE(moved->other);
  EXPECT_EQ(moved->other->links, 0u);
  EXPECT_EQ(moved->new_parent.inode, session_.getattr(folder)->attributes.inode);
  EXPECT_EQ(session_.lookup(kRootNode, "a", NodeId{2}).status, Status::kNoSuchFile);
  EXPECT_EQ(session_.read(file, 0, 10).payload, "new");
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 3, .files = 2}));
}

TEST_F(Names, RenameHasTheErrorsOfTheKernel) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  const NodeId inner = session_.make_folder(folder, "e");
  session_.make_file(kRootNode, "f");
  EXPECT_EQ(session_.rename(kRootNode, "d", inner, "x").status, Status::kInvalid);
  EXPECT_EQ(session_.rename(kRootNode, "f", kRootNode, "d").status, Status::kIsDirectory);
  EXPECT_EQ(session_.rename(kRootNode, "d", kRootNode, "f").status, Status::kNotDirectory);
  EXPECT_EQ(session_.rename(folder, "e", kRootNode, "d").status, Status::kNotEmpty);
  EXPECT_EQ(session_.rename(kRootNode, "none", kRootNode, "x").status, Status::kNoSuchFile);
  EXPECT_EQ(session_.rename(kRootNode, "f", kRootNode, "d", RenameMode::kNoReplace).status,
            Status::kRenameTargetExists);
  EXPECT_EQ(session_.rename(kRootNode, "f", kRootNode, "x", RenameMode::kExchange).status,
            Status::kNoSuchFile);
  EXPECT_EQ(home_->usage(), home_.counted());
}

TEST_F(Names, RenameExchangesAFileAndAFolder) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  session_.make_file(folder, "inside");
  const auto moved = session_.rename(kRootNode, "f", kRootNode, "d", RenameMode::kExchange);
  ASSERT_EQ(moved.status, Status::kRenamed);
  EXPECT_EQ(moved->other->inode, session_.getattr(folder)->attributes.inode);
  EXPECT_EQ(session_.lookup(folder, "inside", NodeId{2}).status, Status::kOk);
  EXPECT_EQ(session_.lookup(kRootNode, "d", NodeId{3})->attributes.inode,
            session_.getattr(file)->attributes.inode);
}

TEST_F(Names, RenameBetweenTwoNamesOfOneFileDoesNothing) {
  const NodeId file = session_.make_file(kRootNode, "a", "data");
  session_.link(file, kRootNode, "b");
  const auto moved = session_.rename(kRootNode, "a", kRootNode, "b");
  EXPECT_EQ(moved.status, Status::kRenamed);
  ASSERT_TRUE(moved->other);
  EXPECT_EQ(moved->other->inode, moved->attributes.inode) << "says that both names stay";
  EXPECT_EQ(moved->attributes.links, 2u);
  EXPECT_EQ(session_.unlink(kRootNode, "a").status, Status::kOk);
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
}

TEST_F(Names, ChangesSayWhatOtherSessionsHaveToForget) {
  const auto root = session_.getattr(kRootNode)->attributes.inode;
  const auto made = session_.create(kRootNode, "a", NodeId{2});
  const auto inode = made->attributes.inode;
  EXPECT_EQ(made.changes, (std::vector<Change>{{.inode = root, .name = "a", .target = inode}}));
  EXPECT_EQ(session_.write(NodeId{2}, 0, "x").changes,
            (std::vector<Change>{
                {.inode = inode, .name = {}, .has_data = true, .target = {}, .size = 1}}));
  EXPECT_EQ(session_.rename(kRootNode, "a", kRootNode, "b").changes,
            (std::vector<Change>{{.inode = root, .name = "a"},
                                 {.inode = root, .name = "b", .target = inode},
                                 {.inode = inode, .name = {}}}));
  EXPECT_TRUE(session_.read(NodeId{2}, 0, 1).changes.empty());
  EXPECT_EQ(session_.unlink(kRootNode, "b").changes,
            (std::vector<Change>{{.inode = root, .name = "b"}, {.inode = inode, .name = {}}}));
}

TEST_F(Names, NamesHaveTheLimitsOfTheDisk) {
  EXPECT_EQ(session_.create(kRootNode, std::string(255, 'n'), NodeId{2}).status, Status::kOk);
  EXPECT_EQ(session_.create(kRootNode, std::string(256, 'n'), NodeId{3}).status,
            Status::kNameTooLong);
  EXPECT_EQ(session_.create(kRootNode, "\xff\n\x01", NodeId{3}).status, Status::kOk);
}

}  // namespace
}  // namespace homefs
