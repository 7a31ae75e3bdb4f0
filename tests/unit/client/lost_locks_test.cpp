// Locks and breaks: what the server has lost with the session, and what a connection took with it.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::RunningRef;
using test::status_of;

class LostLocks : public ::testing::Test {
 protected:
  LostLocks() {
    file_ = rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 4, .order = 10});
  }
  void lock(std::uint64_t handle) {
    const auto id = rig_.files().locks().begin();
    const auto locked = rig_.start(rig_.files().set_lock(
        {.locker = {file_, LockKind::kWhole, 1}, .type = LockType::kExclusive, .handle = handle},
        id));
    rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
    rig_.posted().run_all();
    ASSERT_EQ(status_of(locked), Status::kOk);
  }
  void begin_new_session() {
    rig_.link().break_control();
    order_ += 100;
    rig_.link().reconnect({.is_same_session = false,
                           .are_caches_valid = false,
                           .is_new_incarnation = true,
                           .order = order_});
  }
  void lose_session() {
    begin_new_session();
    settle();
  }
  void settle() {
    do {
      rig_.posted().run_all();
      if (rig_.link().has(Op::kLock)) {
        rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
      }
      if (rig_.link().has(Op::kGetattr)) {
        rig_.answer_attributes(rig_.link().find(Op::kGetattr), now());
      }
      if (rig_.link().has(Op::kWrite)) rig_.answer_change(rig_.link().find(Op::kWrite), now());
    } while (rig_.posted().size() > 0 || rig_.link().has(Op::kLock) ||
             rig_.link().has(Op::kGetattr) || rig_.link().has(Op::kWrite));
  }
  Attributes now() { return AttributesOf{.inode = 7, .size = 4, .order = ++order_}; }
  // A program that has nothing to do with the one before.
  std::uint64_t open_anew() {
    const auto opened = rig_.start(rig_.files().open(file_, O_RDWR));
    settle();
    EXPECT_TRUE(opened->is_done() && opened->value->has_value());
    return (**opened)->handle;
  }
  RunningRef<Result<>> start_write(std::uint64_t handle) {
    return rig_.start(
        rig_.files().write({.node = file_, .handle = handle}, CoreRig::slice("next")));
  }
  Status write(std::uint64_t handle) {
    const auto written = start_write(handle);
    rig_.files().send_held_writes();
    settle();
    return status_of(written);
  }
  Status write_and_close(std::uint64_t handle) {
    const Status written = write(handle);
    const auto closed = rig_.start(rig_.files().close(file_, handle, 2));
    settle();
    rig_.files().release_with_locks(handle);
    settle();
    return written == Status::kOk ? status_of(closed) : written;
  }
  Status open_and_write() { return write_and_close(open_anew()); }
  // A page of a mapping, which the kernel writes back through any handle.
  Status write_page(std::uint64_t handle) {
    const auto written =
        rig_.start(rig_.files().write({.node = file_, .handle = handle, .is_page = true},
                                      CoreRig::slice(std::string(4096, 'p'))));
    rig_.files().send_held_writes();
    settle();
    return status_of(written);
  }
  Status sync(std::uint64_t handle) {
    const auto synced = rig_.start(rig_.files().fsync(file_, handle, false));
    settle();
    if (rig_.link().has(Op::kFsync)) {
      rig_.link().answer(rig_.link().find(Op::kFsync), EmptyMessage{});
    }
    return status_of(synced);
  }

  CoreRig rig_;
  NodeId file_{};
  std::uint64_t order_ = 10;
};

// The program is killed while the server is away: its handle is gone, its data and its lock wait.
TEST_F(LostLocks, OfAProgramThatIsGoneHinderNobody) {
  const std::uint64_t handle = rig_.open(file_, O_RDWR);
  lock(handle);
  rig_.link().break_control();
  const auto written = rig_.start(
      rig_.files().write({.node = file_, .handle = handle, .offset = 0}, CoreRig::slice("data")));
  ASSERT_EQ(status_of(written), Status::kOk) << "it is buffered";
  rig_.files().release_with_locks(handle);
  lose_session();
  // Its error is for who opens the file next; after that all is well.
  (void)open_and_write();
  EXPECT_EQ(open_and_write(), Status::kOk);
  EXPECT_EQ(open_and_write(), Status::kOk);
}

