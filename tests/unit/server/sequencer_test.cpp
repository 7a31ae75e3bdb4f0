#include "server/sequencer.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

InFrame change(std::uint64_t seq) {
  InFrame frame;
  frame.header.op = Op::kMkdir;
  frame.header.seq = seq;
  frame.body = std::make_shared<Buffer>(0);
  return frame;
}

ReplyTarget target(std::uint32_t tag) {
  ReplyTarget result;
  result.request.tag = tag;
  return result;
}

class SequencerTest : public testing::Test {
 protected:
  auto accept(std::uint64_t seq, std::uint32_t tag = 0, std::uint64_t fingerprint = 0) {
    return sequencer_.accept(change(seq), fingerprint == 0 ? seq : fingerprint, target(tag));
  }
  std::uint64_t apply_next() {
    EXPECT_TRUE(sequencer_.begin_next());
    return sequencer_.finish(std::make_shared<const Reply>());
  }

  Sequencer sequencer_{std::make_unique<MemoryReplayRecord>()};
};

TEST_F(SequencerTest, BeginsChangesInOrderOneAtATime) {
  ASSERT_TRUE(accept(1));
  ASSERT_TRUE(accept(2));
  const auto first = sequencer_.begin_next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->header.seq, 1u);
  EXPECT_FALSE(sequencer_.begin_next()) << "one is begun already";
  EXPECT_EQ(sequencer_.finish(std::make_shared<const Reply>()), 1u);
  const auto second = sequencer_.begin_next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->header.seq, 2u);
}

TEST_F(SequencerTest, RefusesAGapAndAppliesNothingOfIt) {
  ASSERT_TRUE(accept(1));
  const auto gap = accept(3);
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().status, Status::kSequenceGap);
  EXPECT_EQ(apply_next(), 1u);
  EXPECT_FALSE(sequencer_.begin_next());
}

TEST_F(SequencerTest, RefusesAChangeWithoutASeq) {
  EXPECT_EQ(accept(0, 0, 1).error().status, Status::kProtocolError);
}

TEST_F(SequencerTest, AnswersAResendOfASettledChangeAtOnce) {
  ASSERT_TRUE(accept(1));
  sequencer_.settle(apply_next());
  const auto again = accept(1);
  ASSERT_TRUE(again);
  EXPECT_NE(*again, nullptr);
  EXPECT_FALSE(sequencer_.begin_next());
}

TEST_F(SequencerTest, MovesTheReplyToTheConnectionOfTheResend) {
  ASSERT_TRUE(accept(1, /*tag=*/10));
  ASSERT_TRUE(accept(1, /*tag=*/11));  // waits still
  const std::uint64_t seq = apply_next();
  const auto while_spreading = accept(1, /*tag=*/12);
  ASSERT_TRUE(while_spreading);
  EXPECT_EQ(*while_spreading, nullptr) << "the others do not know of it yet";
  EXPECT_EQ(sequencer_.settle(seq).request.tag, 12u);
}

TEST_F(SequencerTest, RefusesAnotherChangeUnderASeqThatWaits) {
  ASSERT_TRUE(accept(1, 0, /*fingerprint=*/5));
  EXPECT_EQ(accept(1, 0, /*fingerprint=*/6).error().status, Status::kSequenceConflict);
}

TEST_F(SequencerTest, RefusesAnotherChangeUnderASeqThatWasApplied) {
  ASSERT_TRUE(accept(1, 0, /*fingerprint=*/5));
  sequencer_.settle(apply_next());
  EXPECT_EQ(accept(1, 0, /*fingerprint=*/6).error().status, Status::kSequenceConflict);
}

TEST_F(SequencerTest, RefusesMoreThanMayBeInFlight) {
  for (std::uint64_t seq = 1; seq <= kRequestsInFlightMax; ++seq) ASSERT_TRUE(accept(seq));
  EXPECT_EQ(accept(kRequestsInFlightMax + 1).error().status, Status::kProtocolError);
  sequencer_.settle(apply_next());
  EXPECT_EQ(accept(kRequestsInFlightMax + 1).error().status, Status::kProtocolError)
      << "the reply to the first is still kept";
  ASSERT_TRUE(sequencer_.acknowledge(1));
  EXPECT_TRUE(accept(kRequestsInFlightMax + 1));
}

TEST_F(SequencerTest, RefusesAnAcknowledgementOfWhatWasNotSent) {
  ASSERT_TRUE(accept(1));
  EXPECT_FALSE(sequencer_.acknowledge(1)) << "not applied";
  const std::uint64_t seq = apply_next();
  EXPECT_FALSE(sequencer_.acknowledge(1)) << "applied, not sent";
  sequencer_.settle(seq);
  EXPECT_TRUE(sequencer_.acknowledge(1));
  EXPECT_TRUE(sequencer_.acknowledge(0)) << "an older one is no news";
}

TEST_F(SequencerTest, LetsChangesSpreadBesideEachOther) {
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    ASSERT_TRUE(accept(seq, static_cast<std::uint32_t>(seq)));
    EXPECT_EQ(apply_next(), seq);
  }
  EXPECT_EQ(sequencer_.settle(2).request.tag, 2u);
  EXPECT_EQ(sequencer_.settle(1).request.tag, 1u);
  EXPECT_EQ(sequencer_.unsettled(), 1u);
}

}  // namespace
}  // namespace homefs
