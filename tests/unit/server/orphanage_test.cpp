// Files that are open somewhere when their last name goes.

#include "server/orphanage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <fstream>
#include <thread>

#include "server/node_table.h"
#include "server/quota.h"
#include "server/touched.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

// Sessions of an earlier run of the server.
constexpr SessionId kLate{std::byte{1}};
constexpr SessionId kLater{std::byte{2}};

class Orphans : public testing::Test {
 protected:
  std::size_t on_disk() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(home_.orphans()), {}));
  }

  TestHome home_;
  TestSession session_{home_};
};

TEST_F(Orphans, AFileKeptOpenLivesOnWithoutAName) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  const auto removed = session_.unlink(kRootNode, "f", /*keep=*/true);
  ASSERT_EQ(removed.status, Status::kOk);
  EXPECT_EQ(removed->attributes.links, 0u);
  EXPECT_EQ(session_.getattr(file)->attributes.links, 0u);
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
  EXPECT_EQ(session_.write(file, 4, "more")->attributes.size, 8u);
  EXPECT_EQ(session_.chmod(file, 0400)->attributes.mode & 0777u, 0400u);
  EXPECT_EQ(session_.truncate(file, 2).status, Status::kOk);
  EXPECT_EQ(on_disk(), 1u);
  session_.forget({file});
  EXPECT_EQ(on_disk(), 0u);
  EXPECT_EQ(home_->usage(), Usage{});
}

TEST_F(Orphans, WithoutNeedNothingIsKept) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  session_.unlink(kRootNode, "f");
  EXPECT_EQ(on_disk(), 0u);
  EXPECT_EQ(session_.read(file, 0, 10).status, Status::kStale);
}

// Another mount has moved an open file to the name that the session removes.
TEST_F(Orphans, WhatTheSessionDoesNotMeanIsKept) {
  const NodeId meant = session_.make_file(kRootNode, "f", "meant");
  const NodeId open = session_.make_file(kRootNode, "g", "open");
  TestSession other(home_);
  ASSERT_EQ(other.rename(kRootNode, "g", kRootNode, "f").status, Status::kRenamed);
  ASSERT_EQ(session_.unlink(kRootNode, "f", /*keep=*/false, meant).status, Status::kOk);
  EXPECT_EQ(session_.read(open, 0, 10).payload, "open");
  const NodeId target = session_.make_file(kRootNode, "h", "target");
  ASSERT_EQ(session_.make_file(kRootNode, "i", "") != kNoNode, true);
  ASSERT_EQ(other.rename(kRootNode, "h", kRootNode, "j").status, Status::kRenamed);
  ASSERT_EQ(session_
                .rename(kRootNode, "i", kRootNode, "j", RenameMode::kReplace, /*keep=*/false,
                        /*meant=*/open)
                .status,
            Status::kRenamed);
  EXPECT_EQ(session_.read(target, 0, 10).payload, "target");
}

TEST_F(Orphans, WhatTheSessionMeansIsNotKept) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  session_.unlink(kRootNode, "f", /*keep=*/false, file);
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(Orphans, AnOrphanGetsNoNameAgain) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  session_.unlink(kRootNode, "f", /*keep=*/true);
  EXPECT_EQ(session_.link(file, kRootNode, "g").status, Status::kNoSuchFile);
}

TEST_F(Orphans, AFileKnownToAnotherSessionIsKeptForIt) {
  session_.make_file(kRootNode, "f", "data");
  TestSession other(home_);
  const NodeId theirs = other.find(kRootNode, "f");
  session_.unlink(kRootNode, "f");
  EXPECT_EQ(other.read(theirs, 0, 10).payload, "data");
  session_->close();
  EXPECT_EQ(on_disk(), 1u);
  other.forget({theirs});
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(Orphans, AReplacedFileIsKeptLikeAnUnlinkedOne) {
  const NodeId old = session_.make_file(kRootNode, "f", "old");
  session_.make_file(kRootNode, "g", "new");
  const auto moved =
      session_.rename(kRootNode, "g", kRootNode, "f", RenameMode::kReplace, /*keep=*/true);
  ASSERT_TRUE(moved->other);
  EXPECT_EQ(moved->other->links, 0u);
  EXPECT_EQ(session_.read(old, 0, 10).payload, "old");
  EXPECT_EQ(session_.read(session_.find(kRootNode, "f"), 0, 10).payload, "new");
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 6, .files = 2}));
  session_.forget({old});
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 3, .files = 1}));
}