// Whoever has the file open as well may write it as before, while the program that has lost its
// lock still runs.
TEST_F(LostLocks, OfAProgramThatGoesOnHinderNobodyElse) {
  const std::uint64_t holder = rig_.open(file_, O_RDWR);
  const std::uint64_t other = rig_.open(file_, O_RDWR);
  lock(holder);
  lose_session();
  EXPECT_EQ(write(holder), Status::kIoError);
  EXPECT_EQ(write(other), Status::kOk);
  EXPECT_EQ(sync(other), Status::kOk);
  EXPECT_EQ(open_and_write(), Status::kOk);
  SetattrRequest cut{.node = file_, .which = kSetSize, .size = 2};
  EXPECT_FALSE(rig_.start(rig_.files().setattr(cut, holder))->value->has_value());
  const auto cut_by_other = rig_.start(rig_.files().setattr(cut, other));
  rig_.answer_change(rig_.link().find(Op::kSetattr), now());
  EXPECT_TRUE(cut_by_other->is_done() && cut_by_other->value->has_value());
  rig_.files().release_with_locks(holder);
}

// What was under way when the lock was lost is refused, whoever wrote it: which writes relied on
// the lock nobody can tell. It is told once to each who has the file open; then all is well.
TEST_F(LostLocks, RefuseWhatWasWrittenWhileTheyWereHeldAndNothingLater) {
  const std::uint64_t holder = rig_.open(file_, O_RDWR);
  const std::uint64_t other = rig_.open(file_, O_RDWR);
  lock(holder);
  rig_.link().break_control();
  ASSERT_EQ(status_of(start_write(holder)), Status::kOk) << "it is buffered";
  const int sent = rig_.link().sent_count(Op::kWrite);
  lose_session();
  rig_.files().send_held_writes();
  settle();
  EXPECT_EQ(rig_.link().sent_count(Op::kWrite), sent)
      << "under a lock that another may have by now";
  EXPECT_EQ(write(other), Status::kIoError) << "the loss, told once";
  EXPECT_EQ(write(other), Status::kOk);
  EXPECT_EQ(sync(other), Status::kOk);
}

// A cut that was begun under the lock, and waits for data to leave.
TEST_F(LostLocks, RefuseACutThatWasBegunUnderThem) {
  const std::uint64_t holder = rig_.open(file_, O_RDWR);
  lock(holder);
  rig_.link().break_control();
  ASSERT_EQ(status_of(start_write(holder)), Status::kOk);
  const auto cut =
      rig_.start(rig_.files().setattr({.node = file_, .which = kSetSize, .size = 2}, /*handle=*/0));
  ASSERT_FALSE(cut->is_done());
  lose_session();
  ASSERT_TRUE(cut->is_done());
  EXPECT_FALSE(cut->value->has_value());
  EXPECT_EQ(rig_.link().sent_count(Op::kSetattr), 0);
}

// Before anybody had the lock nobody relied on it.
TEST_F(LostLocks, DoNotRefuseWhatWasWrittenBeforeThem) {
  const std::uint64_t holder = rig_.open(file_, O_RDWR);
  rig_.link().break_control();
  const auto asked = rig_.start(rig_.files().set_lock({.locker = {file_, LockKind::kWhole, 1},
                                                       .type = LockType::kExclusive,
                                                       .waits = true,
                                                       .handle = holder},
                                                      rig_.files().locks().begin()));
  ASSERT_FALSE(asked->is_done());
  ASSERT_EQ(status_of(start_write(holder)), Status::kOk);
  const int sent = rig_.link().sent_count(Op::kWrite);
  lose_session();
  rig_.files().send_held_writes();
  settle();
  EXPECT_EQ(rig_.link().sent_count(Op::kWrite), sent + 1);
  EXPECT_EQ(sync(holder), Status::kOk);
}

