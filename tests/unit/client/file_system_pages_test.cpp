// What the kernel has in its pages, and when it is told to drop them.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;
using test::Notice;
using test::RunningRef;
using test::status_of;

// A program opens the file while a write past the pages begins, and reads it through pages: what it
// got is of before, and the kernel keeps it for good.
TEST(Pages, AReaderWhoOpensTheFileDuringAWriteKeepsNothingOfBefore) {
  CoreRig rig({.is_shared = true});
  const auto of = [](std::uint64_t order) {
    return AttributesOf{.inode = 7, .size = 4, .order = order, .version = 10};
  };
  const NodeId file = rig.look_up(kRootNode, "f", of(10));
  const std::uint64_t writer = rig.open(file, O_RDWR);
  (void)rig.link().changed({{.inode = InodeNumber{7}}}, 11);  // another mount's utimes(2)
  const auto opened = rig.start(rig.files().open(file, O_RDONLY));
  const auto about = rig.link().find(Op::kGetattr);
  const auto written = rig.start(
      rig.files().write({.node = file, .handle = writer, .offset = 0}, CoreRig::slice("new!")));
  rig.files().send_writes(file);
  ASSERT_FALSE(written->is_done());
  rig.answer_attributes(about, of(12));
  ASSERT_TRUE(opened->is_done() && opened->value->has_value());
  const auto read = rig.start(rig.files().read((**opened)->handle, 0, 4));
  rig.answer_read(rig.link().find(Op::kRead), "old!");
  ASSERT_TRUE(read->is_done()) << "the kernel has a page with what was before now";
  rig.notifier().clear();
  rig.answer_change(rig.link().find(Op::kWrite),
                    AttributesOf{.inode = 7, .size = 4, .order = 13, .version = 13});
  rig.posted().run_all();
  EXPECT_EQ(status_of(written), Status::kOk);
  EXPECT_TRUE(rig.notifier().was_told({.kind = Notice::Kind::kData, .node = file}));
}

// Told of the end that an append makes, the kernel shows zeros there, as long as it has the page of
// before.
TEST(Pages, AreDroppedBeforeTheKernelIsToldOfTheEndThatAnAppendMakes) {
  CoreRig rig;
  const auto of = [](std::uint64_t size, std::uint64_t order) {
    return AttributesOf{.inode = 7, .size = size, .order = order, .version = order};
  };
  const NodeId file = rig.look_up(kRootNode, "f", of(4, 10));
  const auto read = rig.start(rig.files().read(rig.open(file, O_RDONLY), 0, 100));
  rig.answer_read(rig.link().find(Op::kRead), "old!");
  ASSERT_TRUE(read->is_done());
  const std::uint64_t writer = rig.open(file, O_WRONLY | O_APPEND);
  rig.notifier().clear();
  rig.notifier().hold();
  const auto written = rig.start(rig.files().write(
      {.node = file, .handle = writer, .offset = 4, .is_append = true}, CoreRig::slice("new!")));
  const auto asked = rig.start(rig.files().getattr(file));
  rig.files().send_writes(file);
  rig.posted().run_all();
  if (rig.link().has(Op::kWrite)) rig.answer_change(rig.link().find(Op::kWrite), of(8, 13));
  if (rig.link().has(Op::kAppend)) {
    rig.link().answer(rig.link().find(Op::kAppend), AppendReply{.attributes = of(8, 13)});
  }
  rig.posted().run_all();
  const bool is_told = asked->is_done() && (**asked)->attributes.size == 8;
  EXPECT_FALSE(is_told && !rig.notifier().was_told({.kind = Notice::Kind::kData, .node = file}));
  rig.notifier().deliver_all();
  rig.posted().run_all();
  EXPECT_TRUE(asked->is_done());
  EXPECT_EQ(status_of(written), Status::kOk);
}

// Likewise one who opens it, and reads, before an append that the server places.
TEST(Pages, AReaderWhoOpensTheFileDuringAnAppendIsWaitedFor) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 4, .order = 10, .version = 10});
  const std::uint64_t writer = rig.open(file, O_WRONLY | O_APPEND);
  const auto written = rig.start(rig.files().write(
      {.node = file, .handle = writer, .offset = 4, .is_append = true}, CoreRig::slice("new!")));
  const std::uint64_t reader = rig.open(file, O_RDONLY);
  const auto read = rig.start(rig.files().read(reader, 0, 4));
  rig.answer_read(rig.link().find(Op::kRead), "old!");
  rig.notifier().clear();
  rig.notifier().hold();
  rig.link().answer(
      rig.link().find(Op::kAppend),
      AppendReply{.offset = 4,
                  .attributes = AttributesOf{.inode = 7, .size = 8, .order = 11, .version = 11},
                  .grant = rig.grant()});
  EXPECT_FALSE(written->is_done()) << "its page has zeros where the line is";
  rig.notifier().deliver_all();
  rig.posted().run_all();
  EXPECT_EQ(status_of(written), Status::kOk);
}

