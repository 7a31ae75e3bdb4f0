// Writes that were answered while the mount was alone, and reach the server when others have
// changed the file.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;

class LateWrites : public ::testing::Test {
 protected:
  LateWrites() {
    file_ = rig_.look_up(kRootNode, "file", AttributesOf{.inode = 7, .size = 3, .order = 10});
    handle_ = rig_.open(file_, O_WRONLY);
  }
  void write(std::string_view text, bool is_append) {
    const auto done = rig_.start(rig_.files().write(
        {.node = file_, .handle = handle_, .is_append = is_append}, CoreRig::slice(text)));
    ASSERT_TRUE(done->is_done()) << "it is buffered";
    EXPECT_TRUE(done->value->has_value());
    rig_.files().send_held_writes();
  }
  void answer_append(const FakeLink::Request& request, std::uint64_t offset, std::uint64_t size) {
    rig_.link().answer(
        request,
        AppendReply{.offset = offset,
                    .attributes = AttributesOf{.inode = 7, .size = size, .order = 30, .version = 3},
                    .grant = rig_.grant()});
  }

  CoreRig rig_;
  NodeId file_{};
  std::uint64_t handle_ = 0;
};

TEST_F(LateWrites, ThatAreRefusedAreToldByFsync) {
  write("old", false);
  const auto request = rig_.link().find(Op::kWrite);
  EXPECT_EQ(FakeLink::message<WriteRequest>(request).page_order, kBufferedWrite);
  rig_.link().refuse(request, Status::kLeaseLost);
  const auto synced = rig_.start(rig_.files().fsync(file_, handle_, false));
  ASSERT_TRUE(synced->is_done());
  ASSERT_FALSE(synced->value->has_value());
  EXPECT_EQ(synced->value->error().status, Status::kIoError);
}

TEST_F(LateWrites, ThatWereAppendedGoToTheEndInTheirOrder) {
  write("one", true);
  write("two", true);
  const auto first = rig_.link().find(Op::kWrite);
  const auto second = rig_.link().find(Op::kWrite, 1);
  rig_.link().refuse(second, Status::kLeaseLost);
  EXPECT_FALSE(rig_.link().has(Op::kAppend)) << "the one before is under way";
  rig_.link().refuse(first, Status::kLeaseLost);
  const auto third = rig_.start(rig_.files().write(
      {.node = file_, .handle = handle_, .is_append = true}, CoreRig::slice("three")));
  EXPECT_FALSE(third->is_done()) << "nobody knows the end";
  for (const char* text : {"one", "two", "three"}) {
    const auto append = rig_.link().find(Op::kAppend);
    EXPECT_EQ(append.data(), text);
    EXPECT_FALSE(rig_.link().has(Op::kWrite));
    answer_append(append, 100, 110);
  }
  ASSERT_TRUE(third->is_done());
  EXPECT_TRUE(third->value->has_value());
  const auto synced = rig_.start(rig_.files().fsync(file_, handle_, false));
  rig_.link().answer(rig_.link().find(Op::kFsync), EmptyMessage{});
  ASSERT_TRUE(synced->is_done());
  EXPECT_TRUE(synced->value->has_value());
}

TEST_F(LateWrites, ThatWereAppendedAreMovedWhereTheServerSaysAndNoFurther) {
  write("one", true);
  write("two", true);
  const auto first = rig_.link().find(Op::kWrite);
  const auto second = rig_.link().find(Op::kWrite, 1);
  rig_.link().refuse(second, Status::kLeaseLost);
  rig_.answer_change(first, AttributesOf{.inode = 7, .size = 106, .order = 20, .version = 2});
  const auto append = rig_.link().find(Op::kAppend);
  EXPECT_EQ(append.data(), "two");
}

TEST_F(LateWrites, ThatAreRefusedAgainAtTheEndAreTold) {
  write("one", true);
  rig_.link().refuse(rig_.link().find(Op::kWrite), Status::kLeaseLost);
  rig_.link().refuse(rig_.link().find(Op::kAppend), Status::kOverQuota);
  const auto synced = rig_.start(rig_.files().fsync(file_, handle_, false));
  ASSERT_TRUE(synced->is_done());
  ASSERT_FALSE(synced->value->has_value());
  EXPECT_EQ(synced->value->error().status, Status::kOverQuota);
}

TEST_F(LateWrites, ThatWereAppendedTakeTheirChangeOfModeAlong) {
  const auto done = rig_.start(rig_.files().write(
      {.node = file_, .handle = handle_, .is_append = true}, CoreRig::slice("one")));
  ASSERT_TRUE(done->is_done());
  const auto changed =
      rig_.start(rig_.files().setattr({.node = file_, .which = kSetMode, .mode = 0600}));
  ASSERT_TRUE(changed->is_done()) << "it travels with the data";
  const auto synced = rig_.start(rig_.files().fsync(file_, handle_, false));
  const auto sent = rig_.link().find(Op::kWrite);
  EXPECT_EQ(FakeLink::message<WriteRequest>(sent).then.size(), 1u);
  rig_.link().refuse(sent, Status::kLeaseLost);
  answer_append(rig_.link().find(Op::kAppend), 100, 103);
  const auto mode = rig_.link().find(Op::kSetattr);
  EXPECT_EQ(FakeLink::message<SetattrRequest>(mode).mode, 0600u);
  rig_.answer_change(mode, AttributesOf{.inode = 7, .size = 103, .order = 40, .version = 4});
  rig_.link().answer(rig_.link().find(Op::kFsync), EmptyMessage{});
  ASSERT_TRUE(synced->is_done());
  EXPECT_TRUE(synced->value->has_value());
}

