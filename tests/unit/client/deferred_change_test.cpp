#include "fusefs/deferred_change.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "tests/support/seed.h"

namespace homefs {
namespace {

SetattrRequest random_change(std::mt19937_64& random) {
  constexpr std::uint32_t kModes[] = {0644, 0600, 04755, 02755, 06711, 02644, 0};
  SetattrRequest change;
  change.which = static_cast<std::uint32_t>(random()) & kSetBitsAll & ~kSetSize;
  if ((change.which & kSetAtimeNow) != 0) change.which &= ~kSetAtime;
  if ((change.which & kSetMtimeNow) != 0) change.which &= ~kSetMtime;
  change.mode = kModes[random() % std::size(kModes)];
  change.uid = static_cast<std::uint32_t>(random() % 3);
  change.gid = static_cast<std::uint32_t>(random() % 3);
  change.atime = {.seconds = static_cast<std::int64_t>(random() % 1000), .nanoseconds = 1};
  change.mtime = {.seconds = static_cast<std::int64_t>(random() % 1000), .nanoseconds = 2};
  return change;
}

// What a file becomes when `changes` are made, each for itself.
Attributes one_by_one(Attributes file, const std::vector<SetattrRequest>& changes) {
  for (const SetattrRequest& change : changes) {
    DeferredChange one;
    one.join(change);
    one.apply_to(file);
  }
  return file;
}

// The times that are our clock's differ; that they are set does not.
Attributes without_clock(Attributes attributes) {
  for (Timestamp* time : {&attributes.atime, &attributes.mtime}) {
    if (time->seconds > 1000) *time = {.seconds = -1, .nanoseconds = 0};
  }
  attributes.ctime = {};
  return attributes;
}

TEST(DeferredChange, JoinsAnyChangesToWhatTheyMakeOneByOne) {
  std::mt19937_64 random(test::test_seed());
  for (int round = 0; round < 2000; ++round) {
    Attributes file;
    file.mode = S_IFREG | (random() % 2 == 0 ? 06777 : 0640);
    std::vector<SetattrRequest> changes(1 + random() % 4);
    for (SetattrRequest& change : changes) change = random_change(random);
    DeferredChange joined;
    for (const SetattrRequest& change : changes) joined.join(change);
    const auto sent = joined.begin_sending();
    ASSERT_TRUE(sent);
    Attributes made = file;
    joined.apply_to(made);
    ASSERT_EQ(without_clock(made), without_clock(one_by_one(file, changes))) << "round " << round;
    ASSERT_EQ(without_clock(one_by_one(file, {*sent})), without_clock(made));
  }
}

TEST(DeferredChange, SendsOneAtATimeAndWakesWhoWaits) {
  DeferredChange change;
  int woken = 0;
  DeferredChange::Wake wake = [&] { ++woken; };
  EXPECT_FALSE(change.is_pending());
  EXPECT_FALSE(change.begin_sending());
  EXPECT_FALSE(change.when_answered(wake));
  change.join({.which = kSetMode, .mode = 0600});
  EXPECT_FALSE(change.when_answered(wake));  // it is not under way
  ASSERT_TRUE(change.begin_sending());
  change.join({.which = kSetMode, .mode = 0644});
  EXPECT_FALSE(change.begin_sending());
  EXPECT_TRUE(change.when_answered(wake));
  Attributes file;
  file.mode = S_IFREG;
  change.apply_to(file);
  EXPECT_EQ(file.mode & 07777, 0644u);
  for (auto& each : change.finish()) each();
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(change.is_pending());
  EXPECT_EQ(change.begin_sending()->mode, 0644u);
  EXPECT_TRUE(change.finish().empty());
  EXPECT_FALSE(change.is_pending());
}

TEST(DeferredChange, LeavesChangesOfSizeAlone) {
  EXPECT_FALSE(DeferredChange::may_defer({.which = kSetSize}));
  EXPECT_FALSE(DeferredChange::may_defer({.which = kSetSize | kSetMtimeNow}));
  EXPECT_TRUE(DeferredChange::may_defer({.which = kSetMtimeNow}));
}

}  // namespace
}  // namespace homefs
