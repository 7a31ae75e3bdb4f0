#include "server/login_throttle.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LoginThrottleTest : public testing::Test {
 protected:
  LoginThrottle throttle_{{.failures_before_lockout = 3,
                           .lockout = seconds(60),
                           .first_delay = milliseconds(100),
                           .delay_max = milliseconds(1000),
                           .entries_max = 4}};
  LoginThrottle::Clock::time_point now_{};
};

TEST_F(LoginThrottleTest, LocksAUserOutFromEverywhereAfterTheConfiguredFailures) {
  throttle_.count_failure("alice", "192.0.2.1", now_);
  throttle_.count_failure("alice", "192.0.2.2", now_);
  EXPECT_FALSE(throttle_.locked_out_for("alice", "192.0.2.9", now_));
  throttle_.count_failure("alice", "192.0.2.3", now_);
  EXPECT_TRUE(throttle_.locked_out_for("alice", "192.0.2.9", now_));
  EXPECT_FALSE(throttle_.locked_out_for("bob", "192.0.2.9", now_));
}

TEST_F(LoginThrottleTest, LocksAnAddressOutForEveryUser) {
  throttle_.count_failure("a", "192.0.2.1", now_);
  throttle_.count_failure("b", "192.0.2.1", now_);
  throttle_.count_failure("c", "192.0.2.1", now_);
  EXPECT_TRUE(throttle_.locked_out_for("d", "192.0.2.1", now_));
  EXPECT_FALSE(throttle_.locked_out_for("d", "192.0.2.2", now_));
}

TEST_F(LoginThrottleTest, ForgetsAfterTheLockout) {
  for (int i = 0; i < 3; ++i) throttle_.count_failure("alice", "192.0.2.1", now_);
  EXPECT_EQ(throttle_.locked_out_for("alice", "x", now_), seconds(60));
  EXPECT_EQ(throttle_.locked_out_for("alice", "x", now_ + seconds(59)), seconds(1));
  EXPECT_FALSE(throttle_.locked_out_for("alice", "x", now_ + seconds(60)));
  EXPECT_EQ(throttle_.count_failure("alice", "y", now_ + seconds(60)), milliseconds(100));
}

TEST_F(LoginThrottleTest, DoublesTheDelayUpToItsLimit) {
  EXPECT_EQ(throttle_.count_failure("alice", "1", now_), milliseconds(100));
  EXPECT_EQ(throttle_.count_failure("alice", "2", now_), milliseconds(200));
  EXPECT_EQ(throttle_.count_failure("alice", "3", now_), milliseconds(400));
  for (int i = 0; i < 100; ++i) throttle_.count_failure("alice", "4", now_);
  EXPECT_EQ(throttle_.count_failure("alice", "5", now_), milliseconds(1000));
}

TEST_F(LoginThrottleTest, ForgivesTheUserButNotTheAddressAfterASuccess) {
  for (int i = 0; i < 3; ++i) throttle_.count_failure("alice", "192.0.2.1", now_);
  throttle_.count_success("alice");
  EXPECT_FALSE(throttle_.locked_out_for("alice", "192.0.2.2", now_));
  EXPECT_TRUE(throttle_.locked_out_for("alice", "192.0.2.1", now_));
}

TEST_F(LoginThrottleTest, StaysBounded) {
  for (int i = 0; i < 100; ++i) {
    throttle_.count_failure("user" + std::to_string(i), "address" + std::to_string(i), now_);
  }
  EXPECT_EQ(throttle_.entries(), 4u);
}

TEST(ThrottleKey, IsTheAddressWithoutItsPort) {
  EXPECT_EQ(throttle_key_of_peer("192.0.2.1:4711"), "192.0.2.1");
  EXPECT_EQ(throttle_key_of_peer("[::ffff:192.0.2.1]:4711"), "192.0.2.1");
  EXPECT_EQ(throttle_key_of_peer("[2001:db8:1:2:3:4:5:6]:4711"), "2001:db8:1:2::/64");
  EXPECT_EQ(throttle_key_of_peer("[2001:db8:1:2:ffff::]:1"), "2001:db8:1:2::/64");
  EXPECT_EQ(throttle_key_of_peer("local"), "local");
}

}  // namespace
}  // namespace homefs