TEST_F(LateWrites, OfAMappingAreToldByFsync) {
  const auto page = rig_.start(
      rig_.files().write({.node = file_, .offset = 0, .is_page = true}, CoreRig::slice("old")));
  ASSERT_TRUE(page->is_done());
  rig_.files().send_held_writes();
  const auto request = rig_.link().find(Op::kWrite);
  EXPECT_GT(FakeLink::message<WriteRequest>(request).page_order, kBufferedWrite);
  rig_.link().refuse(request, Status::kLeaseLost);
  const auto synced = rig_.start(rig_.files().fsync(file_, handle_, false));
  ASSERT_TRUE(synced->is_done());
  ASSERT_FALSE(synced->value->has_value());
  EXPECT_EQ(synced->value->error().status, Status::kIoError);
}

TEST_F(LateWrites, ThatWaitForTheServerAreNone) {
  rig_.link().mode(/*is_shared=*/true);
  const auto done = rig_.start(
      rig_.files().write({.node = file_, .handle = handle_, .offset = 0}, CoreRig::slice("new")));
  EXPECT_FALSE(done->is_done());
  EXPECT_EQ(FakeLink::message<WriteRequest>(rig_.link().find(Op::kWrite)).page_order, 0u);
}

// What nobody was told of is not forgotten to make room for other files.
TEST(LateErrors, AnErrorForWhoOpensTheFileNextOutlivesTheFilesThatAreKept) {
  CoreRig rig({.files = {.prefetched_bytes_max = 8}});
  std::uint64_t order = 10;
  const auto now = [&](std::uint64_t inode, std::uint64_t size) {
    ++order;
    return Attributes(AttributesOf{.inode = inode, .size = size, .order = order, .version = order});
  };
  const auto write = [&](NodeId file, std::uint64_t handle) {
    const auto written = rig.start(
        rig.files().write({.node = file, .handle = handle, .offset = 0}, CoreRig::slice("text")));
    EXPECT_TRUE(written->is_done());
    rig.files().release(handle);
  };
  const NodeId file = rig.look_up(kRootNode, "f", now(7, 0));
  write(file, rig.open(file, O_WRONLY));
  rig.answer_change(rig.link().find(Op::kWrite), now(7, 4));  // kept, as it is small
  write(file, rig.open(file, O_WRONLY));
  rig.link().refuse(rig.link().find(Op::kWrite), Status::kNoSpace);
  for (std::uint64_t inode = 20; inode < 23; ++inode) {
    const NodeId other = rig.look_up(kRootNode, "g" + std::to_string(inode), now(inode, 0));
    write(other, rig.open(other, O_WRONLY));
    rig.answer_change(rig.link().find(Op::kWrite), now(inode, 4));
  }
  const auto opened = rig.start(rig.files().open(file, O_WRONLY));
  if (rig.link().has(Op::kGetattr)) {
    rig.answer_attributes(rig.link().find(Op::kGetattr), now(7, 4));
  }
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  const auto synced = rig.start(rig.files().fsync(file, (**opened)->handle, false));
  if (rig.link().has(Op::kFsync)) rig.link().answer(rig.link().find(Op::kFsync), EmptyMessage{});
  ASSERT_TRUE(synced->is_done() && !synced->value->has_value());
  EXPECT_EQ(synced->value->error().status, Status::kNoSpace);
}

// It waits for the server, which may let another mount in meanwhile.
TEST(LateAppends, AnAppendOverTheGrantIsPlacedByTheServer) {
  CoreRig rig({.granted = 2, .limit = 1000});
  const NodeId file =
      rig.look_up(kRootNode, "log", AttributesOf{.inode = 7, .size = 4, .order = 10});
  const std::uint64_t handle = rig.open(file, O_WRONLY | O_APPEND);
  const auto appended = rig.start(rig.files().write(
      {.node = file, .handle = handle, .offset = 4, .is_append = true}, CoreRig::slice("line\n")));
  EXPECT_FALSE(appended->is_done());
  EXPECT_FALSE(rig.link().has(Op::kWrite));
  EXPECT_TRUE(rig.link().has(Op::kAppend));
  rig.link().answer(
      rig.link().find(Op::kAppend),
      AppendReply{.offset = 9,
                  .attributes = AttributesOf{.inode = 7, .size = 14, .order = 11, .version = 11},
                  .grant = rig.grant()});
  rig.posted().run_all();
  ASSERT_TRUE(appended->is_done());
  EXPECT_TRUE(appended->value->has_value());
}

}  // namespace
}  // namespace homefs
