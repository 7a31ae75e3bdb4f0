// The data of files in the client core: what is decided together with what is done, and who is told
// of an error.
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

constexpr std::uint64_t kInode = 7;

// One file, and a server that counts its answers.
class DataRig : public CoreRig {
 public:
  explicit DataRig(std::uint64_t size, const Options& options = {})
      : CoreRig(options), size_(size) {
    node = look_up(kRootNode, "file", now(size));
  }
  /// The file as the server has it from now on.
  Attributes now(std::uint64_t size) {
    ++order_;
    return AttributesOf{.inode = kInode, .size = size, .order = order_, .version = order_};
  }
  std::uint64_t open(int flags) { return CoreRig::open(node, flags); }
  RunningRef<Result<>> write(WriteTarget to, std::string_view text) {
    to.node = node;
    auto written = start(files().write(to, slice(text)));
    files().send_writes(node);
    posted().run_all();
    return written;
  }
  /// Answers the oldest WRITE; the file then has `size` bytes.
  void wrote(std::uint64_t size) { answer_change(link().find(Op::kWrite), now(size)); }
  RunningRef<Result<>> begin_fsync(std::uint64_t handle, bool data_only = false) {
    return start(files().fsync(node, handle, data_only));
  }
  Status fsync(std::uint64_t handle) {
    const auto synced = begin_fsync(handle);
    if (link().has(Op::kFsync)) link().answer(link().find(Op::kFsync), EmptyMessage{});
    return status_of(synced);
  }
  Status close(std::uint64_t handle) { return status_of(start(files().flush(node, handle))); }
  /// Another mount comes, changes the file, and leaves.
  void be_changed_by_another() {
    link().mode(true);
    while (link().has(Op::kGetattr)) answer_attributes(link().find(Op::kGetattr), now(size_));
    link().changed({{.inode = InodeNumber{kInode}, .has_data = true}}, ++order_);
    link().mode(false);
  }
  bool was_told_of_data() {
    return notifier().was_told({.kind = Notice::Kind::kData, .node = node});
  }

  NodeId node{};

 private:
  std::uint64_t size_;
  std::uint64_t order_ = 1;
};

// A reader that waits is woken by a write. Were the write not to be seen by then, it would fetch,
// and keep, what the write is about to replace.
TEST(FileData, AReaderThatAWriteWakesFindsTheWrite) {
  DataRig rig(4, {.is_shared = true});
  const std::uint64_t handle = rig.open(O_RDWR);
  const auto read = rig.start(rig.files().read(handle, 0, 4));
  const auto fetch = rig.link().find(Op::kRead);
  const auto written = rig.write({.handle = handle}, "new!");
  EXPECT_EQ(rig.link().sent_count(Op::kRead), 1) << "asked again before the write was there";
  rig.answer_read(fetch, "old!");
  EXPECT_FALSE(read->is_done());
  rig.wrote(4);
  EXPECT_EQ(status_of(written), Status::kOk);
  rig.answer_read(rig.link().find(Op::kRead), "new!");
  ASSERT_TRUE(read->is_done());
  EXPECT_EQ(CoreRig::text(***read), "new!");
}

// It holds a page, for which another mount's change may wait, and that for the write.
TEST(FileData, AReaderOfPagesDoesNotWaitForWritesThatNoProgramHasDoneYet) {
  DataRig rig(4, {.is_shared = true});
  const std::uint64_t reader = rig.open(O_RDONLY);
  const std::uint64_t writer = rig.open(O_RDWR);
  const auto written = rig.write({.handle = writer}, "new!");
  ASSERT_FALSE(written->is_done());
  const auto read = rig.start(rig.files().read(reader, 0, 4));
  rig.answer_read(rig.link().find(Op::kRead), "old!");
  ASSERT_TRUE(read->is_done());
  EXPECT_EQ(CoreRig::text(***read), "old!");
}

