// Inodes: many of them with few descriptors, deep trees, moves under the feet of others.

#include "server/inode_table.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "server/node_table.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

TEST(Inodes, TenThousandFilesAreServedWithThirtyDescriptors) {
  TestHome home({.descriptors_max = 30});
  TestSession session(home);
  constexpr int kFiles = 10'000;
  std::vector<NodeId> nodes;
  NodeId folder = kRootNode;
  for (int i = 0; i < kFiles; ++i) {
    if (i % 100 == 0) folder = session.make_folder(kRootNode, "d" + std::to_string(i));
    nodes.push_back(session.make_file(folder, std::to_string(i), std::to_string(i)));
  }
  for (int i = 0; i < kFiles; ++i) {
    const int at = i * 7919 % kFiles;
    ASSERT_EQ(session.read(nodes[at], 0, 10).payload, std::to_string(at));
  }
  EXPECT_LE(home.descriptors().size(), 30u);
}

TEST(Inodes, TheProcessRunningOutOfDescriptorsIsNoError) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  TestHome home({.descriptors_max = 4096});
  TestSession session(home);
  rlimit tight = before;
  tight.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  std::vector<NodeId> nodes;
  for (int i = 0; i < 200; ++i) {
    nodes.push_back(session.next_node());
    const auto made = session.create(kRootNode, std::to_string(i), nodes.back());
    ASSERT_EQ(made.status, Status::kOk) << i;
  }
  for (const NodeId node : nodes) ASSERT_EQ(session.write(node, 0, "x").status, Status::kOk);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(Inodes, ATreeOf3000LevelsIsMadeWalkedMovedAndRemoved) {
  TestHome home({.descriptors_max = 16});
  TestSession session(home);
  constexpr int kLevels = 3000;
  std::vector<NodeId> nodes{kRootNode};
  for (int i = 0; i < kLevels; ++i) nodes.push_back(session.make_folder(nodes.back(), "d"));
  const NodeId file = session.make_file(nodes.back(), "f", "deep");
  while (home.descriptors().size() > 0) home.descriptors().shrink();
  EXPECT_EQ(session.read(file, 0, 10).payload, "deep");
  ASSERT_EQ(session.rename(nodes[1], "d", kRootNode, "moved").status, Status::kRenamed);
  while (home.descriptors().size() > 0) home.descriptors().shrink();
  EXPECT_EQ(session.write(file, 0, "DEEP").status, Status::kOk);
  EXPECT_EQ(session.unlink(nodes.back(), "f").status, Status::kOk);
  for (int i = kLevels; i > 2; --i) {
    ASSERT_EQ(session.rmdir(nodes[i - 1], "d").status, Status::kOk) << i;
  }
  EXPECT_EQ(session.rmdir(kRootNode, "moved").status, Status::kOk);
  EXPECT_EQ(home->usage().files, 1u);
}

TEST(Inodes, AChainOf200000ForgottenFoldersIsReleasedWithoutRecursion) {
  TestHome home;
  InodeTable& table = home->inodes();
  disk::Stat stat{};
  stat.attributes.mode = S_IFDIR | 0755;
  InodeRef last = home->root();
  const Name name = *Name::make("d");
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    stat.attributes.inode = InodeNumber{1'000'000'000 + i};
    last = table.found(stat, last, name);
  }
  EXPECT_EQ(table.size(), 200'001u);
  last.reset();
  EXPECT_EQ(table.size(), 1u);
}

TEST(Inodes, AFileIsFoundWhileTheFoldersAboveItAreMoved) {
  TestHome home({.descriptors_max = 4});
  TestSession session(home);
  const NodeId a = session.make_folder(kRootNode, "a");
  const NodeId b = session.make_folder(a, "b");
  const NodeId c = session.make_folder(b, "c");
  const NodeId file = session.make_file(c, "f", "data");
  const NodeId elsewhere = session.make_folder(kRootNode, "elsewhere");
  std::atomic<bool> is_done{false};
  std::thread reader([&] {
    while (!is_done) {
      home.descriptors().shrink();
      home.descriptors().shrink();
      home.descriptors().shrink();
      ASSERT_EQ(session.read(file, 0, 10).payload, "data");
    }
  });
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(session.rename(a, "b", elsewhere, "x").status, Status::kRenamed);
    ASSERT_EQ(session.rename(kRootNode, "a", elsewhere, "y").status, Status::kRenamed);
    ASSERT_EQ(session.rename(elsewhere, "x", a, "b").status, Status::kRenamed);
    ASSERT_EQ(session.rename(elsewhere, "y", kRootNode, "a").status, Status::kRenamed);
  }
  is_done = true;
  reader.join();
}