TEST_F(Orphans, ARenameThatFailsKeepsNothing) {
  session_.make_file(kRootNode, "f");
  session_.make_folder(kRootNode, "d");
  EXPECT_EQ(
      session_.rename(kRootNode, "d", kRootNode, "f", RenameMode::kReplace, /*keep=*/true).status,
      Status::kNotDirectory);
  EXPECT_EQ(on_disk(), 0u);
  EXPECT_EQ(session_.lookup(kRootNode, "f", NodeId{2})->attributes.links, 1u);
}

TEST_F(Orphans, WithAnotherNameLeftTheCountIsRightAllTheTime) {
  const NodeId file = session_.make_file(kRootNode, "a", "data");
  session_.link(file, kRootNode, "b");
  // "a" is the only way the server knows to the file.
  EXPECT_EQ(session_.unlink(kRootNode, "a", /*keep=*/true)->attributes.links, 1u);
  EXPECT_EQ(session_.getattr(file)->attributes.links, 1u);
  EXPECT_EQ(session_.lookup(kRootNode, "b", session_.next_node())->attributes.links, 1u);
  EXPECT_EQ(session_.list({.folder = kRootNode, .bytes_max = 1000})
                ->folders[0]
                .entries[0]
                .attributes.links,
            1u);
  while (home_.descriptors().size() > 0) home_.descriptors().shrink();
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
  EXPECT_EQ(session_.link(file, kRootNode, "c")->attributes.links, 2u);
  EXPECT_EQ(session_.unlink(kRootNode, "b", /*keep=*/true)->attributes.links, 1u);
  EXPECT_EQ(session_.unlink(kRootNode, "c", /*keep=*/true)->attributes.links, 0u);
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 4, .files = 1}));
  session_->close();
  EXPECT_EQ(on_disk(), 0u);
  EXPECT_EQ(home_->usage(), Usage{});
}

TEST_F(Orphans, AHeldFileWithNamesLosesOnlyItsHold) {
  const NodeId file = session_.make_file(kRootNode, "a", "data");
  session_.link(file, kRootNode, "b");
  session_.unlink(kRootNode, "a", /*keep=*/true);
  EXPECT_EQ(on_disk(), 1u);
  session_.forget({file});
  EXPECT_EQ(on_disk(), 0u);
  const auto found = session_.lookup(kRootNode, "b", session_.next_node());
  EXPECT_EQ(found->attributes.links, 1u);
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 4, .files = 1}));
}

