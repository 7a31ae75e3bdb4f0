// What answers and events say of names, in whatever sequence they come.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;
using test::RunningRef;

constexpr InodeNumber kRoot{CoreRig::kRootInode};

Attributes root_of(std::uint64_t order) {
  return AttributesOf{.inode = CoreRig::kRootInode, .mode = S_IFDIR | 0755, .order = order};
}

// The root is listed: what it does not name is not there.
void list_root(CoreRig& rig, std::uint64_t order, std::vector<ListedEntry> entries) {
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  rig.answer_list(rig.link().find(Op::kList), root_of(order), std::move(entries));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  rig.files().release_folder((**opened)->handle);
}

RunningRef<Result<>> rename(CoreRig& rig, const std::string& from, const std::string& to) {
  return rig.start(rig.files().rename(
      {.parent = kRootNode, .name = from, .new_parent = kRootNode, .new_name = to}));
}

void answer_rename(CoreRig& rig, const Attributes& moved, std::uint64_t order) {
  rig.link().answer(rig.link().find(Op::kRename), RenameReply{.attributes = moved,
                                                              .parent = root_of(order),
                                                              .new_parent = root_of(order),
                                                              .other = {},
                                                              .grant = rig.grant()});
}

// The node that a name leads to, if that is known without asking.
std::optional<NodeId> known_node(CoreRig& rig, const std::string& name) {
  const auto found = rig.start(rig.files().lookup(kRootNode, name));
  if (!found->is_done()) return std::nullopt;
  return (**found)->node;
}

TEST(FileSystemNames, AnAnswerToACreateIsNoNewsAfterAnotherMountHasRemovedTheFile) {
  CoreRig rig({.is_shared = true});
  list_root(rig, 1, {});
  const auto made =
      rig.start(rig.files().make({.parent = kRootNode, .name = "d", .mode = S_IFDIR | 0755}));
  rig.link().changed({{.inode = kRoot, .name = "d", .target = InodeNumber{8}}}, 11);
  rig.link().changed({{.inode = kRoot, .name = "d"}, {.inode = InodeNumber{8}}}, 13);
  rig.answer_entry(rig.link().find(Op::kMkdir),
                   AttributesOf{.inode = 8, .mode = S_IFDIR | 0755, .order = 9}, root_of(10));
  ASSERT_TRUE(made->is_done() && made->value->has_value());
  EXPECT_EQ((**made)->entry_ttl.count(), 0);
  EXPECT_FALSE(known_node(rig, "d")) << "it is gone";
}

TEST(FileSystemNames, AnAnswerToARemovalDoesNotTakeAwayWhatHasTheNameNow) {
  CoreRig rig({.is_shared = true});
  const NodeId old = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 5});
  const auto removed = rig.start(rig.files().remove(kRootNode, "f", false));
  const auto unlink = rig.link().find(Op::kUnlink);
  rig.link().changed({{.inode = kRoot, .name = "f", .target = InodeNumber{9}}}, 12);
  const NodeId now = rig.look_up(kRootNode, "f", AttributesOf{.inode = 9, .order = 13});
  rig.link().answer(unlink,
                    RemoveReply{.attributes = AttributesOf{.inode = 7, .order = 10, .links = 0},
                                .parent = root_of(10),
                                .grant = rig.grant()});
  ASSERT_TRUE(removed->is_done() && removed->value->has_value());
  EXPECT_NE(now, old);
  EXPECT_EQ(known_node(rig, "f"), now);
}

