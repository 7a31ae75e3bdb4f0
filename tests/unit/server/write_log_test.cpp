#include "server/write_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>

namespace homefs {
namespace {

TEST(WriteLog, TakesNumbersInAnyOrderAndKnowsWhatTheyCameTo) {
  WriteSlots slots;
  WriteLog log(slots);
  for (const std::uint64_t number : {3u, 1u, 2u}) EXPECT_TRUE(log.admit(number));
  EXPECT_FALSE(log.find(1));
  log.note(1, {.is_all = false});
  EXPECT_FALSE(log.find(1)->is_all);
  log.note(1, {.status = Status::kNotPermitted});
  log.note(3, {.status = Status::kOverflow});
  EXPECT_TRUE(log.find(1)->is_all);
  EXPECT_EQ(log.find(1)->status, Status::kNotPermitted);
  EXPECT_EQ(log.find(3)->status, Status::kOverflow);
  EXPECT_FALSE(log.find(2));
  EXPECT_TRUE(log.admit(3)) << "a resend";
  EXPECT_EQ(log.find(3)->status, Status::kOverflow);
}

TEST(WriteLog, ForgetsANumberWhenItsPlaceIsUsedAgain) {
  WriteSlots slots;
  WriteLog log(slots);
  for (std::uint64_t number = 1; number <= kRequestsInFlightMax; ++number) {
    ASSERT_TRUE(log.admit(number));
    log.note(number, {});
  }
  EXPECT_TRUE(log.admit(1)) << "the oldest that may have no answer";
  ASSERT_TRUE(log.admit(kRequestsInFlightMax + 1));
  EXPECT_FALSE(log.find(kRequestsInFlightMax + 1));
  EXPECT_EQ(log.admit(1).error().status, Status::kSequenceConflict);
  EXPECT_TRUE(log.find(2));
  ASSERT_TRUE(log.admit(1'000'000));
  EXPECT_FALSE(log.find(1'000'000 - 7)) << "of the numbers between nothing is known";
  EXPECT_EQ(log.admit(2).error().status, Status::kSequenceConflict);
}

// A hostile client may choose any number: the session's lock is held meanwhile.
TEST(WriteLog, TakesTheHighestNumberThatThereIs) {
  EXPECT_EXIT(
      {
        ::alarm(5);
        WriteSlots slots;
        WriteLog log(slots);
        constexpr std::uint64_t kHighest = std::numeric_limits<std::uint64_t>::max();
        const bool is_taken = log.admit(kHighest) && log.admit(kHighest - 1);
        log.note(kHighest, {});
        std::_Exit(is_taken && log.admit(kHighest) && log.find(kHighest) ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace homefs
