#include "fusefs/connection_health.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Verdict = ConnectionHealth::Verdict;

ConnectionHealth::Time at(int second) { return ConnectionHealth::Time(seconds(1000 + second)); }

Verdict check(ConnectionHealth& health, int now, int received, std::uint64_t acknowledged = 0) {
  return health.check(at(now), {at(received), acknowledged}, seconds(10));
}

TEST(ConnectionHealth, LeavesAConnectionAloneThatReceives) {
  ConnectionHealth health(at(0));
  for (int now = 1; now < 100; ++now) EXPECT_EQ(check(health, now, now), Verdict::kFine);
}

TEST(ConnectionHealth, PingsOnceInEachSilenceOfTheKeepAliveTime) {
  ConnectionHealth health(at(0));
  EXPECT_EQ(check(health, 9, 0), Verdict::kFine);
  EXPECT_EQ(check(health, 10, 0), Verdict::kPing);
  EXPECT_EQ(check(health, 11, 0), Verdict::kFine);
  EXPECT_EQ(check(health, 12, 11), Verdict::kFine) << "the answer came";
  EXPECT_EQ(check(health, 20, 11), Verdict::kFine);
  EXPECT_EQ(check(health, 21, 11), Verdict::kPing);
}

TEST(ConnectionHealth, GivesUpAfterTwoMissedPings) {
  ConnectionHealth health(at(0));
  EXPECT_EQ(check(health, 10, 0), Verdict::kPing);
  EXPECT_EQ(check(health, 20, 0), Verdict::kPing);
  EXPECT_EQ(check(health, 29, 0), Verdict::kFine);
  EXPECT_EQ(check(health, 30, 0), Verdict::kBroken);
}

TEST(ConnectionHealth, WaitsForASlowLineThatStillTakesData) {
  ConnectionHealth health(at(0));
  std::uint64_t acknowledged = 0;
  for (int now = 1; now < 300; ++now) {
    EXPECT_NE(check(health, now, 0, acknowledged += 1000), Verdict::kBroken) << now;
  }
}

TEST(ConnectionHealth, GivesUpWhatIsInDoubtAndDoesNotAnswerSoon) {
  ConnectionHealth health(at(0));
  health.doubt();
  EXPECT_EQ(check(health, 1, 0), Verdict::kPing);
  EXPECT_EQ(check(health, 2, 0), Verdict::kFine);
  EXPECT_EQ(check(health, 3, 0), Verdict::kBroken);
}

TEST(ConnectionHealth, KeepsWhatIsInDoubtAndAnswers) {
  ConnectionHealth health(at(0));
  health.doubt();
  EXPECT_EQ(check(health, 1, 0), Verdict::kPing);
  EXPECT_EQ(check(health, 2, 2), Verdict::kFine);
  EXPECT_EQ(check(health, 5, 2), Verdict::kFine);
}

}  // namespace
}  // namespace homefs