TEST(FileSystemNames, AnAnswerToARemovalLeavesTheNextFileOfTheNumberAlone) {
  CoreRig rig({.is_shared = true});
  Attributes first = AttributesOf{.inode = 7, .order = 5};
  first.generation = 1;
  Attributes second = AttributesOf{.inode = 7, .order = 13};
  second.generation = 2;
  (void)rig.look_up(kRootNode, "f", first);
  const auto removed = rig.start(rig.files().remove(kRootNode, "f", false));
  const auto unlink = rig.link().find(Op::kUnlink);
  rig.link().changed({{.inode = kRoot, .name = "g", .target = InodeNumber{7}}}, 12);
  const NodeId next = rig.look_up(kRootNode, "g", second);
  first.order = 10;
  first.links = 0;
  rig.link().answer(unlink,
                    RemoveReply{.attributes = first, .parent = root_of(10), .grant = rig.grant()});
  ASSERT_TRUE(removed->is_done());
  EXPECT_EQ(known_node(rig, "g"), next);
  rig.link().changed({{.inode = InodeNumber{7}, .has_data = true}}, 20);
  const auto asked = rig.start(rig.files().getattr(next));
  EXPECT_FALSE(asked->is_done()) << "events have to reach the file";
}

TEST(FileSystemNames, ALookupThatOurOwnRemovalHasOvertakenIsNotKept) {
  CoreRig rig;
  const auto late = rig.start(rig.files().lookup(kRootNode, "f"));
  const auto lookup = rig.link().find(Op::kLookup);
  const auto removed = rig.start(rig.files().remove(kRootNode, "f", false));
  rig.link().answer(rig.link().find(Op::kUnlink),
                    RemoveReply{.attributes = AttributesOf{.inode = 7, .order = 9, .links = 0},
                                .parent = root_of(10),
                                .grant = rig.grant()});
  ASSERT_TRUE(removed->is_done());
  rig.link().answer(lookup, LookupReply{AttributesOf{.inode = 7, .order = 8}, ""});
  ASSERT_TRUE(late->is_done() && late->value->has_value());
  EXPECT_EQ((**late)->entry_ttl.count(), 0) << "the kernel would keep it for an hour";
  EXPECT_FALSE(known_node(rig, "f"));
}

TEST(FileSystemNames, AResentRenameSaysNothingOfNamesAfterMissedEvents) {
  CoreRig rig;
  list_root(rig, 1,
            {{.name = "a", .attributes = AttributesOf{.inode = 7, .order = 2}, .target = ""}});
  const auto renamed = rename(rig, "a", "b");
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 30});
  answer_rename(rig, AttributesOf{.inode = 7, .order = 11}, 12);
  ASSERT_TRUE(renamed->is_done() && renamed->value->has_value());
  EXPECT_FALSE(known_node(rig, "a")) << "what was known of it is from before the rename";
  EXPECT_FALSE(known_node(rig, "b")) << "others may have moved it since";
}

TEST(FileSystemNames, AReplyOfAnEarlierRunOfTheServerIsOlderThanAnything) {
  CoreRig rig;
  list_root(rig, 1,
            {{.name = "a", .attributes = AttributesOf{.inode = 7, .order = 2}, .target = ""}});
  const auto removed = rig.start(rig.files().remove(kRootNode, "a", false));
  rig.link().break_control();
  rig.link().reconnect({.is_new_incarnation = true, .order = 3});
  rig.link().answer(rig.link().find(Op::kUnlink),
                    RemoveReply{.attributes = AttributesOf{.inode = 7, .order = 0, .links = 0},
                                .parent = root_of(0),
                                .grant = {}});
  ASSERT_TRUE(removed->is_done() && removed->value->has_value());
  EXPECT_FALSE(known_node(rig, "a"));
  const auto root = rig.start(rig.files().getattr(kRootNode));
  EXPECT_FALSE(root->is_done()) << "the reply's attributes are not those of now";
}

TEST(FileSystemNames, TheGrantOfAStoredReplyIsNotTaken) {
  CoreRig rig({.granted = 1000, .limit = 5000});
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 5});
  const auto changed =
      rig.start(rig.files().setattr({.node = file, .which = kSetMode, .mode = 0600}));
  GrantState old = rig.grant();
  (void)rig.grant();
  rig.files().on_quota(rig.grant());
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 30});
  rig.link().answer(rig.link().find(Op::kSetattr),
                    ChangeReply{AttributesOf{.inode = 7, .order = 11}, old});
  ASSERT_TRUE(changed->is_done());
  EXPECT_EQ(rig.files().figures().grant.granted, 0u);
}

