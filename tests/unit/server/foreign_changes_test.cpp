#include "server/foreign_changes.h"

#include <gtest/gtest.h>

#include "tests/support/server/test_home.h"

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
  late.note({.inode = InodeNumber{1}}, nullptr);
  one.changes.begin(1);
  other.changes.begin(1);
  late.add({std::shared_ptr<void>(), &one.changes});
  late.add({std::shared_ptr<void>(), &other.changes});
  late.add({std::shared_ptr<void>(), &sole.changes});
  late.note({.inode = InodeNumber{2}}, &one.changes);
  late.note({.inode = InodeNumber{3}}, nullptr);
  late.remove(other.changes);
  late.note({.inode = InodeNumber{4}}, nullptr);
  EXPECT_FALSE(one.changes.concerns(InodeNumber{1}, 1));
  EXPECT_FALSE(one.changes.concerns(InodeNumber{2}, 1));
  EXPECT_TRUE(one.changes.concerns(InodeNumber{3}, 1));
  EXPECT_TRUE(one.changes.concerns(InodeNumber{4}, 1));
  EXPECT_TRUE(other.changes.concerns(InodeNumber{2}, 1));
  EXPECT_FALSE(other.changes.concerns(InodeNumber{4}, 1));
  EXPECT_FALSE(sole.changes.concerns(InodeNumber{3}, 1)) << "it is not late";
}

TEST(LateSessions, HearNothingOfFilesThatTheyCannotKnow) {
  Kept late;
  Kept saved;  // it has not looked in this run of the server
  LateSessions sessions;
  for (Kept* session : {&late, &saved}) {
    session->changes.begin(10);
    sessions.add({std::shared_ptr<void>(), &session->changes});
  }
  late.changes.looked(12);
  late.changes.looked(11);
  constexpr InodeNumber kKnown{2};
  constexpr InodeNumber kNew{3};
  sessions.note({.inode = kFile}, nullptr);
  sessions.note({.inode = kKnown, .made_order = 12}, nullptr);
  sessions.note({.inode = kNew, .made_order = 13}, nullptr);
  EXPECT_TRUE(late.changes.concerns(kFile, 1));
  EXPECT_TRUE(late.changes.concerns(kKnown, 1));
  EXPECT_FALSE(late.changes.concerns(kNew, 1));
  EXPECT_TRUE(saved.changes.concerns(kFile, 1)) << "nobody knows when it was made";
  EXPECT_FALSE(saved.changes.concerns(kKnown, 1));
}

TEST(LateSessions, KnowANewFileWhenTheyHaveLookedAtIt) {
  test::TestHome home;
  test::TestSession session(home);
  test::TestSession other(home);
  Kept kept;
  session->keep_foreign_changes(kept.changes);
  session->begin_late();
  const NodeId theirs = other.make_file(kRootNode, "f", "new");
  const InodeNumber number = other.getattr(theirs)->attributes.inode;
  EXPECT_FALSE(kept.changes.concerns(number, 1));
  const NodeId known = session.find(kRootNode, "f");
  ASSERT_EQ(session.write(known, 0, "mine").status, Status::kOk);
  EXPECT_FALSE(kept.changes.concerns(number, 1)) << "its own change";
  ASSERT_EQ(other.write(theirs, 0, "theirs").status, Status::kOk);
  EXPECT_TRUE(kept.changes.concerns(number, 1));
}

}  // namespace
}  // namespace homefs
