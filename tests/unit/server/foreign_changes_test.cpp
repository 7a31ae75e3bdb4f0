#include "server/foreign_changes.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

struct Kept {
  std::uint64_t state = 0;
  ForeignNotes notes{};
  ForeignChanges changes{state, notes};
};

constexpr InodeNumber kFile{7};

TEST(ForeignChanges, AreKnownOfEachInodeAndOfFewOthers) {
  Kept kept;
  EXPECT_FALSE(kept.changes.is_late());
  kept.changes.begin(1);
  EXPECT_TRUE(kept.changes.is_late());
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    kept.changes.note(InodeNumber{number}, 0);
  }
  int wrong = 0;
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    EXPECT_TRUE(kept.changes.concerns(InodeNumber{number}, 1));
    wrong += kept.changes.concerns(InodeNumber{1'000'000 + number}, 1) ? 1 : 0;
  }
  EXPECT_LT(wrong, 5);
  // Another run of the server finds the same.
  const ForeignChanges again(kept.state, kept.notes);
  EXPECT_TRUE(again.is_late());
  EXPECT_TRUE(again.concerns(kFile, 1));
}

TEST(ForeignChanges, ConcernWhatLiesBehindTheFirstOfThem) {
  Kept kept;
  kept.changes.begin(1);
  kept.changes.note(kFile, 1000);
  EXPECT_FALSE(kept.changes.concerns(kFile, 1000));
  EXPECT_TRUE(kept.changes.concerns(kFile, 1001));
  kept.changes.note(kFile, 2000);
  EXPECT_FALSE(kept.changes.concerns(kFile, 1000));
  kept.changes.note(kFile, 10);
  EXPECT_TRUE(kept.changes.concerns(kFile, 11));
  // Never less than there is, however many share a place.
  for (std::uint64_t number = 100; number < 2000; ++number) {
    kept.changes.note(InodeNumber{number}, number);
  }
  for (std::uint64_t number = 100; number < 2000; ++number) {
    EXPECT_TRUE(kept.changes.concerns(InodeNumber{number}, number + 1));
  }
}

TEST(ForeignChanges, AreForgottenOnlyWhenTheSessionHasObeyed) {
  Kept kept;
  kept.changes.begin(1);
  kept.changes.be_sole();
  EXPECT_FALSE(kept.changes.is_late()) << "nobody has changed anything";
  kept.changes.begin(2);
  kept.changes.note(kFile, 0);
  kept.changes.be_sole();
  EXPECT_TRUE(kept.changes.is_late());
  kept.changes.obey();
  EXPECT_FALSE(kept.changes.is_late());
  kept.changes.begin(3);
  EXPECT_FALSE(kept.changes.is_late()) << "it answers nothing early";
  kept.changes.be_sole();
  kept.changes.begin(4);
  EXPECT_TRUE(kept.changes.is_late());
  EXPECT_FALSE(kept.changes.concerns(kFile, 1)) << "those of the last time";
}

TEST(ForeignChanges, KnowWhichPagesAreFromBefore) {
  Kept kept;
  kept.changes.begin(100);
  EXPECT_TRUE(kept.changes.is_from_before(99));
  EXPECT_FALSE(kept.changes.is_from_before(100));
  EXPECT_TRUE(kept.changes.is_from_before(UINT64_MAX)) << "the client does not know";
  EXPECT_TRUE(ForeignChanges(kept.state, kept.notes).is_from_before(5000))
      << "orders of another run";
}

TEST(LateSessions, HearOfWhatOthersChangeAndNotOfTheirOwn) {
  Kept one;
  Kept other;
  Kept sole;
  LateSessions late;
  late.note(InodeNumber{1}, 0, nullptr);
  one.changes.begin(1);
  other.changes.begin(1);
  late.add({std::shared_ptr<void>(), &one.changes});
  late.add({std::shared_ptr<void>(), &other.changes});
  late.add({std::shared_ptr<void>(), &sole.changes});
  late.note(InodeNumber{2}, 0, &one.changes);
  late.note(InodeNumber{3}, 0, nullptr);
  late.remove(other.changes);
  late.note(InodeNumber{4}, 0, nullptr);
  EXPECT_FALSE(one.changes.concerns(InodeNumber{1}, 1));
  EXPECT_FALSE(one.changes.concerns(InodeNumber{2}, 1));
  EXPECT_TRUE(one.changes.concerns(InodeNumber{3}, 1));
  EXPECT_TRUE(one.changes.concerns(InodeNumber{4}, 1));
  EXPECT_TRUE(other.changes.concerns(InodeNumber{2}, 1));
  EXPECT_FALSE(other.changes.concerns(InodeNumber{4}, 1));
  EXPECT_FALSE(sole.changes.concerns(InodeNumber{3}, 1)) << "it is not late";
}

}  // namespace
}  // namespace homefs
