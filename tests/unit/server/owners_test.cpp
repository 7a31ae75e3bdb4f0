// Homes that preserve owners.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::Answer;
using test::TestHome;
using test::TestSession;

constexpr Caller kCarol{.uid = 4001, .gid = 4100};

class Owners : public testing::Test {
 protected:
  Answer<EntryReply> mknod(const std::string& name, NodeId node, std::uint32_t mode,
                           std::uint32_t device = 0, NodeId parent = kRootNode) {
    return session_.call<EntryReply>(Op::kMknod, MknodRequest{.parent = parent,
                                                              .name = name,
                                                              .node = node,
                                                              .mode = mode,
                                                              .device = device,
                                                              .caller = kCarol});
  }
  NodeId make(const std::string& name, std::uint32_t mode, NodeId parent = kRootNode) {
    const NodeId node = TestSession::next_node();
    EXPECT_EQ(mknod(name, node, mode, 0, parent).status, Status::kOk);
    return node;
  }
  NodeId mkdir(const std::string& name, std::uint32_t mode, NodeId parent = kRootNode) {
    const NodeId node = TestSession::next_node();
    const auto made = session_.call<EntryReply>(
        Op::kMkdir,
        MkdirRequest{.parent = parent, .name = name, .node = node, .mode = mode, .caller = kCarol});
    EXPECT_EQ(made.status, Status::kOk);
    return node;
  }
  NodeId symlink(const std::string& name, const std::string& target) {
    const NodeId node = TestSession::next_node();
    const auto made = session_.call<EntryReply>(
        Op::kSymlink,
        SymlinkRequest{
            .parent = kRootNode, .name = name, .node = node, .target = target, .caller = kCarol});
    EXPECT_EQ(made.status, Status::kOk);
    return node;
  }
  Answer<ChangeReply> chown(NodeId node, std::uint32_t uid, std::uint32_t gid) {
    return session_.setattr({.node = node, .which = kSetUid | kSetGid, .uid = uid, .gid = gid});
  }
  Attributes of(NodeId node) { return session_.getattr(node)->attributes; }
  struct ::stat on_disk(const std::string& name) {
    struct ::stat s{};
    EXPECT_EQ(::lstat((home_.root() / name).c_str(), &s), 0);
    return s;
  }

  TestHome home_{{.preserve_owners = true}};
  TestSession session_{home_};
};

TEST_F(Owners, WhatIsMadeBelongsToTheCaller) {
  for (const NodeId node :
       {make("file", S_IFREG | 0640), make("fifo", S_IFIFO | 0600), mkdir("folder", 0750),
        symlink("link", "target"), make("socket", S_IFSOCK | 0777)}) {
    EXPECT_EQ(of(node).uid, kCarol.uid);
    EXPECT_EQ(of(node).gid, kCarol.gid);
  }
}

TEST_F(Owners, EveryKindKeepsItsAttributesOverARestart) {
  ASSERT_TRUE(mknod("char", TestSession::next_node(), S_IFCHR | 0660, 0x0103).is_ok());
  ASSERT_TRUE(mknod("block", TestSession::next_node(), S_IFBLK | 0600, 0x700).is_ok());
  make("suid", S_IFREG | 06755);
  make("fifo", S_IFIFO | 0444);
  mkdir("sticky", 01777);
  const NodeId link = symlink("link", "some/target");
  ASSERT_TRUE(chown(link, 7, 8).is_ok());
  const std::string names[] = {"char", "block", "suid", "fifo", "sticky", "link"};
  std::vector<Attributes> before;
  for (const auto& name : names) {
    const auto found = session_.lookup(kRootNode, name, TestSession::next_node());
    before.push_back(found->attributes);
  }
  EXPECT_EQ(before[0].mode, S_IFCHR | 0660u);
  EXPECT_EQ(before[0].device, 0x0103u);
  EXPECT_EQ(before[1].mode, S_IFBLK | 0600u);
  EXPECT_EQ(before[2].mode, S_IFREG | 06755u);
  EXPECT_EQ(before[5].mode, S_IFLNK | 0777u);
  EXPECT_EQ(before[5].uid, 7u);
  EXPECT_EQ(before[5].size, 11u);
  session_->close();
  home_.restart(/*is_clean=*/true);
  TestSession again(home_);
  for (std::size_t i = 0; i < before.size(); ++i) {
    auto found = again.lookup(kRootNode, names[i], TestSession::next_node());
    ASSERT_TRUE(found.is_ok());
    found->attributes.version = before[i].version;
    EXPECT_EQ(test::without_order(found->attributes), test::without_order(before[i])) << names[i];
  }
  EXPECT_EQ(again.lookup(kRootNode, "link", TestSession::next_node())->target, "some/target");
}

