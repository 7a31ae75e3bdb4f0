// Locks as sessions of a home ask for them, by messages.
#include <gtest/gtest.h>

#include "server/home_locks.h"
#include "tests/support/server/test_home.h"

namespace homefs::test {
namespace {

LockRequest request(NodeId node, LockType type, std::uint64_t owner, std::uint64_t id = 0) {
  return {
      .node = node, .type = type, .waits = id != 0, .owner = owner, .end = kLockEndMax, .id = id};
}

TEST(LockSession, IsToldOfTheLockThatItHasWaitedFor) {
  TestHome home;
  TestSession one(home);
  TestSession two(home);
  std::vector<std::uint64_t> granted;
  two->listen_for_locks([&](std::uint64_t id) { granted.push_back(id); });
  const NodeId node = one.make_file(kRootNode, "f");
  const NodeId same = two.find(kRootNode, "f");
  EXPECT_TRUE(one.call<LockReply>(Op::kLock, request(node, LockType::kExclusive, 1))->is_granted);
  EXPECT_EQ(two.call<LockReply>(Op::kLock, request(same, LockType::kShared, 1)).status,
            Status::kWouldBlock);
  const auto queued = two.call<LockReply>(Op::kLock, request(same, LockType::kShared, 1, 5));
  ASSERT_TRUE(queued.is_ok());
  EXPECT_FALSE(queued.message.is_granted);
  EXPECT_TRUE(one.call<LockReply>(Op::kLock, request(node, LockType::kNone, 1))->is_granted);
  EXPECT_EQ(granted, std::vector<std::uint64_t>{5});
}

TEST(LockSession, TellsThePidOfAHolderInTheSameSessionOnly) {
  TestHome home;
  TestSession one(home);
  TestSession two(home);
  const NodeId node = one.make_file(kRootNode, "f");
  LockRequest lock{
      .node = node, .type = LockType::kExclusive, .owner = 1, .begin = 10, .end = 20, .pid = 4711};
  EXPECT_TRUE(one.call<LockReply>(Op::kLock, lock)->is_granted);
  TestLockRequest test{.node = node, .type = LockType::kShared, .owner = 2, .end = kLockEndMax};
  EXPECT_EQ(one.call<TestLockReply>(Op::kTestLock, test)->holder,
            (LockHolder{LockType::kExclusive, 10, 20, 4711}));
  test.owner = 1;
  EXPECT_FALSE(one.call<TestLockReply>(Op::kTestLock, test)->holder);
  test.node = two.find(kRootNode, "f");
  EXPECT_EQ(two.call<TestLockReply>(Op::kTestLock, test)->holder,
            (LockHolder{LockType::kExclusive, 10, 20, 0}));
}

TEST(LockSession, RefusesRangesThatAreNone) {
  TestHome home;
  TestSession session(home);
  const NodeId node = session.make_file(kRootNode, "f");
  LockRequest lock{.node = node, .begin = 5, .end = 5};
  const auto status_of = [&] { return session.call<LockReply>(Op::kLock, lock).status; };
  EXPECT_EQ(status_of(), Status::kInvalid);
  lock.end = kLockEndMax + 1;
  EXPECT_EQ(status_of(), Status::kInvalid);
  lock.end = 6;
  EXPECT_EQ(status_of(), Status::kOk);
  lock.waits = true;  // without an id
  EXPECT_EQ(status_of(), Status::kInvalid);
  lock = {.node = node, .kind = LockKind::kWhole, .begin = 0, .end = 100};
  EXPECT_EQ(status_of(), Status::kInvalid);
  lock = {.node = NodeId{99999}, .end = 1};
  EXPECT_EQ(status_of(), Status::kStale);
}

TEST(LockSession, GivesItsLocksFreeWhenItEnds) {
  TestHome home;
  std::optional<TestSession> one(std::in_place, home);
  TestSession two(home);
  const NodeId node = one->make_file(kRootNode, "f");
  const NodeId same = two.find(kRootNode, "f");
  EXPECT_TRUE(one->call<LockReply>(Op::kLock, request(node, LockType::kExclusive, 1))->is_granted);
  EXPECT_EQ(two.call<LockReply>(Op::kLock, request(same, LockType::kShared, 1)).status,
            Status::kWouldBlock);
  one.reset();
  EXPECT_TRUE(two.call<LockReply>(Op::kLock, request(same, LockType::kShared, 1))->is_granted);
}

TEST(LockSession, FindsTheLocksThatWereReservedForIt) {
  SessionId id{};
  id[0] = std::byte{1};
  SessionId other{};
  other[0] = std::byte{2};
  HomeLocks locks;
  const LockedFile file{InodeNumber{7}, LockKind::kRecord};
  const std::vector<SavedLock> saved = {{file, LockType::kExclusive, 1, {0, 10}, 0}};
  locks.reserve(id, saved);
  locks.reserve(id, saved);
  const auto wish = [&](std::uint64_t session) {
    return LockWish{
        .file = file, .type = LockType::kExclusive, .owner = {session, 1}, .range = {0, 10}};
  };
  const std::uint64_t stranger = locks.join(other);
  EXPECT_EQ(locks.set(wish(stranger)), LockOutcome::kWouldBlock);
  const std::uint64_t back = locks.join(id);
  EXPECT_EQ(locks.locks_of(back), saved);
  EXPECT_EQ(locks.set(wish(back)), LockOutcome::kGranted);
  locks.drop_reserved(id);  // it is there
  EXPECT_EQ(locks.set(wish(stranger)), LockOutcome::kWouldBlock);
  locks.leave(back);
  EXPECT_EQ(locks.set(wish(stranger)), LockOutcome::kGranted);
  EXPECT_EQ(locks.set(wish(back)), LockOutcome::kNoLocks);
}

TEST(LockSession, WhichDoesNotComeBackKeepsNobodyOut) {
  SessionId id{};
  id[0] = std::byte{1};
  HomeLocks locks;
  const LockedFile file{InodeNumber{7}, LockKind::kWhole};
  locks.reserve(id, {{file, LockType::kExclusive, 1, {}, 0}});
  const std::uint64_t session = locks.join({});
  std::vector<std::uint64_t> granted;
  locks.listen(session, [&](std::uint64_t which) { granted.push_back(which); });
  EXPECT_EQ(locks.set({.file = file, .waits = true, .owner = {session, 1}, .id = 3}),
            LockOutcome::kQueued);
  locks.drop_reserved(id);
  EXPECT_EQ(granted, std::vector<std::uint64_t>{3});
}

}  // namespace
}  // namespace homefs::test
