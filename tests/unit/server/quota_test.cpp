// Quota: exact to the byte, also when many write at once, and after every kind of stop.

#include "server/quota.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::pattern;
using test::TestHome;
using test::TestSession;

constexpr std::uint64_t kMiB = 1024 * 1024;

TEST(Quota, TheWriteThatDoesNotFitIsRefusedAndChangesNothing) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  home->wait_until_usage_known();
  const NodeId file = session.make_file(kRootNode, "f", pattern(900));
  EXPECT_EQ(session.write(file, 800, pattern(201)).status, Status::kOverQuota);
  EXPECT_EQ(session.getattr(file)->attributes.size, 900u);
  EXPECT_EQ(session.read(file, 0, 1000).payload, pattern(900));
  EXPECT_EQ(session.write(file, 800, pattern(200)).status, Status::kOk);
  EXPECT_EQ(home->usage().bytes, 1000u);
  EXPECT_EQ(session.truncate(file, 1001).status, Status::kOverQuota);
  EXPECT_EQ(session.write(file, 0, pattern(1000, 2)).status, Status::kOk);
}

TEST(Quota, HolesCountAsTheyShowInTheSize) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f");
  EXPECT_EQ(session.write(file, 1000, "x").status, Status::kOverQuota);
  EXPECT_EQ(session.write(file, 999, "x").status, Status::kOk);
  EXPECT_EQ(session.write(file, 0, pattern(999)).status, Status::kOk);
}

TEST(Quota, EveryWayToGrowIsRefusedAtTheLimit) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f", pattern(1000));
  const NodeId other = session.make_file(kRootNode, "g");
  EXPECT_EQ(
      session.call<CopyReply>(Op::kCopy, CopyRequest{.source = file, .target = other, .length = 1})
          .status,
      Status::kOverQuota);
  for (const FallocateMode mode : {FallocateMode::kAllocate, FallocateMode::kZero}) {
    EXPECT_EQ(session
                  .call<ChangeReply>(Op::kFallocate,
                                     FallocateRequest{.node = other, .mode = mode, .length = 1})
                  .status,
              Status::kOverQuota);
  }
  EXPECT_EQ(session.truncate(other, 1).status, Status::kOverQuota);
  EXPECT_EQ(session.create(kRootNode, "empty", session.next_node()).status, Status::kOk);
}

TEST(Quota, SpaceBehindTheEndOfAFileIsNotHandedOut) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f");
  const auto kept = session.call<ChangeReply>(
      Op::kFallocate,
      FallocateRequest{.node = file, .mode = FallocateMode::kKeepSize, .length = 100 * kMiB});
  EXPECT_EQ(kept.status, Status::kOk);
  EXPECT_EQ(kept->attributes.blocks, 0u);
}

TEST(Quota, RemovingAndCuttingMakesRoom) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f", pattern(1000));
  session.truncate(file, 400);
  session.make_file(kRootNode, "g", pattern(600));
  session.unlink(kRootNode, "f");
  session.make_file(kRootNode, "h", pattern(400));
  session.rename(kRootNode, "h", kRootNode, "g");
  EXPECT_EQ(home->usage(), (Usage{.bytes = 400, .files = 1}));
}

TEST(Quota, AnOrphanCountsUntilItIsGone) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f", pattern(1000));
  session.unlink(kRootNode, "f", /*keep=*/true);
  EXPECT_EQ(session.write(session.make_file(kRootNode, "g"), 0, "x").status, Status::kOverQuota);
  session.forget({file});
  EXPECT_EQ(session.write(session.find(kRootNode, "g"), 0, "x").status, Status::kOk);
}