TEST_F(Orphans, OnlyFilesAreKept) {
  session_.symlink(kRootNode, "l", session_.next_node(), "x");
  session_.unlink(kRootNode, "l", /*keep=*/true);
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(Orphans, SurviveAKillAndAreIntroducedAgain) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  session_.chmod(file, 0);
  const Attributes known = session_.getattr(file)->attributes;
  session_.unlink(kRootNode, "f", /*keep=*/true);
  session_.kill(home_);
  home_.restart(/*is_clean=*/false);
  TestSession again(home_);
  const auto introduced = [&](Introduction introduction) {
    return again.call<ReadReply>(Op::kRead,
                                 ReadRequest{.node = introduction.node, .offset = 0, .length = 10},
                                 {}, {.list = {introduction}});
  };
  EXPECT_EQ(introduced({.node = NodeId{5}, .parent = kNoNode, .inode = InodeNumber{1}}).status,
            Status::kStale);
  EXPECT_EQ(introduced({file, kNoNode, "", known.inode, known.generation ^ 2}).status,
            Status::kStale)
      << "another file of this number";
  EXPECT_EQ(introduced({file, kNoNode, "", known.inode, known.generation}).payload, "data");
  // A session that had it under a name looks there first.
  EXPECT_EQ(introduced({NodeId{6}, kRootNode, "f", known.inode, known.generation}).payload, "data");
  EXPECT_EQ(again.getattr(file)->attributes.links, 0u);
  EXPECT_EQ(again.getattr(file)->attributes.mode & 07777u, 0u);
  home_->wait_until_usage_known();
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 4, .files = 1}));
  again->close();
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(Orphans, AFileWhoseOtherNameIsAllThatWasKnownIsFoundAfterAKill) {
  const NodeId file = session_.make_file(kRootNode, "a", "data");
  session_.link(file, kRootNode, "b");
  TestSession other(home_);
  other.find(kRootNode, "b");  // from now on the server reaches it by this name
  const Attributes known = session_.getattr(file)->attributes;
  session_.unlink(kRootNode, "a");
  session_.kill(home_);
  other.kill(home_);
  home_.restart(/*is_clean=*/false);
  TestSession again(home_);
  const auto read =
      again.call<ReadReply>(Op::kRead, ReadRequest{.node = file, .offset = 0, .length = 10}, {},
                            {.list = {{file, kRootNode, "a", known.inode, known.generation}}});
  EXPECT_EQ(read.payload, "data");
  EXPECT_EQ(again.getattr(file)->attributes.links, 1u);
  again->close();
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(Orphans, ANumberThatIsUsedAgainUnderTheSameNameIsAnotherFile) {
  const NodeId file = session_.make_file(kRootNode, "f", "old");
  const Attributes known = session_.getattr(file)->attributes;
  session_.kill(home_);
  // Birth is told by a clock that ticks every few milliseconds.
  const auto tick = [] {
    timespec now{};
    (void)::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_nsec;
  };
  for (const auto begin = tick(); tick() == begin;) std::this_thread::yield();
  // Behind the server's back, until the file system gives the number out again.
  std::vector<std::filesystem::path> others;
  for (int i = 0; i < 100; ++i) {
    std::filesystem::remove(home_.root() / "f");
    std::ofstream(home_.root() / "f") << "new";
    const auto stat = disk::stat_at(AT_FDCWD, (home_.root() / "f").c_str());
    if (stat->attributes.inode == known.inode) break;
    others.push_back(home_.root() / ("other" + std::to_string(i)));
    std::filesystem::rename(home_.root() / "f", others.back());
  }
  home_.restart(/*is_clean=*/false);
  TestSession again(home_);
  const auto read =
      again.call<ReadReply>(Op::kRead, ReadRequest{.node = file, .offset = 0, .length = 10}, {},
                            {.list = {{file, kRootNode, "f", known.inode, known.generation}}});
  EXPECT_EQ(read.status, Status::kStale);
}

TEST_F(Orphans, AnOrderlyStopKeepsThemForTheRestart) {
  session_.make_file(kRootNode, "f", "data");
  session_.unlink(kRootNode, "f", /*keep=*/true);
  home_->stop();
  session_->close();
  EXPECT_EQ(on_disk(), 1u);
  home_.restart(/*is_clean=*/true);
  home_->wait_until_usage_known();
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 4, .files = 1}));
}

TEST_F(Orphans, LeftoversAreSweptWhenTheirTimeIsOver) {
  const NodeId adopted = session_.make_file(kRootNode, "a", "data");
  const Attributes known = session_.getattr(adopted)->attributes;
  session_.make_file(kRootNode, "b", "leftover");
  session_.unlink(kRootNode, "a", /*keep=*/true);
  session_.unlink(kRootNode, "b", /*keep=*/true);
  std::filesystem::create_directory(home_.orphans() / "making-3");
  session_.kill(home_);
  home_.restart(/*is_clean=*/false);
  EXPECT_EQ(on_disk(), 2u);
  TestSession again(home_);
  again.call<AttributesReply>(Op::kGetattr, NodeRequest{.node = adopted}, {},
                              {.list = {{adopted, kNoNode, "", known.inode, known.generation}}});
  const auto now = std::chrono::steady_clock::now();
  EXPECT_EQ(home_->sweep_orphans(now), 0u);
  EXPECT_EQ(home_->sweep_orphans(now + std::chrono::hours(1)), 1u);
  EXPECT_EQ(on_disk(), 1u);
  EXPECT_EQ(again.read(adopted, 0, 10).payload, "data");
  home_->wait_until_usage_known();
  EXPECT_EQ(home_->usage(), (Usage{.bytes = 4, .files = 1}));
}

TEST_F(Orphans, WhileSessionsAreExpectedAFileIsKeptForThem) {
  session_.make_file(kRootNode, "known", "data");
  std::ofstream(home_.root() / "unknown") << "more";
  home_->expect_session(kLate);
  EXPECT_EQ(session_.unlink(kRootNode, "known")->attributes.links, 0u);
  session_.unlink(kRootNode, "unknown");
  EXPECT_EQ(on_disk(), 2u);
  EXPECT_TRUE(home_->has_waiting_orphans());
  session_->close();
  const auto now = std::chrono::steady_clock::now();
  EXPECT_EQ(home_->sweep_orphans(now + std::chrono::hours(1)), 0u) << "they may come any time";
  EXPECT_EQ(on_disk(), 2u);
  TestSession back(home_);
  back->begin_introduction();
  home_->expect_session_no_longer(kLate);
  EXPECT_EQ(home_->sweep_orphans(now), 0u) << "who has come has not said yet what it has open";
  EXPECT_EQ(home_->sweep_orphans(now + kIntroductionTime + std::chrono::hours(1)), 2u);
  EXPECT_FALSE(home_->has_waiting_orphans());
}

