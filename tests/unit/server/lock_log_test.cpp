#include "server/lock_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "server/session_store.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

constexpr std::uint64_t kSession = 5;

class LockLogTest : public testing::Test {
 protected:
  LockLogTest() { table_.set_journal(kSession, &log_); }

  LockOutcome set(std::uint64_t inode, LockType type, LockRange range, std::uint64_t owner = 1,
                  std::uint64_t session = kSession, std::uint64_t id = 0) {
    LockGrants grants;
    return table_.set({.file = {InodeNumber{inode}, LockKind::kRecord},
                       .type = type,
                       .waits = id != 0,
                       .owner = {session, owner},
                       .range = range,
                       .id = id},
                      grants);
  }

  /// What is left after a kill, with what can be cancelled.
  std::vector<SavedLock> all_kept() const {
    LockLog log(file_, record_);
    const auto locks = log.load();
    EXPECT_TRUE(locks) << locks.error().message();
    return locks ? *locks : std::vector<SavedLock>();
  }
  /// The locks alone.
  std::vector<SavedLock> kept() const {
    std::vector<SavedLock> locks = all_kept();
    std::erase_if(locks, [](const SavedLock& lock) { return lock.note != LockNote::kHeld; });
    return locks;
  }

  test::ScratchFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "locks";
  const std::filesystem::path record_ = folder_.path() / "session";
  LockLog log_{file_, record_};
  LockTable table_;
};

TEST_F(LockLogTest, HasNoFileWithoutLocks) {
  EXPECT_TRUE(kept().empty());
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(LockLogTest, KeepsWhatIsHeld) {
  set(7, LockType::kExclusive, {0, 100});
  set(7, LockType::kNone, {40, 50});
  set(7, LockType::kShared, {90, 120});
  set(8, LockType::kShared, {0, kLockEndMax}, 2);
  EXPECT_EQ(kept().size(), 4u);
  EXPECT_EQ(kept(), table_.locks_of(kSession));
}

TEST_F(LockLogTest, KeepsWhatIsGrantedLater) {
  set(7, LockType::kExclusive, {0, 100}, 1, /*session=*/6);
  EXPECT_EQ(set(7, LockType::kExclusive, {0, 10}, 1, kSession, /*id=*/9), LockOutcome::kQueued);
  EXPECT_TRUE(kept().empty());
  set(7, LockType::kNone, {0, 100}, 1, /*session=*/6);
  EXPECT_EQ(kept().size(), 1u);
}

TEST_F(LockLogTest, KeepsTheSameThroughAnyChangesAndKills) {
  std::mt19937 random(4711);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t begin = random() % 200;
    set(random() % 5, static_cast<LockType>(random() % 3), {begin, begin + 1 + random() % 50},
        random() % 3);
    if (i % 500 == 0) {
      ASSERT_EQ(kept(), table_.locks_of(kSession)) << i;
    }
  }
  EXPECT_LE(std::filesystem::file_size(file_), 256u * 1024) << "it is written anew";
}

TEST_F(LockLogTest, GoesOnAfterARestart) {
  set(7, LockType::kExclusive, {0, 100});
  LockLog next(file_, record_);
  const auto locks = next.load();
  ASSERT_TRUE(locks);
  LockTable table;
  for (const SavedLock& lock : *locks) table.restore(kSession, lock);
  table.set_journal(kSession, &next);
  LockGrants grants;
  table.set({.file = {InodeNumber{7}, LockKind::kRecord},
             .type = LockType::kNone,
             .owner = {kSession, 1},
             .range = {0, 50}},
            grants);
  EXPECT_EQ(kept(), table.locks_of(kSession));
}

