// Stores through mmap(2): pages that the kernel writes back when it likes, or when it is told to.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/client/core_rig.h"

namespace homefs {
namespace {

using test::AttributesOf;
using test::CoreRig;
using test::FakeLink;
using test::Notice;

constexpr std::uint64_t kPage = 4096;

class MappedPages : public testing::Test {
 protected:
  explicit MappedPages(bool is_shared = false) : rig_({.is_shared = is_shared}) {
    file_ = rig_.look_up(kRootNode, "file", file_of(2 * kPage, 10));
    handle_ = rig_.open(file_, O_RDWR);
    // The kernel writes its dirty page back before it drops it.
    rig_.notifier().listen([this](const Notice& notice) {
      if (notice.kind != Notice::Kind::kData || !std::exchange(is_page_dirty_, false)) return;
      write_back(0);
    });
    rig_.notifier().clear();
  }

  static Attributes file_of(std::uint64_t size, std::uint64_t order) {
    return AttributesOf{.inode = 7, .size = size, .order = order, .version = order};
  }
  void write_back(std::uint64_t offset) {
    const WriteTarget page{.node = file_, .handle = handle_, .offset = offset, .is_page = true};
    const auto written =
        rig_.start(rig_.files().write(page, CoreRig::slice(std::string(kPage, 'p'))));
    EXPECT_TRUE(written->is_done()) << "the kernel has the page locked meanwhile";
    rig_.files().send_writes(file_);
  }
  FakeLink::Request page_sent() {
    rig_.files().send_held_writes();
    return rig_.link().find(Op::kWrite);
  }
  static std::uint64_t page_order(const FakeLink::Request& request) {
    return FakeLink::message<WriteRequest>(request).page_order;
  }

  CoreRig rig_;
  NodeId file_{};
  std::uint64_t handle_ = 0;
  bool is_page_dirty_ = true;
};

class SharedMappedPages : public MappedPages {
 protected:
  SharedMappedPages() : MappedPages(/*is_shared=*/true) {}
};

TEST_F(SharedMappedPages, WaitForNoOtherMount) {
  write_back(0);  // expects that
  EXPECT_NE(page_order(page_sent()), 0u);
}

TEST_F(SharedMappedPages, SayUpToWhichChangeTheKernelWasTold) {
  rig_.notifier().hold();
  const auto heard = rig_.link().changed({{.inode = InodeNumber{8}, .has_data = true}}, 50);
  (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = kPage}}, 60);
  write_back(0);
  const auto before = page_sent();
  EXPECT_LT(page_order(before), 60u) << "the page may be from before the change";
  rig_.answer_change(before, file_of(kPage, 61));
  is_page_dirty_ = false;
  rig_.notifier().deliver_all();
  write_back(0);
  EXPECT_EQ(page_order(page_sent()), 60u);
}

TEST_F(SharedMappedPages, KnowNothingWhenChangesMayHaveBeenMissed) {
  (void)rig_.link().changed({{.inode = InodeNumber{8}, .has_data = true}}, 50);
  is_page_dirty_ = false;
  rig_.link().break_control();
  rig_.link().reconnect({.are_caches_valid = false});
  write_back(0);
  EXPECT_EQ(page_order(page_sent()), UINT64_MAX);
}

TEST_F(MappedPages, GoBehindTheWriteThatHasMadeTheFileAsLong) {
  const WriteTarget end{.node = file_, .handle = handle_, .offset = 100 * kPage};
  const auto longer = rig_.start(rig_.files().write(end, CoreRig::slice("end")));
  ASSERT_TRUE(longer->is_done());
  rig_.files().send_held_writes();
  const auto first = rig_.link().find(Op::kWrite);
  EXPECT_EQ(page_order(first), kBufferedWrite) << "no page";
  write_back(50 * kPage);
  rig_.files().send_held_writes();
  EXPECT_EQ(rig_.link().sent_count(Op::kWrite), 1) << "the server would drop it";
  rig_.answer_change(first, file_of(100 * kPage + 3, 11));
  EXPECT_NE(page_order(page_sent()), 0u);
}

