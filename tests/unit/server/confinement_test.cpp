// Confinement: nothing a client sends reaches a file outside of its home, or one that is not the
// one it means.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "server/dispatch.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::Answer;
using test::TestHome;
using test::TestSession;

class Confinement : public testing::Test {
 protected:
  InodeName inode_of(const std::filesystem::path& path) {
    const auto stat = disk::stat_at(AT_FDCWD, path.c_str());
    EXPECT_TRUE(stat) << path;
    return {stat->attributes.inode, stat->attributes.generation};
  }
  Answer<AttributesReply> getattr_introduced(NodeId node, std::vector<Introduction> list) {
    return session_.call<AttributesReply>(Op::kGetattr, NodeRequest{.node = node}, {},
                                          {.list = std::move(list)});
  }

  TestHome home_;
  TestSession session_{home_};
};

TEST_F(Confinement, NamesThatAreNoNamesAreRefusedEverywhere) {
  session_.make_file(kRootNode, "f");
  for (const std::string& bad : {std::string(), std::string("."), std::string(".."),
                                 std::string("a/b"), std::string("/etc"), std::string("a\0b", 3)}) {
    const NodeId node = session_.next_node();
    EXPECT_EQ(session_.create(kRootNode, bad, node).status, Status::kInvalid);
    EXPECT_EQ(session_.mkdir(kRootNode, bad, node).status, Status::kInvalid);
    EXPECT_EQ(session_.symlink(kRootNode, bad, node, "x").status, Status::kInvalid);
    EXPECT_EQ(session_.lookup(kRootNode, bad, node).status, Status::kInvalid);
    EXPECT_EQ(session_.unlink(kRootNode, bad).status, Status::kInvalid);
    EXPECT_EQ(session_.rmdir(kRootNode, bad).status, Status::kInvalid);
    EXPECT_EQ(session_.rename(kRootNode, bad, kRootNode, "x").status, Status::kInvalid);
    EXPECT_EQ(session_.rename(kRootNode, "f", kRootNode, bad).status, Status::kInvalid);
    EXPECT_EQ(session_.link(session_.find(kRootNode, "f"), kRootNode, bad).status,
              Status::kInvalid);
  }
}

TEST_F(Confinement, AnIntroductionWithABadNameClosesTheSession) {
  EXPECT_EQ(getattr_introduced(NodeId{5}, {{.node = NodeId{5}, .parent = kRootNode, .name = ".."}})
                .status,
            Status::kProtocolError);
  EXPECT_EQ(
      getattr_introduced(NodeId{5}, {{.node = NodeId{5}, .parent = kNoNode, .name = "x"}}).status,
      Status::kProtocolError);
  EXPECT_EQ(
      getattr_introduced(NodeId{5}, {{.node = kNoNode, .parent = kRootNode, .name = "x"}}).status,
      Status::kStale);
}

TEST_F(Confinement, AnIntroductionFindsOnlyWhatItNames) {
  session_.make_file(kRootNode, "a", "A");
  session_.make_file(kRootNode, "b", "B");
  TestSession other(home_);
  const InodeName a = inode_of(home_.root() / "a");
  const auto introduce = [&](const char* name, const InodeName& inode) {
    const NodeId node = other.next_node();
    return other
        .call<AttributesReply>(Op::kGetattr, NodeRequest{.node = node}, {},
                               {.list = {{node, kRootNode, name, inode.number, inode.generation}}})
        .status;
  };
  EXPECT_EQ(introduce("a", a), Status::kOk);
  EXPECT_EQ(introduce("none", {InodeNumber{1}}), Status::kStale);
  EXPECT_EQ(introduce("a", {InodeNumber{12345}, a.generation}), Status::kStale);
  EXPECT_EQ(introduce("a", inode_of("/etc/passwd")), Status::kStale);
  EXPECT_EQ(introduce("a", {a.number, a.generation ^ 2}), Status::kStale);
}

