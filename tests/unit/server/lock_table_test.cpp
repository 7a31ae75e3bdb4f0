#include "server/lock_table.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

constexpr LockedFile kFile{InodeNumber{10}, LockKind::kRecord};
constexpr LockedFile kOther{InodeNumber{11}, LockKind::kRecord};
constexpr LockedFile kWhole{InodeNumber{10}, LockKind::kWhole};

// A table, and short ways to ask it. Owner n is owner n of session n.
class LockTableTest : public ::testing::Test {
 protected:
  LockOutcome set(LockWish wish) {
    grants_.clear();
    return table_.set(wish, grants_);
  }
  static LockWish wish(std::uint64_t owner, LockType type, LockRange range = {},
                       LockedFile file = kFile) {
    return {.file = file, .type = type, .owner = {owner, owner}, .range = range};
  }
  static LockWish waiting(std::uint64_t owner, std::uint64_t id, LockType type,
                          LockRange range = {}, LockedFile file = kFile) {
    LockWish made = wish(owner, type, range, file);
    made.waits = true;
    made.id = id;
    return made;
  }
  LockOutcome unlock(std::uint64_t owner, LockRange range = {}, LockedFile file = kFile) {
    return set(wish(owner, LockType::kNone, range, file));
  }
  void cancel(std::uint64_t owner, std::uint64_t id) {
    grants_.clear();
    table_.cancel(owner, id, grants_);
  }
  bool may(std::uint64_t owner, LockType type, LockRange range = {}, LockedFile file = kFile) {
    return !table_.find_conflict(wish(owner, type, range, file));
  }

  LockTable table_;
  LockGrants grants_;
};

using enum LockOutcome;
constexpr LockType kShared = LockType::kShared;
constexpr LockType kExclusive = LockType::kExclusive;

TEST_F(LockTableTest, SharesWhatIsSharedAndNothingElse) {
  EXPECT_EQ(set(wish(1, kShared)), kGranted);
  EXPECT_EQ(set(wish(2, kShared)), kGranted);
  EXPECT_EQ(set(wish(3, kExclusive)), kWouldBlock);
  EXPECT_EQ(unlock(1), kGranted);
  EXPECT_EQ(set(wish(3, kExclusive)), kWouldBlock);
  EXPECT_EQ(unlock(2), kGranted);
  EXPECT_EQ(set(wish(3, kExclusive)), kGranted);
  EXPECT_EQ(set(wish(1, kShared)), kWouldBlock);
}

TEST_F(LockTableTest, TellsOwnersOfDifferentSessionsApart) {
  EXPECT_EQ(set({.file = kFile, .type = kExclusive, .owner = {1, 5}}), kGranted);
  EXPECT_EQ(set({.file = kFile, .type = kExclusive, .owner = {2, 5}}), kWouldBlock);
  EXPECT_EQ(set({.file = kFile, .type = kExclusive, .owner = {1, 6}}), kWouldBlock);
  EXPECT_EQ(set({.file = kFile, .type = kExclusive, .owner = {1, 5}}), kGranted);
}

TEST_F(LockTableTest, SharesWithinASessionWhatIsSharedThereOnly) {
  const auto of = [](std::uint64_t session, std::uint64_t owner, LockType type) {
    return LockWish{.file = kFile, .type = type, .owner = {session, owner}};
  };
  EXPECT_EQ(set(of(1, 5, LockType::kSessionShared)), kGranted);
  EXPECT_EQ(set(of(1, 6, LockType::kSessionShared)), kGranted);
  EXPECT_EQ(set(of(1, 7, kShared)), kGranted);
  EXPECT_EQ(set(of(1, 8, kExclusive)), kWouldBlock);
  EXPECT_EQ(set(of(2, 5, LockType::kSessionShared)), kWouldBlock);
  EXPECT_EQ(set(of(2, 5, kShared)), kWouldBlock);
  EXPECT_EQ(set(of(1, 5, LockType::kNone)), kGranted);
  EXPECT_EQ(set(of(1, 6, LockType::kNone)), kGranted);
  EXPECT_EQ(set(of(2, 5, LockType::kSessionShared)), kWouldBlock) << "1 has a plain shared one";
  EXPECT_EQ(set(of(1, 7, LockType::kNone)), kGranted);
  EXPECT_EQ(set(of(2, 5, LockType::kSessionShared)), kGranted);
}

