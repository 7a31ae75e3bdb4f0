#include "fusefs/write_behind.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "tests/support/seed.h"

namespace homefs {
namespace {

Slice bytes_of(std::size_t count, std::size_t capacity = 0) {
  auto buffer = std::make_shared<Buffer>(std::max(count, capacity));
  buffer->resize(count);
  std::memset(buffer->writable().data(), 7, count);
  return slice_of(buffer);
}

TEST(WriteQueue, SendsSegmentsThatDoNotOverlapTogether) {
  WriteQueue queue;
  queue.push(0, bytes_of(100), 100, false);
  queue.push(100, bytes_of(100), 100, false);
  EXPECT_EQ(queue.next_to_send()->number, 1u);
  EXPECT_EQ(queue.next_to_send()->number, 2u);
  EXPECT_FALSE(queue.next_to_send());
}

TEST(WriteQueue, JoinsNothingThatMayReachTheServerInAnotherSession) {
  WriteQueue queue;
  queue.push(0, bytes_of(10, 1000), 10, true).session = 1;
  const Slice more = bytes_of(10);
  EXPECT_FALSE(queue.join(10, more.bytes, 10, false, 0, /*session=*/0));
  EXPECT_TRUE(queue.join(10, more.bytes, 10, false, 0, /*session=*/1));
}

TEST(WriteQueue, HoldsBackASegmentThatOverlapsOneUnderWay) {
  WriteQueue queue;
  queue.push(0, bytes_of(100), 100, false);
  queue.push(50, bytes_of(100), 50, false);
  queue.push(500, bytes_of(10), 10, false);
  EXPECT_EQ(queue.next_to_send()->number, 1u);
  EXPECT_FALSE(queue.next_to_send()) << "2 overlaps 1, and 3 may not overtake 2";
  (void)queue.finish(1, {});
  EXPECT_EQ(queue.next_to_send()->number, 2u);
  EXPECT_EQ(queue.next_to_send()->number, 3u);
}

TEST(WriteQueue, JoinsWritesThatFollowEachOtherUntilTheyAreSent) {
  WriteQueue queue;
  queue.push(0, bytes_of(4), 4, true);
  const Slice more = bytes_of(4);
  EXPECT_TRUE(queue.join(4, more.bytes, 4));
  EXPECT_FALSE(queue.join(9, more.bytes, 4)) << "a gap";
  EXPECT_EQ(queue.bytes(), 8u);
  EXPECT_FALSE(queue.next_to_send()) << "more may come";
  queue.stop_holding();
  const auto sent = queue.next_to_send();
  EXPECT_EQ(sent->data.bytes.size(), 8u);
  EXPECT_FALSE(queue.join(8, more.bytes, 4)) << "on the wire";
  EXPECT_EQ(queue.finish(1, {}).growth, 8u);
}

TEST(WriteQueue, KnowsThatPagesMakeNoFileLonger) {
  WriteQueue queue;
  queue.push(4096, bytes_of(10), 10, true);
  const Slice page = bytes_of(100);
  EXPECT_FALSE(queue.join(4106, page.bytes, 0, false, /*page_order=*/5)) << "of another kind";
  queue.push(8192, page, 0, false, false, /*page_order=*/5);
  EXPECT_EQ(queue.end(), 4106u);
  EXPECT_EQ(queue.next_to_send()->page_order, 0u);
  EXPECT_FALSE(queue.next_to_send()) << "the file is not that long at the server yet";
  (void)queue.finish(1, {});
  EXPECT_EQ(queue.end(), 0u);
  EXPECT_EQ(queue.next_to_send()->page_order, 5u);
}

TEST(WriteQueue, SendsWhatItHoldsWhenItIsFullOrSomebodyWaits) {
  WriteQueue queue;
  const Slice half = bytes_of(WriteQueue::kJoinedBytesMax / 2);
  queue.push(0, bytes_of(half.bytes.size()), 0, true);
  EXPECT_TRUE(queue.is_holding());
  EXPECT_TRUE(queue.join(half.bytes.size(), half.bytes, 0));
  EXPECT_FALSE(queue.is_holding()) << "full";
  EXPECT_EQ(queue.next_to_send()->number, 1u);
  queue.push(0, bytes_of(4), 0, true);
  queue.push(100, bytes_of(4), 0, true);
  EXPECT_FALSE(queue.next_to_send()) << "2 waits for the overlapping 1, and 3 is held";
  (void)queue.finish(1, {});
  EXPECT_EQ(queue.next_to_send()->number, 2u);
  EXPECT_FALSE(queue.next_to_send());
  std::move_only_function<void()> wake = [] {};
  EXPECT_TRUE(queue.when_drained(wake));
  EXPECT_EQ(queue.next_to_send()->number, 3u);
}

TEST(WriteQueue, KeepsAnErrorUntilItIsTaken) {
  WriteQueue queue;
  queue.push(0, bytes_of(4), 4, false);
  (void)queue.next_to_send();
  (void)queue.finish(1, fail(Status::kNoSpace));
  std::uint64_t seen = 0;
  EXPECT_TRUE(queue.errors().show(seen)) << "shown, and not taken";
  const auto error = queue.errors().take(seen);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->status, Status::kNoSpace);
  EXPECT_FALSE(queue.errors().take(seen)) << "reported once";
  std::uint64_t other = 0;
  EXPECT_TRUE(queue.errors().take(other)) << "and once to everybody else";
}

TEST(ErrorSequence, TellsANewOneOfAnErrorThatNobodyKnows) {
  ErrorSequence errors;
  EXPECT_EQ(errors.seen_by_new(), 0u);
  errors.add({Status::kNoSpace, ""});
  std::uint64_t first = errors.seen_by_new();
  EXPECT_TRUE(errors.take(first));
  std::uint64_t second = errors.seen_by_new();
  EXPECT_FALSE(errors.take(second)) << "it was told before";
  errors.add({Status::kIoError, ""});
  EXPECT_EQ(errors.take(first)->status, Status::kIoError);
  EXPECT_EQ(errors.take(second)->status, Status::kIoError);
}

TEST(WriteQueue, JoinsAppendsOnlyWithAppends) {
  WriteQueue queue;
  const Slice more = bytes_of(4);
  queue.push(0, bytes_of(4), 4, true);
  EXPECT_FALSE(queue.join(4, more.bytes, 4, true));
  queue.push(4, bytes_of(4), 4, true, true);
  EXPECT_TRUE(queue.join(8, more.bytes, 4, true));
  EXPECT_FALSE(queue.join(12, more.bytes, 4));
  queue.stop_holding();
  EXPECT_FALSE(queue.next_to_send()->is_append);
  EXPECT_TRUE(queue.next_to_send()->is_append);
}

TEST(WriteQueue, TellsTheErrorOnlyToTheWriterThatWaitsForIt) {
  WriteQueue queue;
  Status told = Status::kOk;
  queue.push(0, bytes_of(4), 4, false).waiters.push_back([&](const Result<>& result) {
    told = result.error().status;
  });
  (void)queue.next_to_send();
  for (auto& wake : queue.finish(1, fail(Status::kOverQuota)).wake) wake();
  EXPECT_EQ(told, Status::kOverQuota);
  std::uint64_t seen = 0;
  EXPECT_FALSE(queue.errors().take(seen));
}

TEST(WriteQueue, DrainWaitsForWhatWasThereAndNotForLaterWrites) {
  WriteQueue queue;
  std::move_only_function<void()> nothing = [] {};
  EXPECT_FALSE(queue.when_drained(nothing));
  queue.push(0, bytes_of(4), 4, false);
  queue.push(4, bytes_of(4), 4, false);
  bool is_drained = false;
  std::move_only_function<void()> wake = [&] { is_drained = true; };
  EXPECT_TRUE(queue.when_drained(wake));
  queue.push(8, bytes_of(4), 4, false);
  for (int i = 0; i < 3; ++i) (void)queue.next_to_send();
  for (auto& woken : queue.finish(2, {}).wake) woken();
  EXPECT_FALSE(is_drained) << "answered out of order: 1 is still under way";
  for (auto& woken : queue.finish(1, {}).wake) woken();
  EXPECT_TRUE(is_drained);
  EXPECT_TRUE(queue.is_dirty());
}

// Random writes, sent and answered in random order by a server that applies them on arrival: the
// file comes out as if they had been applied one after the other.
TEST(WriteQueue, LeavesTheFileAsWritesInOrderWould) {
  const unsigned seed = test::test_seed();
  SCOPED_TRACE("HOMEFS_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr std::size_t kFile = 2000;
  std::vector<std::byte> expected(kFile), server(kFile);
  WriteQueue queue;
  std::vector<WriteQueue::Outgoing> on_the_wire;
  for (int step = 0; step < 20000; ++step) {
    const auto dice = random() % 3;
    if (dice == 0) {
      const std::size_t offset = random() % (kFile - 200);
      const std::size_t count = 1 + random() % 199;
      Slice data = bytes_of(count, 400);
      std::memset(data.owner->writable().data(), static_cast<int>(random() % 256), count);
      std::memcpy(expected.data() + offset, data.bytes.data(), count);
      if (!queue.join(offset, data.bytes, 0)) queue.push(offset, data, 0, random() % 2 == 0);
    } else if (dice == 1) {
      if (auto next = queue.next_to_send()) on_the_wire.push_back(*next);
    } else if (!on_the_wire.empty()) {
      const std::size_t which = random() % on_the_wire.size();
      const auto arrived = on_the_wire[which];
      on_the_wire.erase(on_the_wire.begin() + static_cast<std::ptrdiff_t>(which));
      std::memcpy(server.data() + arrived.offset, arrived.data.bytes.data(),
                  arrived.data.bytes.size());
      (void)queue.finish(arrived.number, {});
    }
  }
  while (queue.is_dirty()) {
    if (auto next = queue.next_to_send()) on_the_wire.push_back(*next);
    const auto arrived = on_the_wire.back();
    on_the_wire.pop_back();
    std::memcpy(server.data() + arrived.offset, arrived.data.bytes.data(),
                arrived.data.bytes.size());
    (void)queue.finish(arrived.number, {});
  }
  EXPECT_EQ(server, expected);
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
}  // namespace homefs