// The kernel drops the pages of a write that passes them before it, or not at all: what a program
// reads meanwhile would stay.
TEST(FileData, AWriteThatPassesPagesEndsWhenTheKernelHasDroppedThem) {
  for (const bool is_shared : {true, false}) {
    for (const bool is_append : {true, false}) {
      DataRig rig(4, {.is_shared = is_shared});
      (void)rig.open(O_RDONLY);
      const std::uint64_t writer = rig.open(is_append || !is_shared ? O_RDWR | O_APPEND : O_RDWR);
      rig.notifier().hold();
      const auto written =
          rig.write({.handle = writer, .offset = 4, .is_append = is_append}, "new!");
      while (rig.link().has(Op::kWrite)) rig.wrote(8);
      while (rig.link().has(Op::kAppend)) {
        rig.link().answer(rig.link().find(Op::kAppend),
                          AppendReply{.offset = 4, .attributes = rig.now(8)});
      }
      EXPECT_FALSE(written->is_done()) << is_shared << is_append;
      rig.notifier().deliver_all();
      rig.posted().run_all();
      EXPECT_TRUE(rig.was_told_of_data());
      EXPECT_EQ(status_of(written), Status::kOk);
    }
  }
}

// Its last page ends in zeros there, where the new line is to be.
TEST(FileData, TheKernelHearsOfTheEndOfAnAppendWhenItHasDroppedThePagesOfBefore) {
  DataRig rig(4, {.is_shared = true});
  (void)rig.open(O_RDONLY);
  const std::uint64_t writer = rig.open(O_WRONLY | O_APPEND);
  rig.notifier().hold();
  const auto written = rig.write({.handle = writer, .offset = 4, .is_append = true}, "new!");
  rig.link().answer(rig.link().find(Op::kAppend),
                    AppendReply{.offset = 4, .attributes = rig.now(8)});
  const auto asked = rig.start(rig.files().getattr(rig.node));
  EXPECT_FALSE(asked->is_done());
  rig.notifier().deliver_all();
  rig.answer_read(rig.link().find(Op::kRead),
                  "!");  // the kernel keeps no end that it asked for then
  rig.notifier().deliver_all();
  rig.posted().run_all();
  ASSERT_TRUE(asked->is_done() && asked->value->has_value());
  EXPECT_EQ((**asked)->attributes.size, 8u);
  EXPECT_EQ(status_of(written), Status::kOk);
}

// A close waits for what was written before it; what comes meanwhile is held back behind that.
TEST(FileData, WhatIsWrittenWhileSomebodyWaitsIsSentInTime) {
  DataRig rig(0);
  const std::uint64_t handle = rig.open(O_WRONLY);
  (void)rig.write({.handle = handle}, "first");
  const auto synced = rig.begin_fsync(handle);
  (void)rig.write({.handle = handle, .offset = 100}, "second");
  rig.wrote(5);
  rig.link().answer(rig.link().find(Op::kFsync), EmptyMessage{});
  EXPECT_EQ(status_of(synced), Status::kOk);
  rig.files().send_held_writes();
  rig.files().send_held_writes();
  ASSERT_TRUE(rig.link().has(Op::kWrite));
  rig.wrote(106);
}

TEST(FileData, AnAppendGoesToTheEndThatTheMountKnowsNotToTheKernels) {
  DataRig rig(100);
  const std::uint64_t handle = rig.open(O_WRONLY | O_APPEND);
  EXPECT_EQ(status_of(rig.write({.handle = handle, .offset = 6, .is_append = true}, "x")),
            Status::kOk);
  EXPECT_TRUE(rig.was_told_of_data()) << "the kernel believes it is at 6";
  rig.notifier().clear();
  // Joined: they follow each other.
  EXPECT_EQ(status_of(rig.write({.handle = handle, .offset = 101, .is_append = true}, "y")),
            Status::kOk);
  EXPECT_FALSE(rig.was_told_of_data());
  rig.files().send_held_writes();
  const auto sent = rig.link().find(Op::kWrite);
  EXPECT_EQ(FakeLink::message<WriteRequest>(sent).offset, 100u);
  EXPECT_EQ(sent.data(), "xy");
}