// The kernel knows the name still, and does not ask before it opens or removes the file.
TEST(FileSystemNames, AFileWhoseNameWasGivenUpIsLookedUpBeforeItIsRemovedOrReplaced) {
  for (const bool is_removal : {true, false}) {
    CoreRig rig({.files = {.names_max = 16}});
    std::vector<ListedEntry> entries;
    for (std::uint64_t i = 0; i < 40; ++i) {
      entries.push_back({.name = "f" + std::to_string(i),
                         .attributes = AttributesOf{.inode = 100 + i, .order = 2},
                         .target = ""});
    }
    const Attributes target = entries.front().attributes;
    const NodeId file = rig.look_up(kRootNode, "f0", target);
    list_root(rig, 1, std::move(entries));
    ASSERT_EQ(rig.link().sent_count(Op::kLookup), 1);
    const auto opened = rig.start(rig.files().open(file, O_RDONLY));
    ASSERT_TRUE(opened->is_done() && opened->value->has_value());
    const auto changed = is_removal ? rig.start(rig.files().remove(kRootNode, "f0", false))
                                    : rename(rig, "other", "f0");
    if (!is_removal) rig.link().refuse(rig.link().find(Op::kLookup), Status::kNoSuchFile);
    rig.link().answer(rig.link().find(Op::kLookup), LookupReply{target, ""});
    if (is_removal) {
      EXPECT_TRUE(FakeLink::message<UnlinkRequest>(rig.link().find(Op::kUnlink)).keep);
    } else {
      EXPECT_TRUE(FakeLink::message<RenameRequest>(rig.link().find(Op::kRename)).keep);
    }
  }
}

// It is found by the name that was heard of last.
TEST(FileSystemNames, AListingShowsAllNamesOfAFileThatIsFoundByAnother) {
  CoreRig rig({.is_shared = true});
  const NodeId folder = rig.look_up(
      kRootNode, "d", AttributesOf{.inode = 8, .mode = S_IFDIR | 0755, .order = 2, .links = 2});
  const Attributes file = AttributesOf{.inode = 7, .order = 2, .links = 3};
  const NodeId node = rig.look_up(folder, "elsewhere", file);
  rig.link().changed({{.inode = InodeNumber{8}, .name = "elsewhere", .target = InodeNumber{7}}},
                     20);
  list_root(rig, 21,
            {{.name = "a", .attributes = file, .target = ""},
             {.name = "b", .attributes = file, .target = ""}});
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  std::vector<std::string> names;
  (void)rig.files().read_folder((**opened)->handle, 0, false,
                                [&](const SnapshotEntry& entry, const EntryOut&, std::uint64_t) {
                                  if (entry.node == node) names.push_back(entry.name);
                                  return true;
                                });
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
}

TEST(FileSystemNames, NothingIsLookedUpBeforeAChangeWhereNoNameWasGivenUp) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7});
  (void)rig.open(file, O_RDONLY);
  const auto renamed = rename(rig, "f", "unknown");
  EXPECT_EQ(rig.link().sent_count(Op::kLookup), 1);
  EXPECT_EQ(rig.link().sent_count(Op::kRename), 1);
}

// An open file is found by the server that was restarted by a name that it still has.
TEST(FileSystemNames, AHardLinkIsIntroducedByANameThatIsLeft) {
  CoreRig rig;
  list_root(
      rig, 1,
      {{.name = "a", .attributes = AttributesOf{.inode = 7, .order = 2, .links = 2}, .target = ""},
       {.name = "b",
        .attributes = AttributesOf{.inode = 7, .order = 2, .links = 2},
        .target = ""}});
  const NodeId node = *known_node(rig, "a");
  const auto renamed = rename(rig, "b", "c");
  answer_rename(rig, AttributesOf{.inode = 7, .order = 10, .links = 2}, 11);
  const auto removed = rig.start(rig.files().remove(kRootNode, "c", false));
  rig.link().answer(rig.link().find(Op::kUnlink),
                    RemoveReply{.attributes = AttributesOf{.inode = 7, .order = 13, .links = 1},
                                .parent = root_of(12),
                                .grant = rig.grant()});
  ASSERT_TRUE(removed->is_done());
  const auto changed =
      rig.start(rig.files().setattr({.node = node, .which = kSetMode, .mode = 0600}));
  const auto request = rig.link().find(Op::kSetattr);
  ASSERT_EQ(request.introductions.size(), 1u);
  EXPECT_EQ(request.introductions.front().name, "a");
}