TEST(Quota, TheLimitOnFilesCountsEveryInode) {
  TestHome home({.files_max = 3});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "a");
  session.make_folder(kRootNode, "b");
  EXPECT_EQ(session.symlink(kRootNode, "c", session.next_node(), "x").status, Status::kOk);
  EXPECT_EQ(session.create(kRootNode, "d", session.next_node()).status, Status::kOverQuota);
  EXPECT_EQ(session.create(kRootNode, "a", session.next_node()).status, Status::kExists);
  EXPECT_EQ(session.link(file, kRootNode, "d").status, Status::kOk);
  session.unlink(kRootNode, "c");
  EXPECT_EQ(session.mkdir(kRootNode, "e", session.next_node()).status, Status::kOk);
}

TEST(Quota, LoweringTheLimitRefusesGrowthAndDeletesNothing) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f", pattern(800));
  home->set_limits(500, 0);
  EXPECT_EQ(session.write(file, 800, "x").status, Status::kOverQuota);
  EXPECT_EQ(session.write(file, 0, "x").status, Status::kOk);
  EXPECT_EQ(session.getattr(file)->attributes.size, 800u);
  session.truncate(file, 400);
  EXPECT_EQ(session.write(file, 400, pattern(100)).status, Status::kOk);
  home->set_limits(0, 0);
  EXPECT_EQ(session.write(file, 500, pattern(10'000)).status, Status::kOk);
}

TEST(Quota, ASoleSessionIsGrantedWhatIsFreeAndASharedOneNothing) {
  TestHome home({.bytes_max = 100 * kMiB});
  TestSession session(home);
  home->wait_until_usage_known();
  EXPECT_EQ(session->grant_state().granted, 0u);
  session->set_shared(false);
  const GrantState first = session->grant_state();
  EXPECT_EQ(first.granted, Quota::kGrantBytesMax);
  EXPECT_EQ(first.limit, 100 * kMiB);
  const NodeId file = session.make_file(kRootNode, "f");
  const auto written = session.write(file, 0, pattern(kMiB));
  EXPECT_EQ(written->grant.granted, Quota::kGrantBytesMax);
  EXPECT_EQ(written->grant.used, kMiB);
  EXPECT_GT(written->grant.stamp, first.stamp);
  // 100 MiB less the grant are left to others; the session itself goes on to the last byte.
  EXPECT_EQ(session.truncate(file, 100 * kMiB)->grant.granted, 0u);
  EXPECT_EQ(session.truncate(file, 90 * kMiB)->grant.granted, 10 * kMiB);
  session->set_shared(true);
  EXPECT_EQ(session->grant_state().granted, 10 * kMiB);  // promised is promised
  session->release_grant();
  EXPECT_EQ(session->grant_state().granted, 0u);
}

TEST(Quota, WhatOneSessionIsGrantedNoOtherCanTake) {
  TestHome home({.bytes_max = 100});
  TestSession one(home);
  TestSession two(home);
  home->wait_until_usage_known();
  one->set_shared(false);
  const NodeId mine = one.make_file(kRootNode, "mine");
  EXPECT_EQ(one->grant_state().granted, 100u);
  const NodeId theirs = two.make_file(kRootNode, "theirs");
  EXPECT_EQ(two.write(theirs, 0, "x").status, Status::kOverQuota);
  EXPECT_EQ(one.write(mine, 0, pattern(60)).status, Status::kOk);
  one->set_shared(true);
  one->release_grant();
  EXPECT_EQ(two.write(theirs, 0, pattern(40)).status, Status::kOk);
  EXPECT_EQ(one.write(mine, 60, "x").status, Status::kOverQuota);
}

TEST(Quota, AnUnlimitedHomeGrantsAlsoWhenShared) {
  TestHome home;
  TestSession session(home);
  EXPECT_EQ(session->grant_state().granted, Quota::kGrantBytesMax);
  EXPECT_EQ(session->grant_state().limit, 0u);
}

TEST(Quota, WritersAtOnceNeverPassTheLimitByAByte) {
  constexpr std::uint64_t kLimit = 3'000'000;
  TestHome home({.bytes_max = kLimit});
  std::vector<std::unique_ptr<TestSession>> sessions;
  std::vector<std::thread> threads;
  std::atomic<bool> is_done{false};
  std::atomic<std::uint64_t> highest{0};
  for (unsigned t = 0; t < 6; ++t) sessions.push_back(std::make_unique<TestSession>(home));
  sessions[0]->operator->()->set_shared(false);
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      TestSession& session = *sessions[t];
      unsigned state = t;
      const NodeId shared = session.next_node();
      if (!session.create(kRootNode, "shared", shared).is_ok()) {
        session.lookup(kRootNode, "shared", shared);
      }
      for (int i = 0; i < 400; ++i) {
        state = state * 1664525u + 1013904223u;
        const std::string name = std::to_string(t) + "-" + std::to_string(state >> 29);
        NodeId node = session.next_node();
        if (!session.create(kRootNode, name, node).is_ok()) session.lookup(kRootNode, name, node);
        switch ((state >> 16) % 5) {
          case 0:
            session.unlink(kRootNode, name, (state & 1) != 0);
            break;
          case 1:
            session.truncate(shared, state % 500'000);
            break;
          case 2:
            session.write(shared, state % 600'000, pattern(state % 50'000 + 1));
            break;
          default:
            session.write(node, state % 300'000, pattern(state % 100'000 + 1));
        }
        session.forget({node});
      }
    });
  }
  std::thread watcher([&] {
    while (!is_done) highest = std::max(highest.load(), home->usage().bytes);
  });
  for (std::thread& thread : threads) thread.join();
  is_done = true;
  watcher.join();
  EXPECT_LE(highest.load(), kLimit);
  EXPECT_GT(highest.load(), kLimit * 9 / 10) << "the test must reach the limit";
  EXPECT_EQ(home->usage(), home.counted());
  sessions.clear();
  EXPECT_EQ(home->usage(), home.counted());
}

