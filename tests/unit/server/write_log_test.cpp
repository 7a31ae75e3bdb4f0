#include "server/write_log.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace homefs
