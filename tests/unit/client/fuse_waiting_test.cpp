#include "fusefs/fuse_waiting.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace homefs {
namespace {

using Clock = WaitingRequests::Clock;
using Kind = WaitingRequests::Kind;
using std::chrono::milliseconds;

Clock::time_point at(int ms) { return Clock::time_point(milliseconds(1'000'000 + ms)); }

// The table never looks into a request.
// NOLINTNEXTLINE(performance-no-int-to-ptr)
fuse_req* request(std::uintptr_t number) { return reinterpret_cast<fuse_req*>(number); }

CallerState running(pid_t) { return CallerState::kRunning; }
CallerState dying(pid_t) { return CallerState::kDying; }
CallerState asked(pid_t) { return CallerState::kAskedToEnd; }
CallerState exiting(pid_t) { return CallerState::kExiting; }

std::uint64_t add(WaitingRequests& table, std::uintptr_t number, Kind kind = Kind::kCall,
                  std::uint64_t lock = 0) {
  const std::uint64_t id = table.reserve();
  table.publish(id, {.request = request(number), .caller = 7, .kind = kind, .lock = lock}, at(0));
  return id;
}

TEST(WaitingRequests, AreTakenOnce) {
  WaitingRequests table;
  const std::uint64_t id = add(table, 1);
  EXPECT_TRUE(table.is_waiting(id));
  EXPECT_TRUE(table.take(id));
  EXPECT_FALSE(table.take(id));
  EXPECT_FALSE(table.is_waiting(id));
}

TEST(WaitingRequests, OfASoftMountEndWhenTheirTimeIsOver) {
  WaitingRequests table;
  const std::uint64_t first = add(table, 1, Kind::kClose);
  const std::uint64_t unpublished = table.reserve();
  const std::uint64_t second = table.reserve();
  table.publish(second, {.request = request(2), .caller = 7}, at(100));
  EXPECT_EQ(table.take_older_than(at(99)), std::vector{request(1)});
  EXPECT_FALSE(table.take(first)) << "the operation comes too late";
  EXPECT_EQ(table.take_older_than(at(100)), std::vector{request(2)});
  EXPECT_TRUE(table.take(unpublished));
}

TEST(WaitingRequests, ANumberOfAnAnsweredRequestMeansNoOther) {
  WaitingRequests table;
  const std::uint64_t old = add(table, 1);
  ASSERT_TRUE(table.take(old));
  const std::uint64_t id = add(table, 2);
  table.interrupt(old);
  EXPECT_TRUE(table.take_interrupted(at(0), at(0), dying).empty());
  EXPECT_FALSE(table.take(old));
  EXPECT_TRUE(table.take(id));
}

TEST(WaitingRequests, OfADyingProgramEndAtOnceWhenInterrupted) {
  WaitingRequests table;
  const std::uint64_t id = add(table, 1);
  EXPECT_TRUE(table.take_interrupted(at(0), at(0), dying).empty()) << "nobody has interrupted it";
  table.interrupt(id);
  EXPECT_TRUE(table.take_interrupted(at(5000), at(0), running).empty());
  EXPECT_EQ(table.take_interrupted(at(0), at(0), dying), std::vector{request(1)});
  EXPECT_FALSE(table.take(id)) << "the operation comes too late";
}

TEST(WaitingRequests, WaitAWhileWhenTheProgramWouldSeeTheError) {
  WaitingRequests table;
  table.interrupt(add(table, 1));
  EXPECT_TRUE(table.take_interrupted(at(999), at(0), asked).empty());
  EXPECT_EQ(table.take_interrupted(at(1000), at(0), asked), std::vector{request(1)});
}

TEST(WaitingRequests, AreLookedAtAgainAsTheKernelInterruptsOnce) {
  WaitingRequests table;
  table.interrupt(add(table, 1));
  EXPECT_TRUE(table.take_interrupted(at(5000), at(0), running).empty());
  EXPECT_EQ(table.take_interrupted(at(5100), at(0), dying), std::vector{request(1)});
}

TEST(WaitingRequests, AnInterruptBeforeTheRequestIsPublishedIsKept) {
  WaitingRequests table;
  const std::uint64_t id = table.reserve();
  table.interrupt(id);
  EXPECT_TRUE(table.take_interrupted(at(0), at(0), dying).empty());
  table.publish(id, {.request = request(1), .caller = 7}, at(0));
  EXPECT_EQ(table.take_interrupted(at(0), at(0), dying), std::vector{request(1)});
}

TEST(WaitingRequests, AClosingAtAProgramsEndEndsWithTheSilenceOfTheServer) {
  WaitingRequests table;
  (void)add(table, 1, Kind::kClose);
  const std::uint64_t call = add(table, 2);
  EXPECT_TRUE(table.take_interrupted(at(2999), at(0), exiting).empty());
  EXPECT_TRUE(table.take_interrupted(at(9000), at(8000), exiting).empty()) << "data is moving";
  EXPECT_EQ(table.take_interrupted(at(9000), at(0), exiting), std::vector{request(1)});
  EXPECT_TRUE(table.take(call));
}

TEST(WaitingRequests, AClosingOfAKilledProgramEndsWithoutAnInterrupt) {
  WaitingRequests table;
  (void)add(table, 1, Kind::kClose);
  EXPECT_TRUE(table.take_interrupted(at(999), at(999), dying).empty());
  EXPECT_EQ(table.take_interrupted(at(1000), at(1000), dying), std::vector{request(1)});
}

// Its operation answers it, when the lock has been taken back: who was told EINTR holds nothing.
TEST(WaitingRequests, ForLocksAreNamedAndNotTaken) {
  WaitingRequests table;
  const std::uint64_t id = add(table, 1, Kind::kCall, /*lock=*/5);
  EXPECT_TRUE(table.interrupted_locks(at(5000), at(0), dying).empty()) << "nobody interrupted it";
  table.interrupt(id);
  EXPECT_TRUE(table.interrupted_locks(at(5000), at(0), running).empty());
  EXPECT_TRUE(table.interrupted_locks(at(999), at(0), asked).empty());
  EXPECT_EQ(table.interrupted_locks(at(1000), at(0), asked), std::vector<std::uint64_t>{5});
  EXPECT_TRUE(table.take_interrupted(at(0), at(0), dying).empty());
  EXPECT_EQ(table.interrupted_locks(at(0), at(0), dying), std::vector<std::uint64_t>{5});
  EXPECT_TRUE(table.take_older_than(at(0)).empty());
  EXPECT_TRUE(table.locks_older_than(at(-1)).empty());
  EXPECT_EQ(table.locks_older_than(at(0)), std::vector<std::uint64_t>{5});
  EXPECT_TRUE(table.take(id));
  EXPECT_TRUE(table.locks_older_than(at(0)).empty());
}

TEST(WaitingRequests, AnswerAndInterruptNeverBothWin) {
  WaitingRequests table;
  constexpr int kRounds = 100;
  std::atomic<std::uint64_t> current{0};
  std::atomic<int> interrupted{0};
  std::jthread looker([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      table.interrupt(current.load());
      interrupted += static_cast<int>(table.take_interrupted(at(0), at(0), dying).size());
    }
  });
  int answered = 0;
  for (int i = 0; i < kRounds; ++i) {
    const std::uint64_t id = add(table, 1);
    current = id;
    std::this_thread::yield();
    answered += table.take(id) ? 1 : 0;
  }
  looker.request_stop();
  looker.join();
  EXPECT_EQ(answered + interrupted, kRounds);
}

}  // namespace
}  // namespace homefs