TEST(FileData, AnAppendToAFileOfUnknownSizeIsPlacedByTheServer) {
  DataRig rig(6);
  const std::uint64_t handle = rig.open(O_WRONLY | O_APPEND);
  rig.be_changed_by_another();
  const WriteTarget to{.handle = handle, .offset = 6, .is_append = true};
  const auto first = rig.write(to, "first");
  // As if the program of the first had been interrupted: the next comes although it is under way.
  const auto second = rig.write(to, "second");
  EXPECT_EQ(rig.link().sent_count(Op::kWrite), 0);
  rig.link().answer(rig.link().find(Op::kAppend),
                    AppendReply{.offset = 40, .attributes = rig.now(45), .grant = rig.grant()});
  EXPECT_EQ(status_of(first), Status::kOk);
  rig.link().answer(rig.link().find(Op::kAppend),
                    AppendReply{.offset = 45, .attributes = rig.now(51), .grant = rig.grant()});
  EXPECT_EQ(status_of(second), Status::kOk);
  EXPECT_EQ(status_of(rig.write(to, "third")), Status::kOk) << "the end is known again";
  rig.files().send_held_writes();
  EXPECT_EQ(FakeLink::message<WriteRequest>(rig.link().find(Op::kWrite)).offset, 51u);
}

// Nobody knows by how much a write grows a file that another mount has cut: the server says if it
// fits.
TEST(FileData, AWriteIntoAFileOfUnknownSizeWaitsForTheServer) {
  DataRig rig(8000);
  const std::uint64_t handle = rig.open(O_WRONLY);
  rig.be_changed_by_another();
  const auto written = rig.write({.handle = handle, .offset = 100}, "data");
  EXPECT_FALSE(written->is_done());
  rig.link().refuse(rig.link().find(Op::kWrite), Status::kOverQuota);
  EXPECT_FALSE(written->is_done()) << "an answer under way may have made room: once more";
  rig.files().send_writes(rig.node);
  rig.posted().run_all();
  rig.link().refuse(rig.link().find(Op::kWrite), Status::kOverQuota);
  EXPECT_EQ(status_of(written), Status::kOverQuota);
}

TEST(FileData, AWriteOverTheGrantWaitsAndOneWithinDoesNot) {
  DataRig rig(0, {.granted = 10});
  const std::uint64_t handle = rig.open(O_WRONLY);
  EXPECT_EQ(status_of(rig.write({.handle = handle}, "0123456789")), Status::kOk);
  rig.files().send_held_writes();
  rig.wrote(10);
  EXPECT_EQ(status_of(rig.write({.handle = handle}, "01234567890123456789")), Status::kOk)
      << "grows by 10";
  const auto over = rig.write({.handle = handle, .offset = 20}, "x");
  EXPECT_FALSE(over->is_done());
}

// The program that was truncating the file is gone; another one's write comes later, and stays.
TEST(FileData, AWriteDoesNotOvertakeATruncationThatIsUnderWay) {
  DataRig rig(100);
  const std::uint64_t handle = rig.open(O_WRONLY);
  const auto cut = rig.start(rig.files().setattr({.node = rig.node, .which = kSetSize, .size = 0}));
  const auto written = rig.write({.handle = handle}, "later");
  EXPECT_FALSE(written->is_done());
  rig.answer_change(rig.link().find(Op::kSetattr), rig.now(0));
  EXPECT_TRUE(cut->is_done());
  EXPECT_EQ(status_of(written), Status::kOk);
}

TEST(FileData, AWriteOfANodeThatIsGoneIsStale) {
  DataRig rig(0);
  EXPECT_EQ(status_of(rig.start(rig.files().write({.node = NodeId{12345}}, CoreRig::slice("x")))),
            Status::kStale);
}