TEST_F(Owners, ListingsSayTheSame) {
  ASSERT_TRUE(mknod("a", TestSession::next_node(), S_IFCHR | 0660, 0x0103).is_ok());
  symlink("b", "target");
  const auto listed = session_.list({.folder = kRootNode, .bytes_max = 10'000});
  ASSERT_EQ(listed->folders[0].entries.size(), 2u);
  for (const ListedEntry& entry : listed->folders[0].entries) {
    const auto found = session_.lookup(kRootNode, entry.name, TestSession::next_node());
    EXPECT_EQ(test::without_order(entry.attributes), test::without_order(found->attributes));
    EXPECT_EQ(entry.target, found->target);
  }
}

TEST_F(Owners, OnTheDiskAllIsPlainAndTheServersOwn) {
  make("suid", S_IFREG | 06777);
  make("fifo", S_IFIFO | 0666);
  symlink("link", "/etc/passwd");
  ASSERT_TRUE(mknod("char", TestSession::next_node(), S_IFCHR | 0666, 0x0105).is_ok());
  for (const char* name : {"suid", "fifo", "link", "char"}) {
    EXPECT_EQ(on_disk(name).st_mode, S_IFREG | 01600u) << name;
    EXPECT_EQ(on_disk(name).st_uid, ::geteuid()) << name;
  }
  mkdir("folder", 02777);
  EXPECT_EQ(on_disk("folder").st_mode, S_IFDIR | 01700u);
}

TEST_F(Owners, AFolderWithSgidHandsOnItsGroup) {
  const NodeId folder = mkdir("folder", 0777);
  ASSERT_TRUE(chown(folder, 1, 77).is_ok());
  session_.chmod(folder, 02777);
  EXPECT_EQ(of(make("file", S_IFREG | 0644, folder)).gid, 77u);
  const NodeId below = mkdir("below", 0755, folder);
  EXPECT_EQ(of(below).gid, 77u);
  EXPECT_EQ(of(below).uid, kCarol.uid);
  EXPECT_EQ(of(below).mode, S_IFDIR | 02755u);
}

TEST_F(Owners, AChownTakesPrivilegesFromAllButFolders) {
  const NodeId file = make("file", S_IFREG | 06755);
  EXPECT_EQ(chown(file, 5, 6)->attributes.mode, S_IFREG | 0755u);
  EXPECT_EQ(of(file).uid, 5u);
  EXPECT_EQ(of(file).gid, 6u);
  const NodeId fifo = make("fifo", S_IFIFO | 06711);
  EXPECT_EQ(chown(fifo, 5, 6)->attributes.mode, S_IFIFO | 0711u);
  const NodeId folder = mkdir("folder", 0755);
  session_.chmod(folder, 06755);
  EXPECT_EQ(chown(folder, 5, 6)->attributes.mode, S_IFDIR | 06755u);
}

TEST_F(Owners, AWriteLeavesModeAndOwner) {
  const NodeId file = make("file", S_IFREG | 06755);
  ASSERT_TRUE(session_.write(file, 0, "data").is_ok());
  EXPECT_EQ(of(file).mode, S_IFREG | 06755u);
  EXPECT_EQ(of(file).uid, kCarol.uid);
}

TEST_F(Owners, OnlyOneOfOwnerAndGroupMayBeGiven) {
  const NodeId file = make("file", S_IFREG | 0644);
  session_.setattr({.node = file, .which = kSetUid, .uid = 9, .gid = 9});
  EXPECT_EQ(of(file).uid, 9u);
  EXPECT_EQ(of(file).gid, kCarol.gid);
  session_.setattr({.node = file, .which = kSetGid, .uid = 10, .gid = 10});
  EXPECT_EQ(of(file).uid, 9u);
  EXPECT_EQ(of(file).gid, 10u);
}

TEST_F(Owners, AChangeOfOwnerThatIsNoneIsAChangeToo) {
  const NodeId file = make("file", S_IFREG | 0644);
  const Attributes before = of(file);
  const auto after = chown(file, before.uid, before.gid);
  EXPECT_NE(after->attributes.version, before.version);
}

TEST_F(Owners, AllThatIsMadeHoldsNoDataButFiles) {
  const NodeId fifo = make("fifo", S_IFIFO | 0666);
  const NodeId link = symlink("link", "target");
  for (const NodeId node : {fifo, link}) {
    EXPECT_EQ(session_.write(node, 0, "data").status, Status::kInvalid);
    EXPECT_EQ(session_.read(node, 0, 10).status, Status::kInvalid);
    EXPECT_EQ(session_.truncate(node, 0).status, Status::kInvalid);
  }
  EXPECT_EQ(session_.call<TargetReply>(Op::kReadlink, NodeRequest{.node = link})->target, "target");
}

TEST_F(Owners, ASymlinksTargetIsNoData) {
  symlink("link", std::string(500, 'x'));
  const NodeId file = make("file", S_IFREG | 0644);
  ASSERT_TRUE(session_.write(file, 0, "12345").is_ok());
  const Usage used{.bytes = 5, .files = 2};
  EXPECT_EQ(home_->usage(), used);
  home_->recount();
  home_->wait_until_usage_known();
  EXPECT_EQ(home_->usage(), used);
  session_.unlink(kRootNode, "link");
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 5, .files = 1}));
}

