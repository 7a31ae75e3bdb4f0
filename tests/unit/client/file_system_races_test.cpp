// What overtakes what in the client core, step by step.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;
using test::RunningRef;

Attributes root_of(std::uint64_t order) {
  return AttributesOf{.inode = CoreRig::kRootInode, .mode = S_IFDIR | 0755, .order = order};
}

void expect_text(const RunningRef<Result<std::vector<Slice>>>& read, const std::string& text) {
  ASSERT_TRUE(read->is_done());
  ASSERT_TRUE(read->value->has_value());
  EXPECT_EQ(CoreRig::text(***read), text);
}

TEST(FileSystemRaces, AReadThatAnEventHasOvertakenIsMadeAgain) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 3, .order = 10});
  const std::uint64_t handle = rig.open(file, O_RDONLY);
  const auto read = rig.start(rig.files().read(handle, 0, 100));
  const auto asked = rig.link().find(Op::kRead);
  rig.link().changed({{.inode = InodeNumber{7}, .has_data = true}}, 20);
  rig.answer_read(asked, "old");
  EXPECT_FALSE(read->is_done());
  rig.answer_attributes(rig.link().find(Op::kGetattr),
                        AttributesOf{.inode = 7, .size = 3, .order = 21, .version = 2});
  rig.answer_read(rig.link().find(Op::kRead), "new");
  expect_text(read, "new");
}

TEST(FileSystemRaces, AChangeThatABreakHasLeftUnansweredIsSentAgainWithItsSeq) {
  CoreRig rig;
  const auto made =
      rig.start(rig.files().make({.parent = kRootNode, .name = "d", .mode = S_IFDIR | 0755}));
  const auto first = rig.link().find(Op::kMkdir);
  rig.link().break_control();
  rig.link().reconnect();
  const auto again = rig.link().find(Op::kMkdir);
  EXPECT_EQ(again.seq, first.seq);
  EXPECT_EQ(again.fields, first.fields);
  rig.answer_entry(again, AttributesOf{.inode = 8, .mode = S_IFDIR | 0755}, root_of(2));
  ASSERT_TRUE(made->is_done());
  EXPECT_TRUE(made->value->has_value());
}

// A reader that waits for a fetch is woken by the write that makes the fetch void. What it fetches
// then may be from before the write.
TEST(FileSystemRaces, NobodyReadsWhatWasFetchedWhileAWriteOfASharedHomeBegan) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 3, .order = 10});
  const std::uint64_t handle = rig.open(file, O_RDWR);
  const auto reader = rig.start(rig.files().read(handle, 0, 100));
  const auto before = rig.link().find(Op::kRead);
  const auto write =
      rig.start(rig.files().write({.node = file, .handle = handle}, CoreRig::slice("new")));
  rig.files().send_writes(file);
  const auto written = rig.link().find(Op::kWrite);
  rig.answer_read(before, "old");
  while (rig.link().has(Op::kRead)) rig.answer_read(rig.link().find(Op::kRead), "old");
  rig.answer_change(written, AttributesOf{.inode = 7, .size = 3, .order = 20, .version = 2});
  ASSERT_TRUE(write->is_done());
  const auto later = rig.start(rig.files().read(handle, 0, 100));
  while (rig.link().has(Op::kRead)) rig.answer_read(rig.link().find(Op::kRead), "new");
  expect_text(later, "new");
  EXPECT_TRUE(reader->is_done());
}

// The server answers a resent change with the reply of then.
TEST(FileSystemRaces, AReplyOfBeforeABreakIsNotTheNewestTruth) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 6, .order = 10});
  const auto chmod =
      rig.start(rig.files().setattr({.node = file, .which = kSetMode, .mode = 0600}));
  (void)rig.link().find(Op::kSetattr);
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 20});
  rig.answer_change(rig.link().find(Op::kSetattr),
                    AttributesOf{.inode = 7, .mode = S_IFREG | 0600, .size = 6, .order = 11});
  ASSERT_TRUE(chmod->is_done());
  const auto now = rig.start(rig.files().getattr(file));
  ASSERT_FALSE(now->is_done()) << "others may have changed it since";
  rig.answer_attributes(
      rig.link().find(Op::kGetattr),
      AttributesOf{.inode = 7, .mode = S_IFREG | 0600, .size = 38, .order = 30, .version = 3});
  ASSERT_TRUE(now->is_done() && now->value->has_value());
  EXPECT_EQ((**now)->attributes.size, 38u);
}