// A mapping of a file that is written past the pages: two mounts that write, and read it so, would
// wait for each other. What the page shows may be of before the write, and goes with its end.
TEST(Pages, AMappingOfADirectFileIsReadBesideItsWrites) {
  CoreRig rig({.is_shared = true});
  const NodeId file =
      rig.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 4, .order = 10, .version = 10});
  const std::uint64_t direct = rig.open(file, O_RDWR | O_DIRECT);
  const auto written = rig.start(
      rig.files().write({.node = file, .handle = direct, .offset = 0}, CoreRig::slice("new!")));
  rig.files().send_writes(file);
  ASSERT_FALSE(written->is_done());
  const auto call = rig.start(rig.files().read(direct, 0, 4));
  EXPECT_FALSE(rig.link().has(Op::kRead)) << "a program that reads what is written gets it";
  const auto page = rig.start(rig.files().read(direct, 0, 4, /*is_page=*/true));
  ASSERT_TRUE(rig.link().has(Op::kRead)) << "it holds the page, and waits for the write";
  rig.answer_read(rig.link().find(Op::kRead), "old!");
  ASSERT_TRUE(page->is_done());
  rig.notifier().clear();
  rig.answer_change(rig.link().find(Op::kWrite),
                    AttributesOf{.inode = 7, .size = 4, .order = 11, .version = 11});
  rig.posted().run_all();
  EXPECT_EQ(status_of(written), Status::kOk);
  EXPECT_TRUE(rig.notifier().was_told({.kind = Notice::Kind::kData, .node = file}));
  rig.answer_read(rig.link().find(Op::kRead), "new!");
  EXPECT_TRUE(call->is_done());
}

class PagesOfNewEnds : public ::testing::Test {
 protected:
  // A program reads the file through pages; another mount has appended, and its event is to come.
  PagesOfNewEnds() : rig_({.is_shared = true}) {
    file_ = rig_.look_up(kRootNode, "f", of(3, 10));
    const std::uint64_t reader = rig_.open(file_, O_RDONLY);
    const auto read = rig_.start(rig_.files().read(reader, 0, 100));
    rig_.answer_read(rig_.link().find(Op::kRead), "old");
    EXPECT_TRUE(read->is_done());
    (void)rig_.link().changed({{.inode = InodeNumber{7}}}, 25);  // a chmod(2)
    rig_.notifier().deliver_all();
    rig_.notifier().clear();
  }
  static Attributes of(std::uint64_t size, std::uint64_t order) {
    return AttributesOf{.inode = 7, .size = size, .order = order, .version = order};
  }
  bool is_told_end(std::uint64_t end, char last) {
    return rig_.notifier().was_told({.kind = Notice::Kind::kEnd,
                                     .node = file_,
                                     .name = {},
                                     .place = end,
                                     .last = static_cast<std::byte>(last)});
  }
  // The file has grown to 9 bytes, of which the last is an x.
  void expect_told_beside_the_answer() {
    const auto asked = rig_.start(rig_.files().getattr(file_));
    rig_.answer_attributes(rig_.link().find(Op::kGetattr), of(9, 32));
    EXPECT_FALSE(asked->is_done());
    rig_.answer_read(rig_.link().find(Op::kRead), "x");
    rig_.posted().run_all();
    EXPECT_TRUE(is_told_end(9, 'x'));
  }

  CoreRig rig_;
  NodeId file_{};
};

// Told of it, the kernel shows zeros behind the old end, in the page that it has.
TEST_F(PagesOfNewEnds, AreNotToldByALookupBeforeThePagesAreVoid) {
  rig_.notifier().hold();
  const auto found = rig_.start(rig_.files().lookup(kRootNode, "f"));
  rig_.link().answer(rig_.link().find(Op::kLookup), LookupReply{of(5, 30), ""});
  const bool is_told = found->is_done() && (**found)->attributes.size == 5;
  EXPECT_FALSE(is_told && !rig_.notifier().was_told({.kind = Notice::Kind::kData, .node = file_}));
}