// What is kept for a first read is counted as long as it is kept, whatever becomes of the file.
TEST(FileData, WhatWasJustWrittenIsKeptThoughOlderFilesHaveBecomeEmpty) {
  CoreRig rig({.files = {.prefetched_bytes_max = 1000}});
  const std::string text(400, 'x');
  std::uint64_t order = 1;
  const auto attributes = [&](std::uint64_t inode, std::uint64_t size) {
    ++order;
    return AttributesOf{.inode = inode, .size = size, .order = order, .version = order};
  };
  const auto put = [&](std::uint64_t inode) {
    const NodeId node = rig.look_up(kRootNode, std::to_string(inode), attributes(inode, 0));
    const std::uint64_t handle = rig.open(node, O_WRONLY);
    const auto written =
        rig.start(rig.files().write({.node = node, .handle = handle}, CoreRig::slice(text)));
    rig.files().send_held_writes();
    rig.answer_change(rig.link().find(Op::kWrite), attributes(inode, text.size()));
    rig.files().release(handle);
    return node;
  };
  for (const std::uint64_t inode : {7, 8}) {
    const NodeId node = put(inode);
    const auto cut = rig.start(rig.files().setattr({.node = node, .which = kSetSize}));
    rig.answer_change(rig.link().find(Op::kSetattr), attributes(inode, 0));
    EXPECT_TRUE(cut->is_done());
  }
  const NodeId last = put(9);
  const auto read = rig.start(rig.files().read(rig.open(last, O_RDONLY), 0, 400));
  EXPECT_FALSE(rig.link().has(Op::kRead));
  ASSERT_TRUE(read->is_done());
  EXPECT_EQ(CoreRig::text(***read), text);
}

// ---- Errors -------------------------------------------------------------------------------------

// A file with two writers whose data was accepted, and did not fit on the server's disk.
class FailedWrite : public ::testing::Test {
 protected:
  FailedWrite() {
    EXPECT_EQ(status_of(rig_.write({.handle = writer_}, "lost")), Status::kOk);
    rig_.files().send_held_writes();
    rig_.link().refuse(rig_.link().find(Op::kWrite), Status::kNoSpace);
  }

  DataRig rig_{0};
  std::uint64_t writer_ = rig_.open(O_WRONLY);
  std::uint64_t other_ = rig_.open(O_WRONLY);
  std::uint64_t reader_ = rig_.open(O_RDONLY);
};

TEST_F(FailedWrite, IsToldToEachWhoHasTheFileOpenOnce) {
  EXPECT_EQ(rig_.fsync(writer_), Status::kNoSpace);
  EXPECT_EQ(rig_.fsync(writer_), Status::kOk);
  EXPECT_EQ(rig_.fsync(other_), Status::kNoSpace);
  EXPECT_EQ(rig_.fsync(reader_), Status::kNoSpace) << "fsync(2) of a descriptor that reads, too";
  EXPECT_EQ(rig_.fsync(rig_.open(O_WRONLY)), Status::kOk) << "opened after it was told";
}

TEST_F(FailedWrite, IsNotTakenByAClose) {
  EXPECT_EQ(rig_.close(writer_), Status::kNoSpace) << "of a copy of the descriptor, in a child";
  EXPECT_EQ(rig_.close(reader_), Status::kOk) << "it has written nothing";
  EXPECT_EQ(rig_.fsync(writer_), Status::kNoSpace);
  EXPECT_EQ(rig_.close(writer_), Status::kOk) << "it was told";
}

TEST_F(FailedWrite, IsNotTakenByWhoOnlyLooks) {
  const auto found =
      rig_.start(rig_.files().seek({.node = rig_.node, .whence = SeekWhence::kData}));
  if (!found->is_done()) rig_.link().answer(rig_.link().find(Op::kSeek), SeekReply{});
  ASSERT_TRUE(found->is_done());
  EXPECT_TRUE(found->value->has_value());
  const NodeId target = rig_.look_up(kRootNode, "copy", AttributesOf{.inode = 8});
  const std::uint64_t handle = rig_.CoreRig::open(target, O_WRONLY);
  const auto copied =
      rig_.start(rig_.files().copy({.source = rig_.node, .target = target, .length = 4}, handle));
  rig_.link().answer(rig_.link().find(Op::kCopy),
                     CopyReply{.length = 4, .attributes = AttributesOf{.inode = 8, .size = 4}});
  ASSERT_TRUE(copied->is_done());
  EXPECT_TRUE(copied->value->has_value());
  EXPECT_EQ(rig_.fsync(writer_), Status::kNoSpace);
}