TEST(FileSystemRaces, AFolderWhoseReplyIsFromBeforeABreakIsNotKnownToBeEmpty) {
  CoreRig rig({.is_shared = true});
  const auto made =
      rig.start(rig.files().make({.parent = kRootNode, .name = "d", .mode = S_IFDIR | 0755}));
  (void)rig.link().find(Op::kMkdir);
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 20});
  rig.answer_entry(rig.link().find(Op::kMkdir),
                   AttributesOf{.inode = 8, .mode = S_IFDIR | 0755, .order = 11}, root_of(11));
  ASSERT_TRUE(made->is_done() && made->value->has_value());
  const auto found = rig.start(rig.files().lookup((**made)->node, "from-another-mount"));
  EXPECT_FALSE(found->is_done()) << "others may have put something in";
}

// The data of the opening before is in another place of the memory, and its fetch still under way.
TEST(FileSystemRaces, AFetchOfTheOpeningBeforeFillsNothingOfTheNext) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 3});
  const std::uint64_t first = rig.open(file, O_RDONLY);
  const auto interrupted = rig.start(rig.files().read(first, 0, 100));
  const auto late = rig.link().find(Op::kRead);
  rig.files().release(first);
  const std::uint64_t second = rig.open(file, O_RDONLY);
  const auto read = rig.start(rig.files().read(second, 0, 100));
  const auto fresh = rig.link().find(Op::kRead, 1);
  rig.answer_read(late, "old");
  rig.answer_read(fresh, "new");
  expect_text(read, "new");
  EXPECT_TRUE(interrupted->is_done());
}

TEST(FileSystemRaces, AListingUnderWayDoesNotBringARenamedNameBack) {
  CoreRig rig;
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  rig.answer_list(rig.link().find(Op::kList), root_of(1),
                  {{.name = "log", .attributes = AttributesOf{.inode = 7}, .target = ""}});
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  const auto renamed = rig.start(rig.files().rename(
      {.parent = kRootNode, .name = "log", .new_parent = kRootNode, .new_name = "log.1"}));
  rig.link().answer(rig.link().find(Op::kRename),
                    RenameReply{.attributes = AttributesOf{.inode = 7, .order = 5},
                                .parent = root_of(5),
                                .new_parent = root_of(5),
                                .other = {},
                                .grant = rig.grant()});
  ASSERT_TRUE(renamed->is_done() && renamed->value->has_value());
  int shown = 0;
  const auto show = [&](const SnapshotEntry& entry, const EntryOut& out, std::uint64_t) {
    if (entry.name == "log") {
      ++shown;
      EXPECT_EQ(out.node, kNoNode) << "the kernel would keep the old name";
    }
    return true;
  };
  ASSERT_TRUE(rig.files().read_folder((**opened)->handle, 0, /*with_lookup=*/true, show));
  EXPECT_EQ(shown, 1) << "names of a listing stay";
  rig.files().release_folder((**opened)->handle);
}

TEST(FileSystemRaces, AnEmptyListOfAttributesThatOneWasSetAfterIsNotKept) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "file", AttributesOf{.inode = 7});
  const auto listed = rig.start(rig.files().listxattr(file));
  const auto list = rig.link().find(Op::kListxattr);
  const auto set =
      rig.start(rig.files().setxattr(file, "user.tag", CoreRig::slice("v"), XattrMode::kSet));
  rig.answer_change(rig.link().find(Op::kSetxattr), AttributesOf{.inode = 7, .order = 5});
  ASSERT_TRUE(set->is_done());
  rig.link().answer(list, EmptyMessage{});
  ASSERT_TRUE(listed->is_done());
  const auto got = rig.start(rig.files().getxattr(file, "user.tag"));
  EXPECT_FALSE(got->is_done()) << "it is there";
}