TEST_F(Confinement, AKnownNodeIsNotGivenAnotherMeaning) {
  const NodeId a = session_.make_file(kRootNode, "a");
  session_.make_file(kRootNode, "b");
  const InodeName known = inode_of(home_.root() / "a");
  const Introduction same{a, kRootNode, "moved-in-the-meantime", known.number, known.generation};
  EXPECT_EQ(getattr_introduced(a, {same}).status, Status::kOk);
  Introduction other = same;
  other.inode = inode_of(home_.root() / "b").number;
  EXPECT_EQ(getattr_introduced(a, {other}).status, Status::kProtocolError);
}

TEST_F(Confinement, TooManyIntroductionsBreakTheProtocol) {
  std::vector<Introduction> list(kIntroductionsMax + kNodesPerRequestMax + 1);
  EXPECT_EQ(getattr_introduced(kRootNode, list).status, Status::kProtocolError);
}

TEST_F(Confinement, AFolderThatBecomesASymlinkIsNotFollowed) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  const NodeId file = session_.make_file(folder, "passwd", "mine");
  home_->wait_until_usage_known();  // the walk that counts it opens folders
  // Drop every descriptor, so that the way has to be walked.
  home_.descriptors().shrink();
  while (home_.descriptors().size() > 0) home_.descriptors().shrink();
  std::filesystem::rename(home_.root() / "d", home_.root() / "moved");
  std::filesystem::create_symlink("/etc", home_.root() / "d");
  EXPECT_EQ(session_.read(file, 0, 10).status, Status::kStale);
  EXPECT_EQ(session_.lookup(folder, "passwd", NodeId{2}).status, Status::kStale);
  EXPECT_EQ(session_.create(folder, "new", NodeId{2}).status, Status::kStale);
}

TEST_F(Confinement, AFileThatIsReplacedIsNeverReadAsTheOldOne) {
  const NodeId file = session_.make_file(kRootNode, "f", "old");
  while (home_.descriptors().size() > 0) home_.descriptors().shrink();
  std::filesystem::rename(home_.root() / "f", home_.root() / "away");
  std::ofstream(home_.root() / "f") << "new";
  EXPECT_EQ(session_.read(file, 0, 10).status, Status::kStale);
  EXPECT_EQ(session_.write(file, 0, "x").status, Status::kStale);
}

TEST_F(Confinement, AFifoThatTookTheNameOfAFileDoesNotBlock) {
  const NodeId file = session_.make_file(kRootNode, "f", "old");
  while (home_.descriptors().size() > 0) home_.descriptors().shrink();
  std::filesystem::remove(home_.root() / "f");
  ASSERT_EQ(::mkfifo((home_.root() / "f").c_str(), 0600), 0);
  EXPECT_EQ(session_.read(file, 0, 10).status, Status::kStale);
}