TEST_F(FailedWrite, IsToldToTheNextWriteOfEach) {
  EXPECT_EQ(status_of(rig_.write({.handle = writer_, .offset = 4}, "more")), Status::kNoSpace);
  const auto page = rig_.write({.handle = other_, .is_page = true}, "page");
  EXPECT_EQ(status_of(page), Status::kOk) << "the kernel's, for nobody";
  rig_.files().send_held_writes();
  rig_.wrote(4);
  EXPECT_EQ(status_of(rig_.write({.handle = other_, .offset = 4}, "more")), Status::kNoSpace);
  EXPECT_EQ(rig_.fsync(writer_), Status::kOk);
}

// Its program was killed, and the data did not fit afterwards.
TEST(FileData, AnErrorThatNobodyHasHeardOfIsToldToWhoOpensTheFileNext) {
  DataRig rig(0);
  const std::uint64_t first = rig.open(O_WRONLY);
  EXPECT_EQ(status_of(rig.write({.handle = first}, "lost")), Status::kOk);
  rig.files().release(first);
  rig.link().refuse(rig.link().find(Op::kWrite), Status::kNoSpace);
  const std::uint64_t second = rig.open(O_WRONLY);
  EXPECT_EQ(rig.fsync(second), Status::kNoSpace);
  rig.files().release(second);
  EXPECT_EQ(rig.fsync(rig.open(O_WRONLY)), Status::kOk);
}

TEST(FileData, AFailedSyncIsToldToEachWhoHasTheFileOpen) {
  DataRig rig(4);
  const std::uint64_t one = rig.open(O_WRONLY);
  const std::uint64_t two = rig.open(O_WRONLY);
  const auto first = rig.begin_fsync(one);
  rig.link().refuse(rig.link().find(Op::kFsync), Status::kIoError);
  EXPECT_EQ(status_of(first), Status::kIoError);
  EXPECT_EQ(rig.fsync(two), Status::kIoError);
  EXPECT_EQ(rig.fsync(one), Status::kOk);
  EXPECT_EQ(rig.fsync(two), Status::kOk);
}

// ---- O_SYNC -------------------------------------------------------------------------------------

// Of a file that it writes to without pages the kernel leaves O_SYNC to us.
TEST(FileData, ASynchronousWriteWithoutPagesIsOnTheServersDisk) {
  DataRig rig(0);
  const std::uint64_t handle = rig.open(O_WRONLY | O_APPEND);
  WriteTarget to{.handle = handle, .is_append = true, .is_synced = true, .is_data_synced = true};
  const auto all = rig.write(to, "line");
  rig.wrote(4);
  EXPECT_FALSE(all->is_done());
  auto sync = rig.link().find(Op::kFsync);
  EXPECT_FALSE(FakeLink::message<FsyncRequest>(sync).data_only);
  rig.link().answer(sync, EmptyMessage{});
  EXPECT_EQ(status_of(all), Status::kOk);
  to.is_synced = false;
  to.offset = 4;
  const auto data = rig.write(to, "line");
  rig.wrote(8);
  sync = rig.link().find(Op::kFsync);
  EXPECT_TRUE(FakeLink::message<FsyncRequest>(sync).data_only);
  rig.link().refuse(sync, Status::kIoError);
  EXPECT_EQ(status_of(data), Status::kIoError);
}

TEST(FileData, ASynchronousWriteThroughPagesIsTheKernelsToSync) {
  DataRig rig(0);
  const std::uint64_t handle = rig.open(O_WRONLY);
  EXPECT_EQ(
      status_of(rig.write({.handle = handle, .is_synced = true, .is_data_synced = true}, "line")),
      Status::kOk);
}

}  // namespace
}  // namespace homefs