TEST_F(Orphans, ThatAreKeptForLateSessionsStayUntilTheLastOfThemIsOver) {
  std::ofstream(home_.root() / "f") << "data";
  home_->expect_session(kLate);
  home_->expect_session(kLater);
  session_.unlink(kRootNode, "f");
  const auto later = std::chrono::steady_clock::now() + std::chrono::hours(1);
  home_->expect_session_no_longer(kLate);
  EXPECT_EQ(home_->sweep_orphans(later), 0u) << "the other may have it open";
  home_->expect_session_no_longer(kLater);
  EXPECT_EQ(home_->sweep_orphans(later), 1u);
}

TEST_F(Orphans, OfTheOnlySessionThatIsBackOnlyItsOwnWordCounts) {
  session_.make_file(kRootNode, "closed", "data");
  session_.make_file(kRootNode, "open", "data");
  session_->begin_introduction();
  session_.unlink(kRootNode, "closed");
  EXPECT_EQ(on_disk(), 0u);
  session_.unlink(kRootNode, "open", /*keep=*/true);
  EXPECT_EQ(on_disk(), 1u);
  TestSession other(home_);
  std::ofstream(home_.root() / "theirs") << "more";
  other.unlink(kRootNode, "theirs");
  EXPECT_EQ(on_disk(), 2u) << "the other may have it open";
  session_->end_introduction();
  EXPECT_EQ(on_disk(), 1u) << "what was kept for it goes at once";
  session_->close();
  EXPECT_EQ(on_disk(), 0u);
}

// Another mount has moved an open file to the name, and the server was killed before this one heard
// of it; it sends its removal of the name again before it has introduced what it has open.
TEST_F(Orphans, WhatASessionThatStillIntroducesDoesNotMeanIsKept) {
  const NodeId meant = session_.make_file(kRootNode, "x", "meant");
  const NodeId open = session_.make_file(kRootNode, "y", "open");
  const Attributes known = session_.getattr(open)->attributes;
  {
    TestSession other(home_);
    ASSERT_EQ(other.rename(kRootNode, "y", kRootNode, "x").status, Status::kRenamed);
    other.kill(home_);
  }
  session_.kill(home_);
  home_.restart(/*is_clean=*/false);
  TestSession back(home_);
  back->begin_introduction();
  home_->expect_session_no_longer(kLate);
  ASSERT_EQ(back.unlink(kRootNode, "x", /*keep=*/false, meant).status, Status::kOk);
  const auto read =
      back.call<ReadReply>(Op::kRead, ReadRequest{.node = open, .offset = 0, .length = 10}, {},
                           {.list = {{open, kRootNode, "y", known.inode, known.generation}}});
  EXPECT_EQ(read.status, Status::kOk) << "the open file was deleted";
  EXPECT_EQ(read.payload, "open");
}

// A session that has forgotten the number is as one whose number the server has dropped to make
// room; it does not know that, and has the file open.
TEST_F(Orphans, AFileThatIsKeptByANumberThatWasDroppedIsIntroducedFirst) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  const Attributes known = session_.getattr(file)->attributes;
  const NodeId moving = session_.make_file(kRootNode, "moving", "new");
  ASSERT_NE(moving, kNoNode);
  session_.forget({file});
  EXPECT_EQ(session_.unlink(kRootNode, "f", /*keep=*/true, file).status, Status::kStale);
  EXPECT_EQ(
      session_
          .rename(kRootNode, "moving", kRootNode, "f", RenameMode::kReplace, /*keep=*/true, file)
          .status,
      Status::kStale);
  EXPECT_TRUE(std::filesystem::exists(home_.root() / "f")) << "nothing was done";
  EXPECT_TRUE(std::filesystem::exists(home_.root() / "moving"));
  EXPECT_EQ(session_.unlink(kRootNode, "none", /*keep=*/true, file).status, Status::kNoSuchFile);
  const auto again = session_.call<RemoveReply>(
      Op::kUnlink, UnlinkRequest{.parent = kRootNode, .name = "f", .keep = true, .node = file}, {},
      {.list = {{file, kRootNode, "f", known.inode, known.generation}}});
  EXPECT_EQ(again.status, Status::kOk);
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
}

// The node numbers of a session that has room for few.
class DroppedNumbers : public Orphans {
 protected:
  static constexpr std::size_t kNodesMax = 10;