// The answer to the lookup was not kept, since something else changed meanwhile.
TEST(FileSystemRaces, AnOpenFileWhoseNameIsNotCachedIsKeptWhenItIsRemoved) {
  CoreRig rig({.is_shared = true});
  const auto found = rig.start(rig.files().lookup(kRootNode, "file"));
  rig.link().changed({{.inode = InodeNumber{99}, .has_data = true}}, 20);
  const Attributes file = AttributesOf{.inode = 7, .size = 3, .order = 21};
  rig.link().answer(rig.link().find(Op::kLookup), LookupReply{file, ""});
  ASSERT_TRUE(found->is_done() && found->value->has_value());
  const auto opened = rig.start(rig.files().open((**found)->node, O_RDONLY));
  while (rig.link().has(Op::kGetattr)) rig.answer_attributes(rig.link().find(Op::kGetattr), file);
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  const auto removed = rig.start(rig.files().remove(kRootNode, "file", false));
  if (rig.link().has(Op::kLookup)) {
    rig.link().answer(rig.link().find(Op::kLookup), LookupReply{file, ""});
  }
  const auto unlink = FakeLink::message<UnlinkRequest>(rig.link().find(Op::kUnlink));
  EXPECT_TRUE(unlink.keep);
}

// The kernel looks its name up once more then.
TEST(FileSystemRaces, AFileThatTheServerDoesNotKnowAnyMoreIsNotOpened) {
  CoreRig rig({.is_shared = true});
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 10});
  const auto removed = rig.start(rig.files().remove(kRootNode, "f", false));
  const auto opened = rig.start(rig.files().open(file, O_RDONLY));
  while (rig.link().has(Op::kGetattr)) {
    rig.answer_attributes(rig.link().find(Op::kGetattr), AttributesOf{.inode = 7, .order = 10});
  }
  ASSERT_FALSE(opened->is_done()) << "it waits for the removal";
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 20});
  rig.link().refuse(rig.link().find(Op::kUnlink), Status::kNoSuchFile);
  ASSERT_TRUE(removed->is_done());
  while (rig.link().has(Op::kGetattr)) {
    rig.link().refuse(rig.link().find(Op::kGetattr), Status::kStale);
  }
  ASSERT_TRUE(opened->is_done());
  ASSERT_FALSE(opened->value->has_value());
  EXPECT_EQ(opened->value->error().status, Status::kStale);
}

// A listing shows a file before the answer to its creation is here. Its number is another then, by
// which the server does not know it.
TEST(FileSystemRaces, AFileThatWasSeenBeforeItsCreationWasAnsweredIsKnownWhenItIsOpen) {
  CoreRig rig({.is_shared = true});
  const auto made = rig.start(
      rig.files().create({.parent = kRootNode, .name = "f", .mode = S_IFREG | 0644}, O_RDWR));
  const auto create = rig.link().find(Op::kCreate);
  Attributes file = AttributesOf{.inode = 7, .order = 10};
  file.generation = 1;
  (void)rig.look_up(kRootNode, "f", file);
  rig.answer_entry(create, file, root_of(10));
  ASSERT_FALSE(made->is_done());
  rig.files().send_waiting_forgets();
  EXPECT_FALSE(rig.link().has(Op::kForget)) << "it would not know the file for a moment";
  const auto bind = rig.link().find(Op::kGetattr);
  EXPECT_FALSE(bind.introductions.empty());
  rig.answer_attributes(bind, file);
  ASSERT_TRUE(made->is_done() && made->value->has_value());
  rig.files().send_waiting_forgets();
  EXPECT_TRUE(rig.link().has(Op::kForget));
}