TEST(FileSystemNames, WhatIsOpenIsMadeKnownToARestartedServerAlsoInASoleHome) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 5});
  (void)rig.open(file, O_RDONLY);
  EXPECT_TRUE(rig.link().mode(false)->is_there());
  EXPECT_FALSE(rig.link().has(Op::kGetattr));
  rig.link().reconnect({.is_new_incarnation = true});
  const auto acknowledged = rig.link().mode(false);
  EXPECT_FALSE(acknowledged->is_there());
  const auto request = rig.link().find(Op::kGetattr);
  ASSERT_EQ(request.introductions.size(), 1u);
  EXPECT_EQ(request.introductions.front().node, file);
  rig.answer_attributes(request, AttributesOf{.inode = 7, .order = 6});
  EXPECT_TRUE(acknowledged->is_there());
}

TEST(FileSystemNames, AListingThatARestartHasInterruptedBeginsAgain) {
  CoreRig rig;
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  const auto page = [&](std::uint64_t cursor, const std::string& name, std::uint64_t inode) {
    ListedFolder listed{.folder = root_of(2), .next_cursor = cursor};
    listed.entries.push_back(
        {.name = name, .attributes = AttributesOf{.inode = inode, .order = 2}, .target = ""});
    return ListReply{.folders = {listed}};
  };
  rig.link().answer(rig.link().find(Op::kList), page(55, "a", 7));
  rig.link().refuse(rig.link().find(Op::kList), Status::kStale);
  rig.link().refuse(rig.link().find(Op::kList), Status::kStale);  // introduced once more
  const auto again = rig.link().find(Op::kList);
  EXPECT_EQ(FakeLink::message<ListRequest>(again).cursor, 0u);
  rig.link().answer(again, page(56, "a", 7));
  rig.link().answer(rig.link().find(Op::kList), page(0, "b", 8));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  EXPECT_TRUE(known_node(rig, "a"));
  EXPECT_TRUE(known_node(rig, "b"));
  rig.files().release_folder((**opened)->handle);
}

// df(1) opens the folder that it is asked about, and reads nothing of it.
TEST(FileSystemNames, TheOpeningOfAFolderDoesNotWaitForAServerThatIsAway) {
  CoreRig rig;
  rig.link().break_control();
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  const std::uint64_t handle = (**opened)->handle;
  const auto read = rig.start(rig.files().rewind_folder(handle));
  EXPECT_FALSE(read->is_done());
  rig.link().reconnect();
  rig.answer_list(
      rig.link().find(Op::kList), root_of(2),
      {{.name = "a", .attributes = AttributesOf{.inode = 7, .order = 2}, .target = ""}});
  ASSERT_TRUE(read->is_done() && read->value->has_value());
  std::vector<std::string> names;
  const auto show = [&](const SnapshotEntry& entry, const EntryOut&, std::uint64_t) {
    names.push_back(entry.name);
    return true;
  };
  ASSERT_TRUE(rig.files().read_folder(handle, 0, /*with_lookup=*/false, show));
  EXPECT_EQ(names, (std::vector<std::string>{".", "..", "a"}));
  rig.files().release_folder(handle);
}

