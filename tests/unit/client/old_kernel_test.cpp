// Kernels before Linux 6.16 cannot drop all names at once: they are told of each. Before 6.6 they
// map no files that they write without pages.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::Notice;

Attributes root_of(std::uint64_t order) {
  return AttributesOf{.inode = CoreRig::kRootInode, .mode = S_IFDIR | 0755, .order = order};
}

void list_root(CoreRig& rig, std::vector<ListedEntry> entries) {
  const auto opened = rig.start(rig.files().open_folder(kRootNode));
  rig.answer_list(rig.link().find(Op::kList), root_of(10), std::move(entries));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  rig.files().release_folder((**opened)->handle);
}

std::chrono::seconds absent_ttl(CoreRig& rig) {
  const auto found = rig.start(rig.files().lookup(kRootNode, "absent"));
  EXPECT_TRUE(found->is_done() && found->value->has_value());
  EXPECT_EQ((**found)->node, kNoNode);
  return (**found)->entry_ttl;
}

// It would say so for an hour, whatever another mount makes there meanwhile.
TEST(OldKernel, KeepsNoNameThatDoesNotExist) {
  CoreRig old({.is_old_kernel = true});
  list_root(old, {});
  EXPECT_EQ(absent_ttl(old).count(), 0);
  CoreRig rig;
  list_root(rig, {});
  EXPECT_GT(absent_ttl(rig).count(), 0);
}

TEST(OldKernel, IsToldOfEachNameOfAFileWhenAllIsInDoubt) {
  CoreRig rig({.is_old_kernel = true});
  const Attributes file = AttributesOf{.inode = 7, .order = 5, .links = 3};
  list_root(rig, {{.name = "a", .attributes = file},
                  {.name = "b", .attributes = file},
                  {.name = "c", .attributes = file}});
  for (const char* name : {"a", "b", "c"}) (void)rig.look_up(kRootNode, name, file);
  std::vector<std::pair<NodeId, std::string>> told;
  rig.notifier().listen([&](const Notice& notice) {
    if (notice.kind == Notice::Kind::kAllEntries) told = rig.files().kernel_names();
  });
  rig.link().break_control();
  rig.link().reconnect({.are_caches_valid = false, .order = 20});
  std::ranges::sort(told);
  EXPECT_EQ(told, (std::vector<std::pair<NodeId, std::string>>{
                      {kRootNode, "a"}, {kRootNode, "b"}, {kRootNode, "c"}}));
  EXPECT_EQ(rig.files().kernel_names().size(), 1u) << "that is over";
}

// The name reaches the kernel when it has just been told of all that it has.
TEST(OldKernel, IsToldOfANameThatItGetsAfterTheHomeBecameShared) {
  CoreRig rig({.is_old_kernel = true});
  const NodeId file = rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .order = 5});
  const auto found = rig.start(rig.files().lookup(kRootNode, "f"));
  (void)rig.link().mode(true);
  rig.notifier().clear();
  rig.files().kernel_has(file, (**found)->attributes_ttl);
  EXPECT_TRUE(rig.notifier().was_told({Notice::Kind::kEntry, kRootNode, "f"}));
}

// The kernel has the pages locked that it writes, and cannot drop them before the write is
// answered.
TEST(OldKernel, IsAnsweredAWriteOfASharedFileBeforeItDropsItsPages) {
  CoreRig rig({.is_shared = true, .is_old_kernel = true});
  const NodeId file =
      rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 4, .order = 10, .version = 10});
  (void)rig.open(file, O_RDONLY);
  const auto opened = rig.start(rig.files().open(file, O_RDWR));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  EXPECT_FALSE((**opened)->direct_io) << "it could not be mapped for sharing";
  rig.notifier().hold();
  const auto written = rig.start(rig.files().write(
      {.node = file, .handle = (**opened)->handle, .offset = 0}, CoreRig::slice("new!")));
  rig.files().send_writes(file);
  rig.answer_change(rig.link().find(Op::kWrite),
                    AttributesOf{.inode = 7, .size = 4, .order = 11, .version = 11});
  rig.posted().run_all();
  EXPECT_EQ(test::status_of(written), Status::kOk);
}

}  // namespace
}  // namespace homefs
