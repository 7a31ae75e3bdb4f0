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
  void lose_session() {
    rig_.link().break_control();
    order_ += 100;
    rig_.link().reconnect({.is_same_session = false,
                           .are_caches_valid = false,
                           .is_new_incarnation = true,
                           .order = order_});
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
  Status open_and_write() {
    const auto opened = rig_.start(rig_.files().open(file_, O_RDWR));
    settle();
    EXPECT_TRUE(opened->is_done() && opened->value->has_value());
    const auto written = rig_.start(rig_.files().write(
        {.node = file_, .handle = (**opened)->handle, .offset = 0}, CoreRig::slice("next")));
    rig_.files().send_held_writes();
    settle();
    const auto closed = rig_.start(rig_.files().close(file_, (**opened)->handle, 2));
    settle();
    rig_.files().release_with_locks((**opened)->handle);
    settle();
    return status_of(written) == Status::kOk ? status_of(closed) : status_of(written);
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

}  // namespace
}  // namespace homefs