TEST_F(LockTableTest, KeepsTheTwoKindsApart) {
  EXPECT_EQ(set(wish(1, kExclusive, {}, kFile)), kGranted);
  EXPECT_EQ(set(wish(2, kExclusive, {}, kWhole)), kGranted);
}

TEST_F(LockTableTest, NamesTheConflictThatBeginsFirst) {
  LockWish later = wish(1, kExclusive, {50, 60});
  later.pid = 11;
  LockWish first = wish(2, kShared, {10, 20});
  first.pid = 12;
  EXPECT_EQ(set(later), kGranted);
  EXPECT_EQ(set(first), kGranted);
  const auto held = table_.find_conflict(wish(3, kExclusive));
  ASSERT_TRUE(held);
  EXPECT_EQ(*held, (HeldLock{{2, 2}, kShared, {10, 20}, 12}));
  EXPECT_FALSE(table_.find_conflict(wish(3, kShared, {0, 50})));
}

TEST_F(LockTableTest, CutsALockWhereItsMiddleIsCleared) {
  EXPECT_EQ(set(wish(1, kExclusive, {0, 100})), kGranted);
  EXPECT_EQ(unlock(1, {40, 60}), kGranted);
  EXPECT_FALSE(may(2, kShared, {39, 40}));
  EXPECT_TRUE(may(2, kExclusive, {40, 60}));
  EXPECT_FALSE(may(2, kShared, {60, 61}));
}

TEST_F(LockTableTest, GivesInTheOrderOfAsking) {
  EXPECT_EQ(set(wish(1, kShared)), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kExclusive)), kQueued);
  // Compatible with what is held, but 2 was first and would never get its turn.
  EXPECT_EQ(set(waiting(3, 30, kShared)), kQueued);
  EXPECT_EQ(unlock(1), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{2, 20}}));
  EXPECT_EQ(unlock(2), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{3, 30}}));
}

TEST_F(LockTableTest, GivesAllThatCanBeHadAtOnce) {
  EXPECT_EQ(set(wish(1, kExclusive)), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kShared)), kQueued);
  EXPECT_EQ(set(waiting(3, 30, kShared)), kQueued);
  EXPECT_EQ(set(waiting(4, 40, kExclusive, {0, 5})), kQueued);
  // 1 is content with less.
  EXPECT_EQ(set(wish(1, kShared)), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{2, 20}, {3, 30}}));
}

TEST_F(LockTableTest, LetsWhoHoldsSomethingPassThoseWhoOnlyWait) {
  EXPECT_EQ(set(wish(1, kShared, {0, 10})), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kExclusive, {0, 20})), kQueued);
  // Behind 2, which waits for 1, it would wait for itself.
  EXPECT_EQ(set(waiting(1, 10, kShared, {0, 20})), kGranted);
}

TEST_F(LockTableTest, SeesTwoThatWouldWaitForEachOther) {
  EXPECT_EQ(set(wish(1, kExclusive, {0, 1})), kGranted);
  EXPECT_EQ(set(wish(2, kExclusive, {1, 2})), kGranted);
  EXPECT_EQ(set(waiting(1, 10, kExclusive, {1, 2})), kQueued);
  EXPECT_EQ(set(waiting(2, 20, kExclusive, {0, 1})), kDeadlock);
  // 1 still has its place.
  EXPECT_EQ(unlock(2, {1, 2}), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{1, 10}}));
}

TEST_F(LockTableTest, SeesACircleOverSeveralFilesAndOwners) {
  for (std::uint64_t owner = 1; owner <= 3; ++owner) {
    const LockedFile own{InodeNumber{owner}, LockKind::kRecord};
    EXPECT_EQ(set(wish(owner, kExclusive, {}, own)), kGranted);
  }
  const auto of = [](std::uint64_t n) { return LockedFile{InodeNumber{n}, LockKind::kRecord}; };
  EXPECT_EQ(set(waiting(1, 10, kShared, {}, of(2))), kQueued);
  EXPECT_EQ(set(waiting(2, 20, kShared, {}, of(3))), kQueued);
  EXPECT_EQ(set(waiting(3, 30, kShared, {}, of(1))), kDeadlock);
  EXPECT_EQ(set(waiting(4, 40, kShared, {}, of(1))), kQueued);
}

