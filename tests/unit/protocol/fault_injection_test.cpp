#include "protocol/fault_injection.h"

#include <bit>

#include <gtest/gtest.h>
#include "tests/unit/protocol/channel_fixture.h"

namespace homefs::testing {
namespace {

InFrame received(const OutFrame& frame) {
  InFrame in{frame.header, std::make_shared<Buffer>(frame.body_bytes())};
  auto to = in.body->writable().begin();
  to = std::copy(frame.fields.begin(), frame.fields.end(), to);
  for (const Slice& slice : frame.payload) {
    to = std::copy(slice.bytes.begin(), slice.bytes.end(), to);
  }
  return in;
}

int flipped_bits(const InFrame& frame, const InFrame& original) {
  int bits = 0;
  for (std::size_t i = 0; i < frame.bytes().size(); ++i) {
    bits += std::popcount(std::to_integer<unsigned>(frame.bytes()[i] ^ original.bytes()[i]));
  }
  return bits;
}

#ifdef HOMEFS_FAULTS

class FaultInjection : public ::testing::Test {
 protected:
  ~FaultInjection() override { EXPECT_TRUE(set_fault_rule("")); }
};

TEST_F(FaultInjection, FlipsOneBitOfEveryThirdFrameSentInACopy) {
  ASSERT_TRUE(set_fault_rule("send:3"));
  for (int i = 1; i <= 9; ++i) {
    const OutFrame original = make_request(1, 5000);
    OutFrame frame = original;
    inject_send_fault(frame);
    EXPECT_EQ(flipped_bits(received(frame), received(original)), i % 3 == 0 ? 1 : 0);
    EXPECT_TRUE(has_pattern(received(original)));  // the sender's own data is as it was
  }
}

TEST_F(FaultInjection, FlipsOneBitOfThePayloadOfEverySecondFrameReceived) {
  ASSERT_TRUE(set_fault_rule("recv:2"));
  for (int i = 1; i <= 4; ++i) {
    const InFrame original = received(make_request(1, 5000));
    InFrame frame = received(make_request(1, 5000));
    inject_receive_fault(frame);
    EXPECT_EQ(flipped_bits(frame, original), i % 2 == 0 ? 1 : 0);
    EXPECT_TRUE(std::equal(frame.bytes().begin(), frame.bytes().begin() + 40,
                           original.bytes().begin()));  // the fields
  }
}

TEST_F(FaultInjection, LeavesSmallFramesAndTheOtherDirectionAlone) {
  ASSERT_TRUE(set_fault_rule("send:1"));
  OutFrame small = make_request(1, 1000);
  inject_send_fault(small);
  EXPECT_TRUE(has_pattern(received(small)));
  InFrame frame = received(make_request(1, 5000));
  inject_receive_fault(frame);
  EXPECT_TRUE(has_pattern(frame));
}

TEST_F(FaultInjection, ReachesTheOtherEndOfAChannel) {
  ChannelPair pair;
  pair.open();
  pair.allow_large_frames();
  ASSERT_TRUE(set_fault_rule("send:2"));
  for (std::uint32_t tag = 1; tag <= 4; ++tag) {
    ASSERT_TRUE(pair.client_channel->send(make_request(tag, 100000)));
  }
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->frame_count() == 4; }));
  for (const InFrame& frame : pair.server->take_frames()) {
    EXPECT_EQ(has_pattern(frame), frame.header.tag % 2 == 1) << frame.header.tag;
  }
}

TEST_F(FaultInjection, RefusesRulesItCannotRead) {
  for (const char* rule : {"send", "send:", "send:0", "send:-1", "recv:1x", "both:1", ":1"}) {
    EXPECT_FALSE(set_fault_rule(rule)) << rule;
  }
}

#else

TEST(FaultInjection, IsNotInThisBuild) {
  OutFrame frame = make_request(1, 5000);
  inject_send_fault(frame);
  InFrame in = received(frame);
  inject_receive_fault(in);
  EXPECT_EQ(flipped_bits(in, received(make_request(1, 5000))), 0);
}

#endif

}  // namespace
}  // namespace homefs::testing