TEST_F(Owners, AnotherNameAndAnotherPlaceChangeNothing) {
  const NodeId link = symlink("link", "target");
  ASSERT_TRUE(chown(link, 7, 8).is_ok());
  ASSERT_TRUE(session_.link(link, kRootNode, "second").is_ok());
  mkdir("folder", 0755);
  const NodeId folder = session_.find(kRootNode, "folder");
  const auto moved = session_.rename(kRootNode, "link", folder, "moved");
  ASSERT_TRUE(is_success(moved.status));
  EXPECT_EQ(moved->attributes.uid, 7u);
  EXPECT_EQ(moved->attributes.mode, S_IFLNK | 0777u);
  const auto removed = session_.unlink(kRootNode, "second");
  EXPECT_EQ(removed->attributes.uid, 7u);
  EXPECT_EQ(removed->attributes.mode, S_IFLNK | 0777u);
}

TEST_F(Owners, AnOrphanKeepsItsOwner) {
  const NodeId file = make("file", S_IFREG | 04711);
  const auto removed = session_.unlink(kRootNode, "file", /*keep=*/true);
  EXPECT_EQ(removed->attributes.uid, kCarol.uid);
  EXPECT_EQ(removed->attributes.mode, S_IFREG | 04711u);
  EXPECT_EQ(of(file).uid, kCarol.uid);
  EXPECT_EQ(chown(file, 3, 3)->attributes.uid, 3u);
}

TEST_F(Owners, TheXattrIsNoneOfTheClients) {
  const NodeId file = make("file", S_IFREG | 0644);
  const XattrRequest request{.node = file, .name = "user.homefs.mode"};
  EXPECT_EQ(session_.call<EmptyMessage>(Op::kGetxattr, request).status, Status::kNoAttribute);
  EXPECT_EQ(session_.call<ChangeReply>(Op::kRemovexattr, request).status, Status::kNotPermitted);
  const SetxattrRequest set{.node = file, .name = "user.homefs.mode"};
  EXPECT_EQ(session_.call<ChangeReply>(Op::kSetxattr, set, "x").status, Status::kNotPermitted);
  EXPECT_EQ(session_.call<EmptyMessage>(Op::kListxattr, NodeRequest{.node = file}).payload, "");
}

TEST_F(Owners, WhatWasThereBeforeIsTheServersUntilItIsGivenAway) {
  home_->set_preserves_owners(false);
  const NodeId file = make("file", S_IFREG | 0444);
  const NodeId fifo = make("fifo", S_IFIFO | 0644);
  EXPECT_EQ(on_disk("fifo").st_mode & S_IFMT, unsigned{S_IFIFO});
  home_->set_preserves_owners(true);
  EXPECT_EQ(of(file).uid, ::geteuid());
  EXPECT_EQ(chown(file, 5, 6)->attributes.mode, S_IFREG | 0444u);
  EXPECT_EQ(of(file).uid, 5u);
  EXPECT_EQ(on_disk("file").st_mode, S_IFREG | 01600u);
  EXPECT_EQ(chown(fifo, 5, 6).status, Status::kNotPermitted);
  EXPECT_TRUE(session_.chmod(fifo, 0600).is_ok());
  ASSERT_TRUE(chown(kRootNode, 5, 6).is_ok());
  EXPECT_EQ(of(kRootNode).uid, 5u);
}

TEST_F(Owners, WhatIsKeptStaysWhenTheHomePreservesNoLonger) {
  const NodeId file = make("file", S_IFREG | 0644);
  symlink("link", "target");
  home_->set_preserves_owners(false);
  EXPECT_EQ(chown(file, 5, 6).status, Status::kNotPermitted);
  EXPECT_TRUE(chown(file, kCarol.uid, kCarol.gid).is_ok());
  EXPECT_EQ(session_.chmod(file, 0600)->attributes.mode, S_IFREG | 0600u);
  EXPECT_EQ(of(file).uid, kCarol.uid);
  EXPECT_EQ(session_.lookup(kRootNode, "link", TestSession::next_node())->target, "target");
  EXPECT_EQ(mknod("char", TestSession::next_node(), S_IFCHR | 0600, 0x103).status,
            Status::kNotPermitted);
}

}  // namespace
}  // namespace homefs