// As after a restart of the server, which then knows none of the open files.
TEST(FileSystemRaces, AFileIsMadeKnownToANewServerWhenItIsOpenedInASharedHome) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 3, .order = 10});
  rig.files().release(rig.open(file, O_RDONLY));
  const auto asked = rig.start(rig.files().getattr(file));
  rig.link().reconnect({.is_new_incarnation = true});
  const auto opened_folder = rig.start(rig.files().open_folder(kRootNode));
  rig.answer_list(rig.link().find(Op::kList), root_of(1),
                  {{.name = "file",
                    .attributes = AttributesOf{.inode = 7, .size = 3, .order = 1},
                    .target = ""}});
  while (rig.link().has(Op::kGetattr)) {
    rig.answer_attributes(rig.link().find(Op::kGetattr), root_of(1));
  }
  const auto opened = rig.start(rig.files().open(file, O_RDONLY));
  ASSERT_TRUE(rig.link().has(Op::kGetattr));
  const auto request = rig.link().find(Op::kGetattr);
  ASSERT_EQ(request.introductions.size(), 1u);
  EXPECT_EQ(request.introductions.front().node, file);
}

// The answer to a question about a file shows a change of another mount whose event is to come.
// Were the kernel to hear of the new end first, it would show zeros behind the old one in its last
// page.
TEST(FileSystemRaces, TheKernelHearsOfANewEndWhenItsPagesAreVoid) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 3, .order = 10});
  const std::uint64_t handle = rig.open(file, O_RDONLY);
  rig.link().changed({{.inode = InodeNumber{7}, .has_data = true}}, 20);
  const auto first = rig.start(rig.files().getattr(file));
  rig.answer_attributes(rig.link().find(Op::kGetattr),
                        AttributesOf{.inode = 7, .size = 3, .order = 20, .version = 2});
  // The kernel may not keep an end that it asks for while others change the file.
  rig.answer_read(rig.link().find(Op::kRead), "w");
  rig.posted().run_all();
  EXPECT_TRUE(first->is_done()) << "it has dropped all that it had";
  const auto read = rig.start(rig.files().read(handle, 0, 100));
  rig.answer_read(rig.link().find(Op::kRead), "new");
  rig.link().changed({{.inode = InodeNumber{7}}}, 25);
  rig.notifier().clear();
  rig.notifier().hold();
  const auto asked = rig.start(rig.files().getattr(file));
  rig.answer_attributes(rig.link().find(Op::kGetattr),
                        AttributesOf{.inode = 7, .size = 5, .order = 30, .version = 3});
  EXPECT_FALSE(asked->is_done());
  rig.notifier().deliver_all();
  rig.answer_read(rig.link().find(Op::kRead), "d");
  rig.notifier().deliver_all();
  rig.posted().run_all();
  ASSERT_TRUE(asked->is_done());
  EXPECT_EQ((**asked)->attributes.size, 5u);
  EXPECT_TRUE(rig.notifier().was_told({.kind = test::Notice::Kind::kData, .node = file}));
  rig.notifier().clear();
  (void)rig.start(rig.files().getattr(file));
  EXPECT_FALSE(rig.notifier().was_told({.kind = test::Notice::Kind::kData, .node = file}))
      << "told once";
}

// The kernel's end of the file is of before another mount has appended.
TEST(FileSystemRaces, AnAppendGoesToTheEndThatTheFileHas) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "log", AttributesOf{.inode = 7, .size = 5, .order = 10});
  (void)rig.open(file, O_WRONLY | O_APPEND);
  rig.link().changed({{.inode = InodeNumber{7}, .has_data = true}}, 20);
  rig.link().mode(false);
  const auto appended = rig.start(
      rig.files().write({.node = file, .offset = 5, .is_append = true}, CoreRig::slice("line\n")));
  // The server says where it is.
  rig.link().answer(
      rig.link().find(Op::kAppend),
      AppendReply{.offset = 10,
                  .attributes = AttributesOf{.inode = 7, .size = 15, .order = 21, .version = 2},
                  .grant = rig.grant()});
  ASSERT_TRUE(appended->is_done());
  const auto next = rig.start(
      rig.files().write({.node = file, .offset = 10, .is_append = true}, CoreRig::slice("line\n")));
  ASSERT_TRUE(next->is_done());
  rig.files().send_held_writes();
  EXPECT_EQ(FakeLink::message<WriteRequest>(rig.link().find(Op::kWrite)).offset, 15u);
}

