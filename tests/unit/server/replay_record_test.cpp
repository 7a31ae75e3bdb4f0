#include "server/replay_record.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace homefs {
namespace {

std::shared_ptr<const Reply> reply_with(Status status) {
  return std::make_shared<const Reply>(Reply{.status = status});
}

void apply(ReplayRecord& record, std::uint64_t seq, Status status = Status::kOk) {
  record.begin(seq, seq * 100, Op::kMkdir);
  record.finish(seq, reply_with(status));
}

std::vector<std::byte> mkdir_body(const std::string& name,
                                  std::vector<Introduction> introductions) {
  return encode_request(Introductions{std::move(introductions)},
                        MkdirRequest{.parent = kRootNode, .name = name, .node = NodeId{7}});
}

TEST(ReplayRecord, KeepsTheReplyOfEachAppliedChange) {
  MemoryReplayRecord record;
  apply(record, 1, Status::kOk);
  apply(record, 2, Status::kExists);
  EXPECT_EQ(record.last_applied(), 2u);
  const auto first = record.find(1, 100);
  const auto second = record.find(2, 200);
  ASSERT_TRUE(first && second);
  EXPECT_EQ((*first)->status, Status::kOk);
  EXPECT_EQ((*second)->status, Status::kExists);
}

TEST(ReplayRecord, RefusesASeqThatIsUsedForAnotherChange) {
  MemoryReplayRecord record;
  apply(record, 1);
  const auto found = record.find(1, 101);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().status, Status::kSequenceConflict);
}

TEST(ReplayRecord, DropsWhatTheClientHasAndRefusesItAfterwards) {
  MemoryReplayRecord record;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) apply(record, seq);
  record.drop_through(3);
  EXPECT_EQ(record.last_dropped(), 3u);
  EXPECT_EQ(record.find(3, 300).error().status, Status::kSequenceConflict);
  EXPECT_TRUE(record.find(4, 400));
  record.drop_through(2);  // an older acknowledgement arrives late
  EXPECT_EQ(record.last_dropped(), 3u);
}

TEST(ReplayRecord, HoldsAsManyRepliesAsMayBeInFlight) {
  MemoryReplayRecord record;
  for (std::uint64_t seq = 1; seq <= kRequestsInFlightMax; ++seq) apply(record, seq);
  EXPECT_TRUE(record.find(1, 100));
  EXPECT_DEATH(record.begin(kRequestsInFlightMax + 1, 0, Op::kMkdir), "kRequestsInFlightMax");
}

TEST(Fingerprint, IgnoresIntroductionsWhichDifferInAResend) {
  const auto without = mkdir_body("photos", {});
  const auto with = mkdir_body(
      "photos", {Introduction{.node = NodeId{3}, .parent = kRootNode, .name = "a", .inode = {}}});
  EXPECT_EQ(fingerprint_of(Op::kMkdir, without), fingerprint_of(Op::kMkdir, with));
}

TEST(Fingerprint, DiffersByOperationAndByEveryByte) {
  const auto body = mkdir_body("photos", {});
  EXPECT_NE(fingerprint_of(Op::kMkdir, body), fingerprint_of(Op::kRmdir, body));
  EXPECT_NE(fingerprint_of(Op::kMkdir, body), fingerprint_of(Op::kMkdir, mkdir_body("photo", {})));
  ByteReader in(body);
  ASSERT_TRUE(decode<Introductions>(in));
  const std::size_t message_begins = body.size() - in.rest().size();
  const std::uint64_t original = fingerprint_of(Op::kMkdir, body);
  for (std::size_t i = message_begins; i < body.size(); ++i) {
    auto changed = body;
    changed[i] ^= std::byte{0x40};
    EXPECT_NE(fingerprint_of(Op::kMkdir, changed), original) << "byte " << i;
  }
}

TEST(Fingerprint, TakesABodyThatIsMalformed) {
  const std::vector<std::byte> garbage(3, std::byte{0xff});
  EXPECT_NE(fingerprint_of(Op::kMkdir, garbage), fingerprint_of(Op::kMkdir, {}));
}

}  // namespace
}  // namespace homefs