TEST_F(MappedPages, AreWrittenBackBeforeATimeIsSet) {
  const auto set = rig_.start(
      rig_.files().setattr({.node = file_, .which = kSetMtime, .mtime = {1'000'000'000, 0}}));
  rig_.posted().run_all();
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kData, file_, {}}));
  ASSERT_TRUE(set->is_done()) << "it goes with the page, or behind it";
  const auto page = page_sent();
  EXPECT_NE(page_order(page), 0u);
  EXPECT_FALSE(rig_.link().has(Op::kSetattr)) << "the page would move it";
  rig_.answer_change(page, file_of(2 * kPage, 11));
  EXPECT_TRUE(FakeLink::message<WriteRequest>(page).then.size() == 1 ||
              rig_.link().has(Op::kSetattr));
}

TEST_F(MappedPages, AreWrittenBackBeforeHolesAreLookedFor) {
  const auto found = rig_.start(rig_.files().seek({.node = file_, .whence = SeekWhence::kData}));
  rig_.posted().run_all();
  const auto page = page_sent();
  EXPECT_FALSE(found->is_done());
  rig_.answer_change(page, file_of(2 * kPage, 11));
  while (rig_.link().has(Op::kSeek)) {
    rig_.link().answer(rig_.link().find(Op::kSeek), SeekReply{.offset = 0});
  }
  EXPECT_TRUE(found->is_done());
}

TEST_F(SharedMappedPages, AreAtTheServerBeforeALockIsGivenUp) {
  const FileLock unlock{.locker = {file_, LockKind::kRecord, 1}, .type = LockType::kNone};
  const auto id = rig_.files().locks().begin();
  const auto unlocked = rig_.start(rig_.files().set_lock(unlock, id));
  rig_.posted().run_all();
  const auto page = page_sent();
  EXPECT_FALSE(rig_.link().has(Op::kLock));
  rig_.answer_change(page, file_of(2 * kPage, 11));
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
  EXPECT_TRUE(unlocked->is_done());
}

TEST_F(MappedPages, AreAtTheServerBeforeAnotherMountComes) {
  const auto told = rig_.link().mode(true);
  while (rig_.link().has(Op::kGetattr)) {
    rig_.answer_attributes(rig_.link().find(Op::kGetattr), file_of(2 * kPage, 10));
  }
  rig_.posted().run_all();
  const auto page = page_sent();
  EXPECT_FALSE(told->is_there());
  rig_.answer_change(page, file_of(2 * kPage, 11));
  rig_.posted().run_all();
  EXPECT_TRUE(told->is_there());
}

TEST_F(MappedPages, AreLeftAloneWhereNobodyCanStore) {
  rig_.files().release(handle_);
  rig_.notifier().clear();
  (void)rig_.open(file_, O_WRONLY);
  const auto found = rig_.start(rig_.files().seek({.node = file_, .whence = SeekWhence::kData}));
  EXPECT_TRUE(rig_.notifier().told().empty());
  while (rig_.link().has(Op::kSeek)) {
    rig_.link().answer(rig_.link().find(Op::kSeek), SeekReply{.offset = 0});
  }
  EXPECT_TRUE(found->is_done());
}

TEST_F(SharedMappedPages, OfWhatAnotherMountHasAddedAreThereForMappings) {
  is_page_dirty_ = false;
  const auto told = [this](std::uint64_t size, std::uint64_t order) {
    rig_.notifier().clear();
    (void)rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = size}}, order);
    std::vector<std::uint64_t> places;
    for (const Notice& notice : rig_.notifier().told()) {
      if (notice.kind == Notice::Kind::kExtend) places.push_back(notice.place);
    }
    return places;
  };
  EXPECT_EQ(told(2 * kPage, 50), std::vector<std::uint64_t>());
  EXPECT_EQ(told(2 * kPage + 1, 60), (std::vector<std::uint64_t>{2 * kPage + 1}));
  // A page of which the first byte is there would count as complete.
  EXPECT_EQ(told(4 * kPage, 70), (std::vector<std::uint64_t>{4 * kPage + 1}));
}

// Both mounts change the size of one file: neither can write pages back before it is answered.
TEST_F(SharedMappedPages, AreNotAskedForWhileTheKernelChangesTheSize) {
  is_page_dirty_ = false;
  rig_.notifier().clear();
  const auto cut = rig_.start(rig_.files().setattr({.node = file_, .which = kSetSize, .size = 10}));
  const auto heard =
      rig_.link().changed({{.inode = InodeNumber{7}, .has_data = true, .size = 5}}, 50);
  EXPECT_FALSE(rig_.notifier().was_told({Notice::Kind::kData, file_, {}}));
  EXPECT_TRUE(heard->is_there());
  rig_.answer_change(rig_.link().find(Op::kSetattr), file_of(10, 51));
  EXPECT_TRUE(rig_.notifier().was_told({Notice::Kind::kData, file_, {}})) << "afterwards";
  EXPECT_TRUE(cut->is_done());
}

// ---- Locks --------------------------------------------------------------------------------------

TEST_F(SharedMappedPages, ALockThatWaitsForUnsentDataCanBeInterrupted) {
  write_back(0);
  const FileLock shared{.locker = {file_, LockKind::kWhole, 1},
                        .type = LockType::kShared,
                        .waits = true,
                        .handle = handle_};
  const auto id = rig_.files().locks().begin();
  is_page_dirty_ = false;
  const auto locked = rig_.start(rig_.files().set_lock(shared, id));
  rig_.posted().run_all();
  ASSERT_FALSE(locked->is_done()) << "the data of before the lock is not at the server";
  rig_.files().locks().interrupt(id);
  rig_.posted().run_all();
  ASSERT_TRUE(locked->is_done());
  EXPECT_EQ((*locked)->error().status, Status::kInterrupted);
  rig_.answer_change(page_sent(), file_of(2 * kPage, 11));
  rig_.posted().run_all();
  EXPECT_FALSE(rig_.link().has(Op::kLock));
}

TEST_F(MappedPages, AnUnlockingThatFailsIsMadeUpForAtTheLastClose) {
  is_page_dirty_ = false;
  const FileLocker locker{file_, LockKind::kRecord, 1};
  const auto ask = [&](LockType type) {
    const auto id = rig_.files().locks().begin();
    auto done =
        rig_.start(rig_.files().set_lock({.locker = locker, .type = type, .handle = handle_}, id));
    rig_.posted().run_all();
    return done;
  };
  const auto locked = ask(LockType::kExclusive);
  rig_.link().answer(rig_.link().find(Op::kLock), LockReply{.is_granted = true});
  ASSERT_TRUE(locked->is_done());
  const auto unlocked = ask(LockType::kNone);
  rig_.link().refuse(rig_.link().find(Op::kLock), Status::kNoLocks);
  ASSERT_TRUE(unlocked->is_done());
  EXPECT_TRUE(rig_.files().locks().may_hold(locker));
  EXPECT_EQ(rig_.files().locks().close_handle(handle_), std::vector<FileLocker>{locker});
  EXPECT_TRUE(rig_.files().locks().had_record_locks());
}

}  // namespace
}  // namespace homefs
