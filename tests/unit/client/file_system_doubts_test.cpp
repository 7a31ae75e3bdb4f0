// What of the caches is dropped when the server contradicts them, when a change has failed, and
// when others have changed the home beside the server.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;
using test::Notice;

constexpr InodeNumber kRoot{CoreRig::kRootInode};

Attributes root_of(std::uint64_t order) {
  return AttributesOf{.inode = CoreRig::kRootInode, .mode = S_IFDIR | 0755, .order = order};
}

class Doubts : public ::testing::Test {
 protected:
  // The root is listed and empty: what it does not name is not there.
  void list_nothing() {
    const auto opened = rig_.start(rig_.files().open_folder(kRootNode));
    rig_.answer_list(rig_.link().find(Op::kList), root_of(1), {});
    ASSERT_TRUE(opened->is_done());
    rig_.files().release_folder((**opened)->handle);
    ASSERT_TRUE(is_answered_here("a"));
  }
  bool is_answered_here(const std::string& name) {
    const bool is_done = rig_.start(rig_.files().lookup(kRootNode, name))->is_done();
    if (!is_done) rig_.link().refuse(last_request(), Status::kNoSuchFile);
    return is_done;
  }
  FakeLink::Request last_request() { return rig_.link().under_way().back(); }

  CoreRig rig_;  // it has the home alone
};

TEST_F(Doubts, ANameThatIsThereAfterAll) {
  list_nothing();
  const auto made =
      rig_.start(rig_.files().make({.parent = kRootNode, .name = "a", .mode = S_IFDIR | 0755}));
  rig_.link().refuse(rig_.link().find(Op::kMkdir), Status::kExists);
  ASSERT_TRUE(made->is_done());
  EXPECT_FALSE(is_answered_here("a"));
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kEntry, kRootNode, "a"}));
}

TEST_F(Doubts, AFolderThatIsNotEmptyThoughNothingIsKnownInIt) {
  const NodeId folder = rig_.look_up(
      kRootNode, "d", AttributesOf{.inode = 7, .mode = S_IFDIR | 0755, .order = 2, .links = 2});
  const auto opened = rig_.start(rig_.files().open_folder(folder));
  rig_.answer_list(rig_.link().find(Op::kList),
                   AttributesOf{.inode = 7, .mode = S_IFDIR | 0755, .order = 3, .links = 2}, {});
  ASSERT_TRUE(opened->is_done());
  rig_.files().release_folder((**opened)->handle);
  const auto removed = rig_.start(rig_.files().remove(kRootNode, "d", true));
  rig_.link().refuse(rig_.link().find(Op::kRmdir), Status::kNotEmpty);
  ASSERT_TRUE(removed->is_done());
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kData, folder, ""}));
  const int lists = rig_.link().sent_count(Op::kList);
  const auto again = rig_.start(rig_.files().open_folder(folder));
  EXPECT_FALSE(again->is_done());
  EXPECT_EQ(rig_.link().sent_count(Op::kList), lists + 1);
}

TEST_F(Doubts, WhatAFailedTruncationHasLeft) {
  const NodeId file = rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 5, .order = 2});
  const auto cut =
      rig_.start(rig_.files().setattr({.node = file, .which = kSetSize, .size = 1'000'000}));
  rig_.link().refuse(rig_.link().find(Op::kSetattr), Status::kNoSpace);
  ASSERT_TRUE(cut->is_done());
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kData, file, ""}));
  EXPECT_FALSE(rig_.start(rig_.files().getattr(file))->is_done()) << "the server has to be asked";
}

TEST_F(Doubts, NamesThatOthersChangeBesideTheServerAreToldToTheKernelOfASoleMountToo) {
  list_nothing();
  rig_.link().changed({{.inode = kRoot, .name = "a", .target = InodeNumber{9}}}, 20);
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kEntry, kRootNode, "a"}));
  EXPECT_FALSE(is_answered_here("a"));
}

TEST_F(Doubts, AFolderOfWhichAnythingMayHaveChanged) {
  const NodeId file = rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 5, .order = 2});
  rig_.link().changed({{.inode = kRoot, .name = {}, .has_data = true}}, 20);
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kEntry, kRootNode, "f"}));
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kData, file, ""}));
  EXPECT_FALSE(rig_.start(rig_.files().getattr(file))->is_done());
}

TEST_F(Doubts, AHomeOfWhichAnythingMayHaveChanged) {
  const NodeId file = rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 5, .order = 2});
  const auto acknowledged = rig_.link().changed({{.inode = {}, .name = {}}}, 20);
  EXPECT_TRUE(acknowledged->is_there());
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kAllEntries, NodeId{}, ""}));
  EXPECT_FALSE(rig_.start(rig_.files().getattr(file))->is_done());
}