TEST(FileSystemNames, AttributesThatReachTheKernelAfterTheHomeBecameSharedAreAskedForAnew) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 5});
  const auto found = rig.start(rig.files().lookup(kRootNode, "f"));
  (void)rig.link().mode(true);
  rig.notifier().clear();
  rig.files().kernel_has(file, (**found)->attributes_ttl);
  EXPECT_TRUE(rig.notifier().was_told({test::Notice::Kind::kAttributes, file, ""}));
}

// The kernel knows nothing of a tree that is cached, as after its caches were dropped. Another
// mount removes it, or moves it to where nobody has looked here.
TEST(FileSystemNames, ATreeThatTheKernelHasForgottenGoesWithItsName) {
  CoreRig rig({.is_shared = true});
  const auto folder_of = [](std::uint64_t inode, std::uint64_t order) {
    return AttributesOf{
        .inode = inode, .mode = S_IFDIR | 0755, .order = order, .version = order, .links = 2};
  };
  const auto list = [&](NodeId folder, const Attributes& attributes,
                        std::vector<ListedEntry> entries) {
    const auto opened = rig.start(rig.files().open_folder(folder));
    while (rig.link().has(Op::kGetattr)) {
      rig.answer_attributes(rig.link().find(Op::kGetattr), attributes);
    }
    rig.answer_list(rig.link().find(Op::kList), attributes, std::move(entries));
    ASSERT_TRUE(opened->is_done() && opened->value->has_value());
    rig.files().release_folder((**opened)->handle);
  };
  const std::size_t before = rig.files().figures().nodes;
  const NodeId top = rig.look_up(kRootNode, "top", folder_of(7, 10));
  const NodeId below = rig.look_up(top, "below", folder_of(8, 10));
  list(below, folder_of(8, 10),
       {{.name = "a", .attributes = AttributesOf{.inode = 9, .order = 10}},
        {.name = "b", .attributes = AttributesOf{.inode = 10, .order = 10}}});
  rig.files().forget(below, 1);
  rig.files().forget(top, 1);
  EXPECT_EQ(rig.files().figures().nodes, before + 4) << "cached for the next one who asks";
  (void)rig.link().changed({{.inode = kRoot, .name = "top"}, {.inode = InodeNumber{7}}}, 20);
  rig.files().send_waiting_forgets();
  EXPECT_EQ(rig.files().figures().nodes, before);
}

// The server's disk gives the number of a file that was lost to the next one that is made.
TEST(PowerLoss, ANewFileIsNotTakenForTheOneThatWasLostWithItsNumber) {
  CoreRig rig;
  const auto create = [&](const char* name, std::uint32_t generation, std::uint64_t order) {
    const auto made = rig.start(
        rig.files().create({.parent = kRootNode, .name = name, .mode = S_IFREG | 0644}, O_RDWR));
    Attributes file = AttributesOf{.inode = 7, .order = order};
    file.generation = generation;
    rig.answer_entry(rig.link().find(Op::kCreate), file, root_of(order));
    EXPECT_TRUE(made->is_done() && made->value->has_value());
    return std::pair((**made)->entry.node, (**made)->open.handle);
  };
  const auto [old, old_handle] = create("old", 1, 10);
  (void)rig.start(rig.files().write({.node = old, .handle = old_handle}, CoreRig::slice("text")));
  rig.files().send_held_writes();
  Attributes written = AttributesOf{.inode = 7, .size = 4, .order = 11};
  written.generation = 1;
  rig.answer_change(rig.link().find(Op::kWrite), written);
  rig.files().release(old_handle);
  rig.link().break_control();
  rig.link().reconnect({.is_same_session = false,
                        .are_caches_valid = false,
                        .has_lost_power = true,
                        .is_new_incarnation = true,
                        .order = 100});
  const auto [node, handle] = create("new", 2, 110);
  const auto synced = rig.start(rig.files().fsync(node, handle, false));
  rig.link().answer(rig.link().find(Op::kFsync), EmptyMessage{});
  ASSERT_TRUE(synced->is_done());
  EXPECT_TRUE(synced->value->has_value());
}

}  // namespace
}  // namespace homefs