TEST(Inodes, AFolderMovedByOneSessionIsFoundByTheOther) {
  TestHome home({.descriptors_max = 1});
  TestSession one(home);
  TestSession two(home);
  const NodeId d = one.make_folder(kRootNode, "d");
  one.make_file(d, "f", "data");
  const NodeId f = two.find(two.find(kRootNode, "d"), "f");
  one.rename(kRootNode, "d", kRootNode, "e");
  EXPECT_EQ(two.read(f, 0, 10).payload, "data");
}

TEST(Inodes, ForgettingLetsThemGo) {
  TestHome home;
  TestSession session(home);
  std::vector<NodeId> nodes;
  for (int i = 0; i < 100; ++i) {
    nodes.push_back(session.make_file(kRootNode, std::to_string(i)));
  }
  EXPECT_EQ(home->inodes().size(), 101u);
  EXPECT_EQ(session.forget(nodes).status, Status::kOk);
  EXPECT_EQ(home->inodes().size(), 1u);
  EXPECT_EQ(session.getattr(nodes[0]).status, Status::kStale);
  EXPECT_EQ(session.forget({kRootNode, nodes[0], NodeId{77777}}).status, Status::kOk);
  EXPECT_EQ(session.getattr(kRootNode).status, Status::kOk);
  EXPECT_EQ(session.forget(std::vector<NodeId>(257, NodeId{5})).status, Status::kProtocolError);
}

TEST(Inodes, TwoNodesMayMeanOneInode) {
  TestHome home;
  TestSession session(home);
  const NodeId a = session.make_file(kRootNode, "a", "x");
  session.link(a, kRootNode, "b");
  const NodeId b = session.find(kRootNode, "b");
  session.forget({a});
  EXPECT_EQ(session.read(b, 0, 1).payload, "x");
}

