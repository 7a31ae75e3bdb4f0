// Lock requests whose programs do not wait for the answer any more.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;
using test::RunningRef;
using test::status_of;

class InterruptedLocks : public ::testing::Test {
 protected:
  InterruptedLocks() {
    file_ = rig_.look_up(kRootNode, "f", AttributesOf{.inode = 7, .size = 4, .order = 10});
    handle_ = rig_.open(file_, O_RDWR);
    id_ = rig_.files().locks().begin();
  }
  // Without waiting for other owners, as F_SETLK and LOCK_NB.
  RunningRef<Result<>> ask(LockType type) {
    return rig_.start(
        rig_.files().set_lock({.locker = owner(), .type = type, .handle = handle_}, id_));
  }
  FileLocker owner() const { return {file_, LockKind::kRecord, 1}; }
  void grant() {
    rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
    rig_.posted().run_all();
  }

  CoreRig rig_;
  NodeId file_{};
  std::uint64_t handle_ = 0;
  std::uint64_t id_ = 0;
};

TEST_F(InterruptedLocks, AreTakenBackThoughTheyMayHaveBeenGranted) {
  const auto asked = ask(LockType::kExclusive);
  rig_.files().locks().end_request(id_, Status::kInterrupted);
  EXPECT_EQ(status_of(asked), Status::kInterrupted);
  const auto cancel = FakeLink::message<CancelLockRequest>(rig_.link().find(Op::kCancelLock));
  EXPECT_EQ(cancel.id, id_);
  grant();
  EXPECT_FALSE(rig_.files().locks().may_hold(owner()));
}

TEST_F(InterruptedLocks, AreHeldWhenTheAnswerCameFirst) {
  const auto asked = ask(LockType::kExclusive);
  grant();
  rig_.files().locks().end_request(id_, Status::kInterrupted);
  EXPECT_EQ(status_of(asked), Status::kOk);
  EXPECT_FALSE(rig_.link().has(Op::kCancelLock));
  EXPECT_TRUE(rig_.files().locks().may_hold(owner()));
}

// A shared one waits for data to leave before it is asked for at all.
TEST_F(InterruptedLocks, AreNotAskedForWhereTheyWaitForData) {
  rig_.link().break_control();
  const auto written = rig_.start(
      rig_.files().write({.node = file_, .handle = handle_, .offset = 0}, CoreRig::slice("data")));
  ASSERT_EQ(status_of(written), Status::kOk);
  const auto asked = ask(LockType::kShared);
  ASSERT_FALSE(asked->is_done());
  rig_.files().locks().end_request(id_, Status::kTimedOut);
  EXPECT_EQ(status_of(asked), Status::kTimedOut);
  rig_.link().reconnect();
  rig_.answer_change(rig_.link().find(Op::kWrite),
                     AttributesOf{.inode = 7, .size = 4, .order = 11, .version = 2});
  rig_.posted().run_all();
  EXPECT_EQ(rig_.link().sent_count(Op::kLock), 0);
}

}  // namespace
}  // namespace homefs