TEST_F(LockTableTest, SeesTwoThatBothWantMoreOfWhatTheyShare) {
  EXPECT_EQ(set(wish(1, kShared)), kGranted);
  EXPECT_EQ(set(wish(2, kShared)), kGranted);
  EXPECT_EQ(set(waiting(1, 10, kExclusive)), kQueued);
  EXPECT_EQ(set(waiting(2, 20, kExclusive)), kDeadlock);
}

TEST_F(LockTableTest, ConvertsAWholeLockByGivingItUpFirst) {
  EXPECT_EQ(set(wish(1, kShared, {}, kWhole)), kGranted);
  EXPECT_EQ(set(wish(2, kShared, {}, kWhole)), kGranted);
  EXPECT_EQ(set(waiting(1, 10, kExclusive, {}, kWhole)), kQueued);
  // Had 1 kept its own, the two would wait for each other for ever.
  EXPECT_EQ(set(waiting(2, 20, kExclusive, {}, kWhole)), kGranted);
  EXPECT_EQ(unlock(2, {}, kWhole), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{1, 10}}));
}

TEST_F(LockTableTest, LosesAWholeLockThatCannotBeConverted) {
  EXPECT_EQ(set(wish(1, kShared, {}, kWhole)), kGranted);
  EXPECT_EQ(set(wish(2, kShared, {}, kWhole)), kGranted);
  EXPECT_EQ(set(wish(1, kExclusive, {}, kWhole)), kWouldBlock);
  EXPECT_EQ(set(wish(2, kExclusive, {}, kWhole)), kGranted);
}

TEST_F(LockTableTest, KeepsThePlaceOfARequestThatIsMadeAgain) {
  EXPECT_EQ(set(wish(1, kExclusive)), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kExclusive)), kQueued);
  EXPECT_EQ(set(waiting(3, 30, kExclusive)), kQueued);
  EXPECT_EQ(set(waiting(2, 20, kExclusive)), kQueued);
  EXPECT_EQ(unlock(1), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{2, 20}}));
  // The client has missed it.
  EXPECT_EQ(set(waiting(2, 20, kExclusive)), kGranted);
  EXPECT_TRUE(grants_.empty());
}

TEST_F(LockTableTest, CancelsAQueuedRequest) {
  EXPECT_EQ(set(wish(1, kShared)), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kExclusive)), kQueued);
  EXPECT_EQ(set(waiting(3, 30, kShared)), kQueued);
  cancel(3, 20);  // another session's
  EXPECT_TRUE(grants_.empty());
  cancel(2, 20);
  EXPECT_EQ(grants_, (LockGrants{{3, 30}}));
  EXPECT_EQ(unlock(1), kGranted);
  EXPECT_TRUE(grants_.empty());
}

TEST_F(LockTableTest, TakesAGrantBackThatCrossedItsCancellation) {
  EXPECT_EQ(set(wish(1, kExclusive, {0, 20})), kGranted);
  EXPECT_EQ(set(wish(2, kShared, {30, 40})), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kExclusive, {0, 50})), kQueued);
  EXPECT_EQ(unlock(1, {0, 20}), kGranted);
  EXPECT_EQ(grants_, (LockGrants{{2, 20}}));
  EXPECT_EQ(set(waiting(1, 10, kExclusive, {0, 20})), kQueued);
  cancel(2, 20);
  EXPECT_EQ(grants_, (LockGrants{{1, 10}}));
  // What it had before it has again.
  EXPECT_TRUE(may(3, kShared, {20, 50}));
  EXPECT_FALSE(may(3, kExclusive, {30, 40}));
  EXPECT_TRUE(may(3, kExclusive, {40, 50}));
}

