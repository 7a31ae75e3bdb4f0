#include "fusefs/unsynced_changes.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

constexpr InodeNumber kFile{7};
constexpr InodeNumber kOther{8};

TEST(UnsyncedChanges, AreLostUntilToldOf) {
  UnsyncedChanges changes;
  changes.changed(kFile);
  EXPECT_FALSE(changes.take_lost(kFile));
  EXPECT_EQ(changes.lose(), 1U);
  EXPECT_FALSE(changes.take_lost(kOther));
  EXPECT_TRUE(changes.is_lost(kFile));
  EXPECT_TRUE(changes.take_lost(kFile));
  EXPECT_FALSE(changes.take_lost(kFile)) << "it is told once";
}

TEST(UnsyncedChanges, AreNotLostWhenTheyWereSynced) {
  UnsyncedChanges changes;
  changes.changed(kFile);
  changes.changed(kOther);
  changes.synced(kFile, changes.last_change());
  EXPECT_EQ(changes.lose(), 1U);
  EXPECT_FALSE(changes.is_lost(kFile));
  EXPECT_TRUE(changes.is_lost(kOther));
}

TEST(UnsyncedChanges, MadeWhileASyncIsUnderWayAreNotCoveredByIt) {
  UnsyncedChanges changes;
  changes.changed(kFile);
  const std::uint64_t before = changes.last_change();
  changes.changed(kFile);
  changes.synced(kFile, before);
  EXPECT_EQ(changes.lose(), 1U);
}

TEST(UnsyncedChanges, StayLostOverASecondLoss) {
  UnsyncedChanges changes;
  changes.changed(kFile);
  (void)changes.lose();
  EXPECT_EQ(changes.lose(), 1U);
  EXPECT_TRUE(changes.take_lost(kFile));
}

TEST(UnsyncedChanges, KnowsTheLastOnesOfAnyNumber) {
  UnsyncedChanges changes;
  const std::uint64_t many = 3 * UnsyncedChanges::kChangedMax;
  for (std::uint64_t i = 1; i <= many; ++i) changes.changed(InodeNumber{i});
  EXPECT_LE(changes.lose(), 2 * UnsyncedChanges::kChangedMax);
  EXPECT_TRUE(changes.is_lost(InodeNumber{many}));
  EXPECT_TRUE(changes.is_lost(InodeNumber{many - UnsyncedChanges::kChangedMax + 1}));
  EXPECT_FALSE(changes.is_lost(InodeNumber{1}));
}

}  // namespace
}  // namespace homefs