TEST_F(Confinement, SwappingAFolderAndASymlinkUnderWayNeverLeadsOut) {
  const NodeId folder = session_.make_folder(kRootNode, "d");
  session_.make_file(folder, "hostname", "inside");
  std::filesystem::create_symlink("/etc", home_.root() / "link");
  std::atomic<bool> is_done{false};
  std::thread swapper([&] {
    const auto d = home_.root() / "d";
    const auto link = home_.root() / "link";
    while (!is_done) ::renameat2(AT_FDCWD, d.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
  });
  for (int i = 0; i < 2000; ++i) {
    while (home_.descriptors().size() > 0) home_.descriptors().shrink();
    const auto found = session_.lookup(folder, "hostname", session_.next_node());
    if (found.is_ok()) {
      EXPECT_EQ(found->attributes.size, 6u);
    } else {
      EXPECT_EQ(found.status, Status::kStale);
    }
    EXPECT_NE(session_.create(folder, "n" + std::to_string(i), session_.next_node()).status,
              Status::kAccessDenied);
  }
  is_done = true;
  swapper.join();
  EXPECT_FALSE(std::filesystem::exists("/etc/n0"));
}

TEST_F(Confinement, ASessionInASubfolderStaysThere) {
  const NodeId folder = session_.make_folder(kRootNode, "sub");
  session_.make_file(folder, "inside", "in");
  const NodeId outside = session_.make_file(kRootNode, "outside", "out");
  TestSession confined(home_, "sub");
  EXPECT_EQ(confined.read(confined.find(kRootNode, "inside"), 0, 10).payload, "in");
  // Known to the other session, and asked for by its number.
  const auto answer = confined.call<AttributesReply>(
      Op::kGetattr, NodeRequest{.node = NodeId{7}}, {},
      {.list = {{.node = NodeId{7},
                 .parent = kRootNode,
                 .name = "outside",
                 .inode = session_.getattr(outside)->attributes.inode}}});
  EXPECT_EQ(answer.status, Status::kStale);
}

TEST_F(Confinement, SubfoldersToMountAreFolders) {
  session_.make_file(kRootNode, "f");
  session_.make_folder(session_.make_folder(kRootNode, "a"), "b");
  session_.symlink(kRootNode, "l", session_.next_node(), "a");
  EXPECT_TRUE(SessionHome::open(home_.ref(), "a/b"));
  EXPECT_TRUE(SessionHome::open(home_.ref(), "a/b/"));
  const auto status = [&](const char* path) {
    const auto session = SessionHome::open(home_.ref(), path);
    return session ? Status::kOk : session.error().status;
  };
  EXPECT_EQ(status("f"), Status::kNotDirectory);
  EXPECT_EQ(status("l"), Status::kNotDirectory);
  EXPECT_EQ(status("none"), Status::kNoSuchDirectory);
  EXPECT_EQ(status("a/../.."), Status::kInvalid);
  EXPECT_EQ(status("/etc"), Status::kInvalid);
}

TEST_F(Confinement, WhatIsNoFileOperationIsRefused) {
  for (int op = 0; op < 128; ++op) {
    const bool is_file_op = find_file_op(static_cast<Op>(op)) != nullptr;
    EXPECT_EQ(is_file_op, op >= 20 && op <= 73 && find_op(static_cast<std::uint16_t>(op)));
  }
  EXPECT_EQ(session_.call<EmptyMessage>(Op::kHello, EmptyMessage{}).status, Status::kProtocolError);
}

TEST_F(Confinement, CutAndPaddedRequestsBreakTheProtocol) {
  const auto send = [&](std::size_t bytes, std::size_t padding) {
    auto body = encode_request(
        Introductions{}, CreateRequest{.parent = kRootNode, .name = "file", .node = NodeId{2}});
    body.resize(std::min(body.size(), bytes));
    body.resize(body.size() + padding);
    auto buffer = std::make_shared<Buffer>(body.size());
    std::ranges::copy(body, buffer->writable().begin());
    return session_->handle({.header = {.op = Op::kCreate}, .body = buffer}).status;
  };
  const std::size_t whole =
      encode_request(Introductions{},
                     CreateRequest{.parent = kRootNode, .name = "file", .node = NodeId{2}})
          .size();
  for (std::size_t bytes = 0; bytes < whole; ++bytes) {
    ASSERT_EQ(send(bytes, 0), Status::kProtocolError) << bytes;
  }
  EXPECT_EQ(send(whole, 1), Status::kProtocolError);
  EXPECT_EQ(send(whole, kFieldBytesMax), Status::kProtocolError);
  EXPECT_EQ(send(whole, 0), Status::kOk);
}

TEST_F(Confinement, TheOrphanFolderMustNotBeServed) {
  for (const char* inside : {"", "/sub"}) {
    std::filesystem::create_directory(home_.root() / "sub");
    const auto opened =
        Home::open({.root = home_.root(), .orphan_folder = home_.root().string() + inside});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().status, Status::kInvalid);
  }
  EXPECT_EQ(
      Home::open({.root = home_.root(), .orphan_folder = "/dev/shm/homefs-orphans"}).error().status,
      Status::kCrossDevice);
  (void)::rmdir("/dev/shm/homefs-orphans");
}

}  // namespace
}  // namespace homefs