// A write of this mount that is under way goes past the pages: they are none the newer for it.
TEST_F(PagesOfNewEnds, AreNotToldBeforeThePagesAreVoidThoughTheFileIsBeingWritten) {
  const std::uint64_t writer = rig_.open(file_, O_RDWR);
  (void)rig_.link().changed({{.inode = InodeNumber{7}}}, 26);
  rig_.notifier().deliver_all();
  rig_.notifier().clear();
  const auto asked = rig_.start(rig_.files().getattr(file_));
  const auto request = rig_.link().find(Op::kGetattr);
  const auto written = rig_.start(
      rig_.files().write({.node = file_, .handle = writer, .offset = 0}, CoreRig::slice("x")));
  rig_.files().send_writes(file_);
  rig_.notifier().hold();
  rig_.answer_attributes(request, of(5, 30));
  const bool is_told = asked->is_done() && (**asked)->attributes.size == 5;
  EXPECT_FALSE(is_told && !rig_.notifier().was_told({.kind = Notice::Kind::kData, .node = file_}));
}

// The kernel does not keep the answer, and lseek(2) goes by the end of before.
TEST_F(PagesOfNewEnds, AreToldBesideTheAnswerThatTheKernelDoesNotKeep) {
  (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = 9}}, 30);
  const auto asked = rig_.start(rig_.files().getattr(file_));
  (void)rig_.link().changed({{.inode = InodeNumber{7}}}, 31);
  rig_.answer_attributes(rig_.link().find(Op::kGetattr), of(9, 32));
  EXPECT_FALSE(asked->is_done());
  const auto read = rig_.link().find(Op::kRead);
  EXPECT_EQ(FakeLink::message<ReadRequest>(read).offset, 8u);
  EXPECT_EQ(FakeLink::message<ReadRequest>(read).length, 1u);
  rig_.answer_read(read, "x");
  rig_.posted().run_all();
  ASSERT_TRUE(asked->is_done() && asked->value->has_value());
  EXPECT_TRUE(is_told_end(9, 'x'));
}

// By the time we take a question the kernel may have been told meanwhile. Who has locked the file
// goes by the end, and asks after he has got the lock.
TEST_F(PagesOfNewEnds, AreToldToWhoHasLockedTheFileWhateverTheKernelWasToldSince) {
  const std::uint64_t writer = rig_.open(file_, O_RDWR);
  const auto lock = rig_.files().locks().begin();
  const auto locked = rig_.start(rig_.files().set_lock(
      {.locker = {file_, LockKind::kWhole, 1}, .type = LockType::kExclusive, .handle = writer},
      lock));
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
  rig_.posted().run_all();
  ASSERT_TRUE(locked->is_done());
  rig_.notifier().invalidate_data(file_);
  expect_told_beside_the_answer();
}

// Nor does it keep what a program asks for that is about to read: it would read too little.
TEST_F(PagesOfNewEnds, AreToldToAReaderWhileOthersChangeTheFile) {
  (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = 9}}, 30);
  rig_.notifier().deliver_all();
  expect_told_beside_the_answer();
}

// The byte that was read may be another one by then, and would stay in the kernel's page.
TEST_F(PagesOfNewEnds, AreNotToldWithAByteOfBefore) {
  (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = 9}}, 30);
  const auto asked = rig_.start(rig_.files().getattr(file_));
  rig_.answer_attributes(rig_.link().find(Op::kGetattr), of(9, 32));
  const auto read = rig_.link().find(Op::kRead);
  (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = 9}}, 33);
  rig_.answer_read(read, "o");
  rig_.posted().run_all();
  EXPECT_FALSE(asked->is_done());
  rig_.answer_read(rig_.link().find(Op::kRead), "n");
  rig_.posted().run_all();
  EXPECT_TRUE(asked->is_done());
  EXPECT_TRUE(is_told_end(9, 'n'));
  EXPECT_FALSE(is_told_end(9, 'o'));
}

// While the kernel keeps no attributes, a notice would only spoil those on their way.
TEST_F(PagesOfNewEnds, AreNotSpoiledByAChangeOfAttributes) {
  rig_.notifier().clear();
  (void)rig_.link().changed({{.inode = InodeNumber{7}}}, 40);
  rig_.notifier().deliver_all();
  EXPECT_FALSE(rig_.notifier().was_told({.kind = Notice::Kind::kAttributes, .node = file_}));
}

// An end that was read long ago, and comes now, hides a newer one.
TEST_F(PagesOfNewEnds, AreToldBesideTheAnswerThatComesWithAnOlderEnd) {
  (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = 9}}, 30);
  const auto asked = rig_.start(rig_.files().getattr(file_));
  rig_.notifier().set_end(file_, 5, std::byte{'o'});
  rig_.answer_attributes(rig_.link().find(Op::kGetattr), of(9, 32));
  EXPECT_FALSE(asked->is_done());
  EXPECT_TRUE(rig_.link().has(Op::kRead));
}

}  // namespace
}  // namespace homefs