TEST(Inodes, TheNodeTableIsBoundedAndDropsWhatIsNotUsed) {
  TestHome home;
  constexpr std::size_t kNodesMax = 500;
  NodeTable nodes(*home, home->root(), kNodesMax);
  TestSession session(home);
  const NodeId kept = NodeId{2};
  disk::Stat stat{};
  stat.attributes.mode = S_IFREG | 0644;
  const Name name = *Name::make("f");
  for (std::uint64_t i = 2; i < 5000; ++i) {
    stat.attributes.inode = InodeNumber{1'000'000'000 + i};
    ASSERT_TRUE(nodes.bind(NodeId{i}, home->inodes().found(stat, home->root(), name)));
    ASSERT_LE(nodes.size(), kNodesMax);
    ASSERT_TRUE(nodes.find(kept)) << i;
    ASSERT_TRUE(nodes.find(kRootNode));
  }
  EXPECT_FALSE(nodes.find(NodeId{3}));
}

TEST(Inodes, AfterARestartNodesAreIntroducedAgain) {
  TestHome home;
  auto session = std::make_unique<TestSession>(home);
  const NodeId d = session->make_folder(kRootNode, "d");
  const NodeId f = session->make_file(d, "f", "data");
  const Attributes d_known = session->getattr(d)->attributes;
  const Attributes f_known = session->getattr(f)->attributes;
  const Introduction introduced_d{d, kRootNode, "d", d_known.inode, d_known.generation};
  const Introduction introduced_f{f, d, "f", f_known.inode, f_known.generation};
  session->kill(home);
  home.restart(/*is_clean=*/false);
  TestSession again(home);
  EXPECT_EQ(again.read(f, 0, 10).status, Status::kStale);
  const auto read =
      again.call<ReadReply>(Op::kRead, ReadRequest{.node = f, .offset = 0, .length = 10}, {},
                            {.list = {introduced_d, introduced_f}});
  EXPECT_EQ(read.payload, "data");
  // Out of order, the parent is not known when it is needed.
  TestSession third(home);
  EXPECT_EQ(third
                .call<ReadReply>(Op::kRead, ReadRequest{.node = f, .offset = 0, .length = 10}, {},
                                 {.list = {introduced_f, introduced_d}})
                .status,
            Status::kStale);
}

// Of a clock that ticks rarely, long ago: all changes in one tick.
class VersionsInOneTick : public ::testing::Test {
 protected:
  InodeRef find(const std::string& name) {
    return home_->inodes().found(stats_.at(name), home_->root(), *Name::make(name));
  }
  std::uint64_t version(const std::string& name, bool is_change) {
    const InodeRef inode = find(name);
    return home_->inodes().version_of(*inode, kTick, is_change);
  }
  void make(const std::string& name, std::uint64_t number) {
    disk::Stat stat;
    stat.attributes.inode = InodeNumber{number};
    stat.attributes.mode = stat.disk_mode = S_IFREG | 0644;
    stat.attributes.ctime = {1'000'000'000, 0};
    stat.birth_ns = 5;
    stats_[name] = stat;
  }

  static constexpr std::int64_t kTick = 1'000'000'000ll * 1'000'000'000;
  TestHome home_;
  std::map<std::string, disk::Stat> stats_;
};

TEST_F(VersionsInOneTick, AnOlderOneDoesNotComeBackWhenNobodyKnowsTheInode) {
  make("f", 1ull << 40);
  const std::uint64_t first = version("f", false);
  const std::uint64_t second = version("f", true);
  EXPECT_NE(second, first);
  EXPECT_EQ(home_->inodes().find(InodeNumber{1ull << 40}), nullptr) << "it must be forgotten";
  EXPECT_EQ(version("f", false), second);
  EXPECT_EQ(home_->inodes().version_of_entry(stats_.at("f")), second);
}

TEST_F(VersionsInOneTick, NorWhenMoreInodesWereForgottenThanAreRemembered) {
  make("f", 1ull << 40);
  const std::uint64_t first = version("f", false);
  const std::uint64_t second = version("f", true);
  for (std::uint64_t i = 0; i <= InodeTable::kPastStepsMax; ++i) {
    make("g", (1ull << 41) + i);
    const InodeRef other = find("g");
    (void)home_->inodes().version_of(*other, kTick, true);
  }
  EXPECT_NE(version("f", false), first);
  EXPECT_NE(version("f", false), second) << "not known to be it";
}

TEST(Inodes, FoldersThatAreMovedBehindOurBackMakeNoRing) {
  TestHome home;
  TestSession session(home);
  const NodeId a = session.make_folder(kRootNode, "a");
  const NodeId b = session.make_folder(kRootNode, "b");
  std::filesystem::rename(home.root() / "a", home.root() / "b" / "a");
  EXPECT_EQ(session.lookup(b, "a", a).status, Status::kOk);
  std::filesystem::rename(home.root() / "b" / "a", home.root() / "a");
  std::filesystem::rename(home.root() / "b", home.root() / "a" / "b");
  EXPECT_EQ(session.lookup(a, "b", b).status, Status::kOk);
  EXPECT_EQ(session.lookup(kRootNode, "a", a).status, Status::kOk);
  EXPECT_EQ(session.create(b, "f", TestSession::next_node()).status, Status::kOk);
  EXPECT_TRUE(std::filesystem::exists(home.root() / "a" / "b" / "f"));
}

}  // namespace
}  // namespace homefs