// Its attributes alone, which are asked for when it is opened, do not make a name true again.
TEST_F(Doubts, NamesWhereAnythingMayHaveChanged) {
  const NodeId file = rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 5, .order = 2});
  std::uint64_t order = 20;
  const auto is_believed = [&] {
    const auto asked = rig_.start(rig_.files().getattr(file));
    rig_.answer_attributes(rig_.link().find(Op::kGetattr),
                           AttributesOf{.inode = 7, .size = 5, .order = order + 1});
    EXPECT_TRUE(asked->is_done());
    return is_answered_here("f");
  };
  rig_.link().break_control();
  rig_.link().reconnect({.are_caches_valid = false, .order = order});
  EXPECT_FALSE(is_believed()) << "events were missed";
  (void)rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 5, .order = 30});
  order = 40;
  (void)rig_.link().changed({{.inode = {}, .name = {}}}, order);
  EXPECT_FALSE(is_believed());
}

// Kernels before Linux 6.16 are told of each name alone, also of one that is not known any more.
TEST_F(Doubts, NamesThatTheKernelHasAreToldToIt) {
  (void)rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 2});
  std::vector<std::pair<NodeId, std::string>> names;
  rig_.notifier().listen([&](const Notice& notice) {
    if (notice.kind == Notice::Kind::kAllEntries) names = rig_.files().kernel_names();
  });
  (void)rig_.link().changed({{.inode = {}, .name = {}}}, 20);
  EXPECT_EQ(names, (std::vector<std::pair<NodeId, std::string>>{{kRootNode, "f"}}));
}

TEST(GrantAccountTest, OffersWhatNoProgramWasPromised) {
  GrantAccount account;
  account.update({.stamp = 1, .granted = 64});
  account.take(43);
  EXPECT_EQ(account.offer(30), 21u);
  EXPECT_FALSE(account.covers(1));
  EXPECT_EQ(account.offer(5), 0u);
  account.settle(21);
  EXPECT_TRUE(account.covers(21));
  account.update({.stamp = 2, .granted = 0});
  EXPECT_EQ(account.offer(1), 0u) << "the quota was lowered";
}

// A lookup is answered from before "anything may have changed".
void expect_that_the_answer_is_not_kept(CoreRig& rig, std::vector<Change> changes) {
  const auto old = rig.start(rig.files().lookup(kRootNode, "old"));
  const auto asked = rig.link().find(Op::kLookup);
  (void)rig.link().changed(std::move(changes), 20);
  rig.link().answer(asked, LookupReply{AttributesOf{.inode = 7, .order = 10}, ""});
  ASSERT_TRUE(old->is_done());
  // It was renamed by then: the new name is looked up.
  (void)rig.look_up(kRootNode, "new", AttributesOf{.inode = 7, .order = 30});
  const auto again = rig.start(rig.files().lookup(kRootNode, "old"));
  EXPECT_FALSE(again->is_done()) << "the server has to be asked";
}

TEST(DoubtsOnTheWay, ALookupThatALossOfEventsHasOvertakenIsNotKept) {
  CoreRig rig;
  expect_that_the_answer_is_not_kept(rig, {{.inode = {}, .name = {}}});
}

TEST(DoubtsOnTheWay, ALookupThatADoubtAboutItsFolderHasOvertakenIsNotKept) {
  CoreRig rig;
  expect_that_the_answer_is_not_kept(rig, {{.inode = kRoot, .name = {}, .has_data = true}});
}

// It is open, and the server has not heard of its number yet. The unlink(2) has passed the kernel's
// own lookup when anything in the folder may have changed.
TEST(DoubtsOnTheWay, AnOpenFileIsKeptThoughItsFolderIsInDoubtWhenItIsRemoved) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 3, .order = 10});
  (void)rig.open(file, O_RDONLY);
  (void)rig.link().changed({{.inode = kRoot, .name = {}, .has_data = true}}, 20);
  const auto removed = rig.start(rig.files().remove(kRootNode, "f", false));
  if (rig.link().has(Op::kLookup)) {
    rig.link().answer(rig.link().find(Op::kLookup),
                      LookupReply{AttributesOf{.inode = 7, .size = 3, .order = 30}, ""});
  }
  const auto request = rig.link().find(Op::kUnlink);
  const auto unlink = FakeLink::message<UnlinkRequest>(request);
  EXPECT_TRUE(unlink.keep);
  EXPECT_EQ(unlink.node, file);
  EXPECT_FALSE(request.introductions.empty()) << "the server does not know it, and keeps nothing";
}

// The names are void as it is; but the kernel holds on to a file as long as it has one of its
// names, and the server for us to a file that others have removed.
TEST(MissedEvents, LetTheKernelGiveUpEachFileWhenEventsWereMissed) {
  CoreRig rig({.is_shared = true});
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  const Attributes file = AttributesOf{.inode = 7, .order = 5, .links = 2};
  rig.answer_list(rig.link().find(Op::kList),
                  AttributesOf{.inode = CoreRig::kRootInode, .mode = S_IFDIR | 0755, .order = 10},
                  {{.name = "a", .attributes = file}, {.name = "b", .attributes = file}});
  ASSERT_TRUE(opened->is_done());
  for (const char* name : {"a", "b"}) (void)rig.look_up(kRootNode, name, file);
  rig.notifier().clear();
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 20});
  rig.notifier().deliver_all();
  EXPECT_TRUE(rig.notifier().was_told({test::Notice::Kind::kEntry, kRootNode, "a"}));
  EXPECT_TRUE(rig.notifier().was_told({test::Notice::Kind::kEntry, kRootNode, "b"}));
}

}  // namespace
}  // namespace homefs