TEST_F(LockLogTest, KeepsWhatCanBeCancelled) {
  set(7, LockType::kShared, {0, 100});
  set(7, LockType::kExclusive, {40, 60}, 1, kSession, /*id=*/9);
  EXPECT_EQ(all_kept(), table_.saved_locks_of(kSession));
  LockLog next(file_, record_);
  const auto locks = next.load();
  ASSERT_TRUE(locks);
  LockTable table;
  for (const SavedLock& lock : *locks) table.restore(kSession, lock);
  table.set_journal(kSession, &next);
  LockGrants grants;
  table.cancel(kSession, 9, grants);
  const std::vector<SavedLock> before{{.file = {InodeNumber{7}, LockKind::kRecord},
                                       .type = LockType::kShared,
                                       .owner = 1,
                                       .range = {0, 100}}};
  EXPECT_EQ(table.locks_of(kSession), before);
  EXPECT_EQ(all_kept(), before) << "it is cancelled once";
}

TEST_F(LockLogTest, ForgetsWhatCanBeCancelledWhenTheOwnerGoesOn) {
  set(7, LockType::kExclusive, {40, 60}, 1, kSession, /*id=*/9);
  set(7, LockType::kExclusive, {80, 90});
  EXPECT_EQ(all_kept().size(), 2u);
  EXPECT_EQ(all_kept(), kept());
}

TEST_F(LockLogTest, KnowsAFileFromALaterOneOfTheSameNumber) {
  LockGrants grants;
  LockWish wish{.file = {InodeNumber{7}, LockKind::kRecord, /*generation=*/1},
                .type = LockType::kExclusive,
                .owner = {kSession, 1}};
  EXPECT_EQ(table_.set(wish, grants), LockOutcome::kGranted);
  LockTable table;
  for (const SavedLock& lock : all_kept()) table.restore(kSession, lock);
  wish.owner.session = kSession + 1;
  EXPECT_EQ(table.set(wish, grants), LockOutcome::kWouldBlock);
  wish.file.generation = 2;
  EXPECT_EQ(table.set(wish, grants), LockOutcome::kGranted);
}

TEST_F(LockLogTest, StaysAsItIsWhenTheSessionLeaves) {
  set(7, LockType::kExclusive, {0, 100});
  LockGrants grants;
  table_.drop_session(kSession, grants);
  EXPECT_EQ(kept().size(), 1u) << "whoever ends the session removes the file";
  log_.remove();
  EXPECT_TRUE(kept().empty());
}

TEST_F(LockLogTest, IsRefusedWhenItIsDamaged) {
  set(7, LockType::kExclusive, {0, 100});
  std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(24 + 8);  // the owner in the first entry
  file.put('x').flush();
  LockLog log(file_, record_);
  EXPECT_FALSE(log.load());
}

TEST_F(LockLogTest, IsRefusedWhenTheDiskHadNoRoomForIt) {
  set(7, LockType::kExclusive, {0, 100});
  // What it is written anew to cannot be made.
  std::filesystem::create_directory(file_.string() + ".new");
  for (std::uint64_t i = 0; i < 2'000; ++i) set(7, LockType::kExclusive, {i, i + 1});
  LockLog log(file_, record_);
  EXPECT_FALSE(log.load());
}

TEST_F(LockLogTest, EndsTheSessionAtARestartWhenTheDiskHadNoRoomForItsFirstLock) {
  const std::filesystem::path sessions = folder_.path() / "sessions";
  const auto sessions_kept = [&] {
    auto store = SessionStore::open(sessions);
    EXPECT_TRUE(store) << store.error().message();
    const auto loaded = store ? store->load() : std::unexpected(store.error());
    EXPECT_TRUE(loaded) << loaded.error().message();
    return loaded ? loaded->size() : 0;
  };
  auto store = SessionStore::open(sessions);
  ASSERT_TRUE(store) << store.error().message();
  const auto record = store->make_record({.account = "alice"});
  ASSERT_TRUE(record) << record.error().message();
  const auto log = store->make_lock_log((*record)->identity().id);
  table_.set_journal(kSession, log.get());
  EXPECT_EQ(sessions_kept(), 1u);
  // The file cannot be made.
  const std::string name(2 * sizeof(SessionId), '0');
  std::filesystem::create_directory(sessions / (name + ".locks.new"));
  EXPECT_EQ(set(7, LockType::kExclusive, {0, 100}), LockOutcome::kGranted);
  EXPECT_EQ(sessions_kept(), 0u) << "it would be there without the lock, which others could get";
}

}  // namespace
}  // namespace homefs
