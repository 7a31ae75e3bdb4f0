#include "fusefs/reconnector.h"

#include <gtest/gtest.h>

#include <future>

namespace homefs {
namespace {

using std::chrono::milliseconds;

constexpr Backoff kBackoff{milliseconds(100), milliseconds(15000)};

TEST(BackoffDelay, IsNothingBeforeTheFirstFailure) {
  EXPECT_EQ(backoff_delay(kBackoff, 0, 0.5), milliseconds(0));
}

TEST(BackoffDelay, DoublesUpToItsMaximum) {
  EXPECT_EQ(backoff_delay(kBackoff, 1, 0.0), milliseconds(100));
  EXPECT_EQ(backoff_delay(kBackoff, 2, 0.0), milliseconds(200));
  EXPECT_EQ(backoff_delay(kBackoff, 8, 0.0), milliseconds(12800));
  EXPECT_EQ(backoff_delay(kBackoff, 9, 0.0), milliseconds(15000));
  EXPECT_EQ(backoff_delay(kBackoff, 1'000'000, 0.0), milliseconds(15000));
}

TEST(BackoffDelay, TakesUpToHalfOffAtRandom) {
  EXPECT_EQ(backoff_delay(kBackoff, 9, 0.999999), milliseconds(7500));
}

TEST(Reconnector, TriesUntilItSucceeds) {
  int attempts = 0;
  std::promise<void> succeeded;
  Reconnector reconnector({milliseconds(1), milliseconds(2)}, [&]() -> Result<> {
    if (++attempts < 4) return fail(Status::kDisconnected);
    succeeded.set_value();
    return {};
  });
  reconnector.wake();
  succeeded.get_future().wait();
  reconnector.stop();
  EXPECT_EQ(attempts, 4);
}

TEST(Reconnector, WaitsASecondAtMostForConnectionsThatDoNotHold) {
  int attempts = 0;
  Reconnector* broken = nullptr;
  std::promise<void> last;
  Reconnector reconnector({std::chrono::hours(1), std::chrono::hours(1)}, [&]() -> Result<> {
    if (++attempts < 3) {
      broken->wake();  // what was connected is gone at once
    } else {
      last.set_value();
    }
    return {};
  });
  broken = &reconnector;
  reconnector.wake();
  EXPECT_EQ(last.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
  reconnector.stop();
}

TEST(Reconnector, HurriesThroughALongWait) {
  int attempts = 0;
  std::promise<void> first;
  std::promise<void> second;
  Reconnector reconnector({std::chrono::hours(1), std::chrono::hours(1)}, [&]() -> Result<> {
    (++attempts == 1 ? first : second).set_value();
    if (attempts == 1) return fail(Status::kDisconnected);
    return {};
  });
  reconnector.wake();
  first.get_future().wait();
  reconnector.hurry();
  second.get_future().wait();
  reconnector.stop();
  EXPECT_EQ(attempts, 2);
}

}  // namespace
}  // namespace homefs
