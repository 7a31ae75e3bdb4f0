// What is acknowledged to the server, and what the kernel has been told by then.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::Notice;

// The kernel keeps names and attributes for an hour while the home is ours alone. Whoever is let in
// next changes them, and nobody would ask us.
TEST(Sharing, IsAcknowledgedWhenTheKernelHasBeenTold) {
  CoreRig rig;
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 10});
  rig.notifier().hold();
  const auto shared = rig.link().mode(true);
  rig.posted().run_all();
  EXPECT_FALSE(shared->is_there()) << "the kernel still believes what it has";
  while (rig.notifier().has_waiting()) {
    EXPECT_FALSE(shared->is_there());
    (void)rig.notifier().deliver_one();
  }
  rig.posted().run_all();
  EXPECT_TRUE(shared->is_there());
  EXPECT_TRUE(rig.notifier().was_told({.kind = Notice::Kind::kAllEntries}));
  EXPECT_TRUE(rig.notifier().was_told({.kind = Notice::Kind::kAttributes, .node = file}));
}

// The server says it again after a break. A notice would be the end of what the kernel is asking
// for just then: who has got a lock would take the end of the file for where it was before the
// break.
TEST(Sharing, IsToldToTheKernelOnce) {
  CoreRig rig;
  (void)rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 10});
  const auto shared = rig.link().mode(true);
  rig.posted().run_all();
  ASSERT_TRUE(shared->is_there());
  rig.notifier().hold();
  rig.link().break_control();
  rig.link().reconnect({.order = 20});
  const auto again = rig.link().mode(true);
  rig.posted().run_all();
  EXPECT_TRUE(again->is_there());
  EXPECT_FALSE(rig.notifier().has_waiting());
  (void)rig.link().mode(false);
  const auto anew = rig.link().mode(true);
  EXPECT_FALSE(anew->is_there());
  EXPECT_TRUE(rig.notifier().has_waiting());
}

// The listing was taken when the kernel was allowed to keep names, and reaches it when it has just
// been told that all names are void.
TEST(Sharing, IsToldOfNamesThatTheKernelIsListedMeanwhile) {
  CoreRig rig;
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  rig.answer_list(rig.link().find(Op::kList),
                  AttributesOf{.inode = CoreRig::kRootInode, .mode = S_IFDIR | 0755, .order = 10},
                  {{.name = "f", .attributes = AttributesOf{.inode = 7, .order = 5}}});
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  const auto listing = rig.files().listing_of((**opened)->handle);
  (void)rig.link().mode(true);
  rig.notifier().clear();
  rig.files().kernel_listed(*listing, 0, 3);
  EXPECT_TRUE(rig.notifier().was_told({Notice::Kind::kEntry, kRootNode, "f"}));
}

// What it was allowed to keep before the break is void, and it is being told so.
TEST(Sharing, AChangeAfterMissedOnesIsAcknowledgedWhenTheKernelHasBeenToldOfThose) {
  CoreRig rig;
  const NodeId folder = rig.look_up(
      kRootNode, "d", AttributesOf{.inode = 7, .mode = S_IFDIR | 0755, .order = 10, .links = 2});
  ASSERT_NE(folder, kNoNode);
  rig.notifier().hold();
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 20});
  const auto before =
      rig.link().changed({{.inode = InodeNumber{CoreRig::kRootInode}, .name = "d"}}, 21);
  EXPECT_FALSE(before->is_there()) << "the kernel still shows the name";
  rig.notifier().deliver_all();
  EXPECT_TRUE(before->is_there());
  EXPECT_TRUE(rig.notifier().was_told({.kind = Notice::Kind::kAllEntries}));
  rig.notifier().hold();
  const auto later =
      rig.link().changed({{.inode = InodeNumber{CoreRig::kRootInode}, .name = "e"}}, 22);
  EXPECT_TRUE(later->is_there()) << "nothing is kept of before any more";
}

}  // namespace
}  // namespace homefs