// Stores through a mapping are nobody's: they may be of the program that has lost its lock.
TEST_F(LostLocks, RefusePagesWhileWhoeverHadThemMayStore) {
  const std::uint64_t other = rig_.open(file_, O_RDWR);
  const std::uint64_t reader = rig_.open(file_, O_RDONLY);
  lock(reader);
  lose_session();
  EXPECT_EQ(write_page(other), Status::kOk) << "nobody stores through what is open for reading";
  const std::uint64_t holder = rig_.open(file_, O_RDWR);
  lock(holder);
  lose_session();
  EXPECT_EQ(write_page(other), Status::kIoError);
  rig_.files().release_with_locks(holder);
  settle();
  EXPECT_EQ(write_page(other), Status::kOk);
}

// The answer "queued" and the event "granted" go down with the connection. The request is sent
// again, and the server has the old answer for it.
TEST_F(LostLocks, AGrantThatWentDownWithTheConnectionIsAskedFor) {
  const std::uint64_t handle = rig_.open(file_, O_RDWR);
  const auto locked = rig_.start(rig_.files().set_lock({.locker = {file_, LockKind::kWhole, 1},
                                                        .type = LockType::kExclusive,
                                                        .waits = true,
                                                        .handle = handle},
                                                       rig_.files().locks().begin()));
  ASSERT_TRUE(rig_.link().has(Op::kLock));
  rig_.link().break_control();
  rig_.link().reconnect({.is_same_session = true, .order = ++order_});
  rig_.posted().run_all();
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = false});
  rig_.posted().run_all();
  ASSERT_TRUE(rig_.link().has(Op::kLock)) << "it waits for an event that will not come";
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
  rig_.posted().run_all();
  EXPECT_EQ(status_of(locked), Status::kOk);
}

// The server has granted it, and the program is to have it when the kernel has been told of what
// others have changed. Meanwhile the session is lost, and another mount gets the lock.
TEST_F(LostLocks, OneThatIsGrantedInASessionThatIsLostBeforeItIsGivenIsAskedForAnew) {
  const std::uint64_t handle = rig_.open(file_, O_RDWR);
  rig_.notifier().hold();
  rig_.notifier().invalidate_data(file_);
  const auto locked = rig_.start(rig_.files().set_lock(
      {.locker = {file_, LockKind::kWhole, 1}, .type = LockType::kExclusive, .handle = handle},
      rig_.files().locks().begin()));
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
  rig_.posted().run_all();
  ASSERT_FALSE(locked->is_done());
  begin_new_session();
  rig_.notifier().hold(false);
  rig_.notifier().deliver_all();
  rig_.posted().run_all();
  ASSERT_FALSE(locked->is_done()) << "it is the other mount's";
  rig_.link().refuse(rig_.link().find(Op::kLock), Status::kWouldBlock);
  settle();
  EXPECT_EQ(status_of(locked), Status::kWouldBlock);
}

// After a break the request is to be made again; before that a signal ends the wait.
TEST_F(LostLocks, ARequestThatIsInterruptedAfterABreakIsNotMadeAgain) {
  const std::uint64_t handle = rig_.open(file_, O_RDWR);
  const std::uint64_t id = rig_.files().locks().begin();
  const auto locked = rig_.start(rig_.files().set_lock({.locker = {file_, LockKind::kWhole, 1},
                                                        .type = LockType::kExclusive,
                                                        .waits = true,
                                                        .handle = handle},
                                                       id));
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = false});
  rig_.link().break_control();
  rig_.link().reconnect({.is_same_session = true, .order = ++order_});
  rig_.files().locks().interrupt(id);
  rig_.posted().run(rig_.posted().size() - 1);
  EXPECT_EQ(status_of(locked), Status::kInterrupted);
  ASSERT_TRUE(rig_.link().has(Op::kCancelLock));
  rig_.posted().run_all();
  EXPECT_FALSE(rig_.link().has(Op::kLock)) << "nobody gives it free";
}

}  // namespace
}  // namespace homefs