TEST(Quota, AFileThatGrewByOtherMeansThanTheChangeIsCountedAsItIs) {
  Quota quota(0, 0);
  Grant grant(quota);
  auto reservation = quota.reserve(grant, {.bytes = 10});
  ASSERT_TRUE(reservation);
  reservation->settle({.bytes = 25});
  EXPECT_EQ(quota.used().bytes, 25u);
}

TEST(Quota, AProgramOnTheServerAppendsToAFileWhileASessionDoes) {
  TestHome home({.bytes_max = 100 * kMiB});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "log");
  std::atomic<bool> is_done{false};
  std::thread local([&] {
    std::ofstream log(home.root() / "log", std::ios::app);
    for (int i = 0; i < 200'000 && !is_done; ++i) log << "a local line\n" << std::flush;
  });
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(session.truncate(file, session.getattr(file)->attributes.size + 100).status,
              Status::kOk);
  }
  is_done = true;
  local.join();
  home->recount();
  home->wait_until_counted();
  EXPECT_EQ(home->usage(), home.counted());
}

TEST(Quota, IsKnownAtOnceAfterAnOrderlyStop) {
  TestHome home({.bytes_max = 10'000});
  {
    TestSession session(home);
    session.make_file(kRootNode, "f", pattern(1234));
    session.make_folder(kRootNode, "d");
  }
  home.restart(/*is_clean=*/true);
  EXPECT_TRUE(home->is_usage_known());
  EXPECT_EQ(home->usage(), (Usage{.bytes = 1234, .files = 2}));
}

TEST(Quota, IsCountedAgainAfterAKill) {
  TestHome home({.bytes_max = 10'000});
  {
    TestSession session(home);
    const NodeId file = session.make_file(kRootNode, "f", pattern(1234));
    session.link(file, kRootNode, "again");
    session.unlink(kRootNode, "again", /*keep=*/true);
    session.make_file(session.make_folder(kRootNode, "d"), "g", pattern(1000));
  }
  home.restart(/*is_clean=*/false);
  home->wait_until_usage_known();
  EXPECT_EQ(home->usage(), (Usage{.bytes = 2234, .files = 3}));
  TestSession session(home);
  EXPECT_EQ(session.write(session.find(kRootNode, "f"), 0, pattern(9001)).status,
            Status::kOverQuota);
}

// Its folder was replaced meanwhile: sessions of before keep the home.
TEST(Quota, ACountThatIsStoppedLeavesNobodyWaiting) {
  EXPECT_EXIT(
      {
        ::alarm(20);
        TestHome home({.bytes_max = kMiB});
        for (int i = 0; i < 3000; ++i) std::ofstream(home.root() / std::to_string(i)) << "x";
        home.restart(/*is_clean=*/false);
        TestSession session(home);
        home->stop();  // as HomeRegistry::let_go() does
        const bool is_known = home->is_usage_known();
        const Status made = session.create(kRootNode, "f", TestSession::next_node()).status;
        std::_Exit(made == (is_known ? Status::kOk : Status::kIoError) ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Quota, ARecountIsExactWhileTheHomeIsUsed) {
  TestHome home;
  TestSession session(home);
  std::vector<NodeId> folders{kRootNode};
  for (int i = 0; i < 60; ++i) {
    folders.push_back(session.make_folder(folders[i / 3], "d" + std::to_string(i)));
    for (int k = 0; k < 20; ++k) {
      session.make_file(folders.back(), std::to_string(k), pattern(k + 1));
    }
  }
  unsigned state = 7;
  const auto random = [&](unsigned below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
  };
  for (int round = 0; round < 30; ++round) {
    home->recount();
    for (int i = 0; i < 300; ++i) {
      const NodeId from = folders[random(folders.size())];
      const NodeId to = folders[random(folders.size())];
      const std::string name = std::to_string(random(20));
      const NodeId node = session.next_node();
      switch (random(6)) {
        case 0:
          session.rename(from, name, to, std::to_string(random(20)));
          break;
        case 1:
          session.rename(from, "d" + std::to_string(random(60)), to,
                         "d" + std::to_string(random(60)));
          break;
        case 2:
          if (session.lookup(from, name, node).is_ok()) session.link(node, to, name);
          break;
        case 3:
          session.unlink(from, name, random(2) == 0);
          break;
        case 4:
          session.create(to, name, node);
          [[fallthrough]];
        default:
          if (session.lookup(from, name, node).is_ok()) session.write(node, random(5000), "data");
      }
      session.forget({node});
    }
    home->wait_until_counted();
    ASSERT_EQ(home->usage(), home.counted()) << "round " << round;
  }
}

TEST(Quota, ARecountFindsWhatOthersHaveAddedAndNothingWaitsForIt) {
  TestHome home({.bytes_max = 1000});
  TestSession session(home);
  home->wait_until_usage_known();
  const NodeId file = session.make_file(kRootNode, "f", pattern(100));
  std::ofstream(home.root() / "restored") << pattern(500);
  EXPECT_EQ(home->usage().bytes, 100u);
  home->recount();
  EXPECT_TRUE(home->is_usage_known());
  EXPECT_EQ(session.write(file, 100, pattern(10)).status, Status::kOk);
  home->wait_until_counted();
  EXPECT_EQ(home->usage(), (Usage{.bytes = 610, .files = 2}));
  EXPECT_EQ(session.write(file, 110, pattern(391)).status, Status::kOverQuota);
  session.unlink(kRootNode, "restored");
  EXPECT_EQ(home->usage(), (Usage{.bytes = 110, .files = 1}));
}

TEST(Quota, ARecountIsExactThoughWritersBeganBeforeIt) {
  TestHome home({.bytes_max = 1'000'000'000});
  std::atomic<bool> is_done{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      TestSession session(home);
      const NodeId file = session.make_file(kRootNode, std::to_string(t));
      for (unsigned i = 0; !is_done; ++i) {
        session.truncate(file, i * 7919 % 100'000);
        session.write(file, i * 104'729 % 200'000, pattern(10'000));
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    home->recount();
    home->wait_until_counted();
  }
  is_done = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(home->usage(), home.counted());
}

TEST(Quota, WhatAWriteWasPromisedNothingElseTakes) {
  TestHome home({.bytes_max = 70 * kMiB});
  TestSession session(home);
  home->wait_until_usage_known();
  session->set_shared(false);
  EXPECT_EQ(session->grant_state().granted, 64 * kMiB);
  const NodeId file = session.make_file(kRootNode, "f");
  // As a client that has accepted 43 MiB of writes, and offers what is left of the grant.
  const auto cut = session.setattr(
      {.node = file, .which = kSetSize, .size = 30 * kMiB, .from_grant = 21 * kMiB});
  EXPECT_EQ(cut.status, Status::kOverQuota);
  const auto less = session.setattr(
      {.node = file, .which = kSetSize, .size = 27 * kMiB, .from_grant = 21 * kMiB});
  EXPECT_EQ(less.status, Status::kOk);
  EXPECT_EQ(less->grant.granted, 43 * kMiB);
}

TEST(Quota, AGrantThatALowerLimitDoesNotCoverIsTakenBackButNotWhatWasPromised) {
  TestHome home({.bytes_max = 100 * kMiB});
  TestSession session(home);
  home->wait_until_usage_known();
  session->set_shared(false);
  const NodeId file = session.make_file(kRootNode, "f", pattern(kMiB));
  EXPECT_EQ(session->grant_state().granted, 64 * kMiB);
  home->set_limits(1000, 0);
  EXPECT_EQ(session->grant_state().granted, 0u) << "nothing new is promised";
  const auto write = [&](std::uint64_t from_grant) {
    const std::uint64_t size = session.getattr(file)->attributes.size;
    return session
        .setattr({.node = file, .which = kSetSize, .size = size + 100, .from_grant = from_grant})
        .status;
  };
  EXPECT_EQ(write(0), Status::kOverQuota);
  EXPECT_EQ(write(100), Status::kOk) << "a program was told that it is written";
  home->set_limits(100 * kMiB, 0);
  EXPECT_EQ(session->grant_state().granted, 64 * kMiB);
}

TEST(Quota, ALimitTakesTheGrantsOfSessionsThatShareAnUnlimitedHome) {
  TestHome home;
  TestSession one(home);
  TestSession two(home);
  home->wait_until_usage_known();
  EXPECT_EQ(one->grant_state().granted, Quota::kGrantBytesMax);
  home->set_limits(1000, 0);
  EXPECT_EQ(one->grant_state().granted, 0u);
  const NodeId file = two.make_file(kRootNode, "f");
  EXPECT_EQ(two.write(file, 0, pattern(1000)).status, Status::kOk);
  EXPECT_EQ(one.write(one.find(kRootNode, "f"), 1000, "x").status, Status::kOverQuota);
}

TEST(Quota, ReadingNeverWaitsForARecountAndGrowthDoes) {
  TestHome home({.bytes_max = 1 << 20});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f", "data");
  home->quota().begin_count({});  // a count that does not end by itself
  EXPECT_EQ(session.read(file, 0, 10).payload, "data");
  EXPECT_EQ(session.write(file, 0, "DATA").status, Status::kOk);
  std::atomic<bool> is_written{false};
  std::thread writer([&] {
    EXPECT_EQ(session.write(file, 4, "more").status, Status::kOk);
    is_written = true;
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(is_written);
    std::this_thread::yield();
  }
  home->quota().set_known({.bytes = 4, .files = 1});
  writer.join();
  EXPECT_EQ(home->usage().bytes, 8u);
}

}  // namespace
}  // namespace homefs