// Two wait for one listing; both were interrupted, and the kernel has forgotten the folder.
TEST(FileSystemRaces, WhoWaitsForTheListingOfAFolderThatIsGoneIsWoken) {
  CoreRig rig({.is_shared = true});
  const NodeId folder = rig.look_up(
      kRootNode, "d", AttributesOf{.inode = 8, .mode = S_IFDIR | 0755, .order = 10, .links = 2});
  const auto first = rig.start(rig.files().open_folder(folder));
  const auto second = rig.start(rig.files().open_folder(folder));
  const auto list = rig.link().find(Op::kList);
  rig.files().forget(folder, 1);
  (void)rig.link().changed(
      {{.inode = InodeNumber{CoreRig::kRootInode}, .name = "d"}, {.inode = InodeNumber{8}}}, 20);
  rig.link().refuse(list, Status::kStale);
  for (int i = 0; i < 5; ++i) {
    while (rig.link().has(Op::kList)) rig.link().refuse(rig.link().find(Op::kList), Status::kStale);
    rig.posted().run_all();
  }
  EXPECT_TRUE(first->is_done());
  EXPECT_TRUE(second->is_done()) << "unmounting waits for it for ever";
}

// The rename waits for the server; its program was killed, or a soft mount's time was over, so the
// kernel lets others use the folder.
TEST(FileSystemRaces, AFileThatIsBeingReplacedIsNotOpenedWhenTheServerDoesNotKeepIt) {
  CoreRig rig;
  const auto listed = rig.start(rig.files().open_folder(kRootNode));
  rig.answer_list(
      rig.link().find(Op::kList), root_of(1),
      {{.name = "a", .attributes = AttributesOf{.inode = 7, .size = 3, .order = 1}, .target = ""},
       {.name = "b", .attributes = AttributesOf{.inode = 8, .size = 3, .order = 1}, .target = ""}});
  ASSERT_TRUE(listed->is_done());
  rig.files().release_folder((**listed)->handle);
  const auto renamed = rig.start(rig.files().rename(
      {.parent = kRootNode, .name = "a", .new_parent = kRootNode, .new_name = "b"}));
  const auto request = rig.link().find(Op::kRename);
  const bool is_kept = FakeLink::message<RenameRequest>(request).keep;
  const auto found = rig.start(rig.files().lookup(kRootNode, "b"));
  ASSERT_TRUE(found->is_done() && found->value->has_value());
  const auto opened = rig.start(rig.files().open((**found)->node, O_RDWR));
  EXPECT_TRUE(is_kept || !opened->is_done()) << "its reads and writes will be stale";
}

// Another mount writes to a file that is being removed here. The event that tells of it is newer
// than the answer to the removal: what it hides is that the file has no name, and nobody is told of
// it.
TEST(FileSystemRaces, AFileThatWasRemovedIsNotOpenedThoughAnEventIsNewerThanItsRemoval) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "log", AttributesOf{.inode = 7, .size = 5, .order = 10});
  const auto removed = rig.start(rig.files().remove(kRootNode, "log", /*is_folder=*/false));
  const auto unlink = rig.link().find(Op::kUnlink);
  const auto opened = rig.start(rig.files().open(file, O_RDWR));
  rig.answer_attributes(rig.link().find(Op::kGetattr),
                        AttributesOf{.inode = 7, .size = 5, .order = 11});
  rig.link().changed({{.inode = InodeNumber{7}, .has_data = true}}, 30);
  rig.link().answer(unlink,
                    RemoveReply{.attributes = AttributesOf{.inode = 7, .order = 20, .links = 0},
                                .parent = root_of(20),
                                .grant = rig.grant()});
  rig.posted().run_all();
  ASSERT_TRUE(removed->is_done());
  ASSERT_TRUE(opened->is_done());
  ASSERT_FALSE(opened->value->has_value());
  EXPECT_EQ(opened->value->error().status, Status::kStale);
}

}  // namespace
}  // namespace homefs