  DroppedNumbers() {
    session_.forget({session_.make_file(kRootNode, "open", "data")});
    known_ = bind(kOpen, "open");
    for (std::size_t i = 0; nodes_.has(kOpen); ++i) bind_another(i);
  }
  InodeName bind(NodeId node, const std::string& name) {
    const auto entry = home_->lookup(home_->root(), *Name::make(name));
    EXPECT_TRUE(entry && nodes_.bind(node, entry->inode));
    return {entry->attributes.inode, entry->attributes.generation};
  }
  void bind_another(std::size_t i) {
    const std::string name = std::to_string(i);
    session_.make_file(kRootNode, name);
    bind(NodeId{1000 + i}, name);
  }
  void unlink() { ASSERT_EQ(session_.unlink(kRootNode, "open").status, Status::kOk); }

  static constexpr NodeId kOpen{900};
  NodeTable nodes_{*home_, home_->root(), kNodesMax};
  InodeName known_;
};

TEST_F(DroppedNumbers, KeepTheFileUntilTheyAreBoundAgainAndForgotten) {
  unlink();
  EXPECT_EQ(on_disk(), 1u) << "the session may have it open";
  {
    const auto again = home_->reintroduce(home_->root(), *Name::make("open"), known_);
    ASSERT_TRUE(again);
    ASSERT_TRUE(nodes_.bind(kOpen, *again));
  }
  EXPECT_EQ(home_->read(*nodes_.find(kOpen), 0, 10)->data.bytes.size(), 4u);
  nodes_.forget(std::array{kOpen});
  EXPECT_EQ(on_disk(), 0u);
  EXPECT_EQ(home_->usage().bytes, 0u);
}

TEST_F(DroppedNumbers, KeepItUntilTheyAreForgotten) {
  unlink();
  nodes_.forget(std::array{kOpen});
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(DroppedNumbers, KeepItUntilTheSessionEnds) {
  unlink();
  nodes_.clear();
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(DroppedNumbers, ThatWereForgottenKeepNothing) {
  nodes_.forget(std::array{kOpen});
  unlink();
  EXPECT_EQ(on_disk(), 0u);
}

TEST_F(DroppedNumbers, AreRememberedOnlySoLong) {
  for (std::size_t i = 100; i < 100 + 10 * kNodesMax; ++i) bind_another(i);
  unlink();
  EXPECT_EQ(on_disk(), 0u);
}

// The session that removes it is the one that has closed it.
TEST_F(DroppedNumbers, KeepNothingThatTheSessionMeansAndHasNotOpen) {
  session_->close();
  Grant grant(home_->quota());
  Touched touched;
  const Actor actor{.grant = grant, .nodes = nodes_, .touched = touched};
  ASSERT_TRUE(
      home_->unlink(actor, home_->root(), *Name::make("open"), {.keep = false, .meant = kOpen}));
  EXPECT_EQ(on_disk(), 0u);
}

// Number 0: the client does not know the file, but the session may, by another name.
TEST_F(Orphans, AFileThatTheClientDoesNotNameIsKeptIfTheSessionKnowsIt) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  ASSERT_EQ(session_.unlink(kRootNode, "f", /*keep=*/true).status, Status::kOk);
  EXPECT_EQ(session_.read(file, 0, 10).payload, "data");
  std::ofstream(home_.root() / "unknown") << "more";
  ASSERT_EQ(session_.unlink(kRootNode, "unknown", /*keep=*/true).status, Status::kOk);
  EXPECT_EQ(on_disk(), 1u) << "nobody has it open";
}

TEST_F(Orphans, WhatASessionThatIsBackHasOpenGoesWithIt) {
  const NodeId file = session_.make_file(kRootNode, "f", "data");
  const Attributes known = session_.getattr(file)->attributes;
  session_.forget({file});
  home_->expect_session(kLate);
  session_.unlink(kRootNode, "f");
  TestSession back(home_);
  const auto read =
      back.call<ReadReply>(Op::kRead, ReadRequest{.node = file, .offset = 0, .length = 10}, {},
                           {.list = {{file, kRootNode, "f", known.inode, known.generation}}});
  EXPECT_EQ(read.payload, "data");
  home_->expect_session_no_longer(kLate);
  const auto later = std::chrono::steady_clock::now() + std::chrono::hours(1);
  EXPECT_EQ(home_->sweep_orphans(later), 0u);
  EXPECT_EQ(back.read(file, 0, 10).payload, "data");
  back->close();
  EXPECT_EQ(on_disk(), 0u);
}

}  // namespace
}  // namespace homefs