TEST_F(LockTableTest, LeavesWhatWasChangedSinceAGrantThatIsCancelled) {
  EXPECT_EQ(set(waiting(1, 10, kExclusive, {0, 20})), kGranted);
  EXPECT_EQ(set(waiting(1, 11, kShared, {0, 10})), kGranted);
  cancel(1, 10);
  EXPECT_FALSE(may(2, kShared, {10, 20}));
  cancel(1, 11);
  EXPECT_FALSE(may(2, kShared, {0, 10}));
}

TEST_F(LockTableTest, TakesNothingBackThatOthersHaveGotSince) {
  EXPECT_EQ(set(wish(1, kExclusive, {0, 10})), kGranted);
  EXPECT_EQ(set(wish(1, kExclusive, {20, 30})), kGranted);
  EXPECT_EQ(set(waiting(1, 10, kShared, {0, 40})), kGranted);
  EXPECT_EQ(set(wish(2, kShared, {5, 15})), kGranted);
  cancel(1, 10);
  EXPECT_TRUE(may(3, kShared, {0, 20})) << "2 would be beside an exclusive one";
  EXPECT_FALSE(may(3, kExclusive, {0, 5})) << "1 keeps what it has there";
  EXPECT_TRUE(may(3, kExclusive, {15, 20})) << "1 had nothing there";
  EXPECT_FALSE(may(3, kShared, {20, 30})) << "1 has it again";
  EXPECT_TRUE(may(3, kExclusive, {30, 40}));
}

TEST_F(LockTableTest, GivesEverythingOfASessionThatIsOverFree) {
  EXPECT_EQ(set(wish(1, kExclusive)), kGranted);
  EXPECT_EQ(set(wish(1, kExclusive, {}, kOther)), kGranted);
  EXPECT_EQ(set(waiting(2, 20, kShared)), kQueued);
  EXPECT_EQ(set(waiting(3, 30, kShared, {}, kOther)), kQueued);
  grants_.clear();
  table_.drop_session(1, grants_);
  EXPECT_EQ(grants_, (LockGrants{{2, 20}, {3, 30}}));
  table_.drop_session(2, grants_);
  table_.drop_session(3, grants_);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(LockTableTest, TakesLocksUpAgain) {
  LockWish one = wish(1, kExclusive, {5, 10});
  one.pid = 77;
  EXPECT_EQ(set(one), kGranted);
  EXPECT_EQ(set(wish(1, kShared, {}, kWhole)), kGranted);
  const std::vector<SavedLock> saved = table_.locks_of(1);
  ASSERT_EQ(saved.size(), 2u);
  LockTable next;
  for (const SavedLock& lock : saved) next.restore(9, lock);
  EXPECT_EQ(next.locks_of(9), saved);
  EXPECT_EQ(next.find_conflict(wish(2, kShared))->pid, 77u);
}

TEST(LockTable, RefusesMoreThanASessionMayHold) {
  LockTable table(/*locks_max=*/3, /*waits_max=*/1);
  LockGrants grants;
  const auto set = [&](std::uint64_t session, LockType type, std::uint64_t begin, std::uint64_t end,
                       std::uint64_t id = 0) {
    return table.set({.file = kFile,
                      .type = type,
                      .waits = id != 0,
                      .owner = {session, 1},
                      .range = {begin, end},
                      .id = id},
                     grants);
  };
  EXPECT_EQ(set(1, kShared, 0, 1), kGranted);
  EXPECT_EQ(set(1, kShared, 10, 20), kGranted);
  EXPECT_EQ(set(1, kShared, 30, 40), kGranted);
  EXPECT_EQ(set(1, kShared, 50, 60), kNoLocks);
  EXPECT_EQ(set(1, LockType::kNone, 13, 15), kNoLocks);
  EXPECT_EQ(set(1, LockType::kNone, 18, 20), kGranted);
  EXPECT_EQ(set(1, kShared, 0, 40), kGranted);  // one instead of three
  EXPECT_EQ(set(2, kExclusive, 0, 1, 7), kQueued);
  EXPECT_EQ(set(2, kExclusive, 2, 3, 8), kNoLocks);
}

}  // namespace
}  // namespace homefs
