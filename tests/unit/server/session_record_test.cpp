#include "server/session_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "protocol/codec.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

constexpr const char* kBoot = "this-boot";

std::shared_ptr<const Reply> reply_of(std::uint64_t seq) {
  return std::make_shared<const Reply>(
      Reply{.status = seq % 3 == 0 ? Status::kExists : Status::kOk,
            .fields = encode_fields(ErrorReply{std::string(seq % 100, 'x')})});
}

class SessionRecordTest : public testing::Test {
 protected:
  SessionRecordTest() {
    identity_.id[3] = std::byte{9};
    identity_.secret[5] = std::byte{77};
    identity_.account = "alice";
    identity_.account_id = std::string(32, '7');
    identity_.client_id = "laptop";
    identity_.token_id = "t1";
    identity_.subdir = std::string(kSubdirBytesMax, 's');
    record_ = *SessionRecord::make(file_, kBoot, identity_);
  }

  static void apply(ReplayRecord& record, std::uint64_t seq) {
    record.begin(seq, seq * 100, Op::kLock);
    record.finish(seq, reply_of(seq));
  }

  /// As after a kill: what is in the file is all that is left.
  Result<std::unique_ptr<SessionRecord>> reopened(const std::string& boot = kBoot) const {
    return SessionRecord::open(file_, boot);
  }

  test::ScratchFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "record";
  SessionIdentity identity_;
  std::unique_ptr<SessionRecord> record_;
};

TEST_F(SessionRecordTest, KnowsAfterAKillWhoItIsAndWhatItHasApplied) {
  for (std::uint64_t seq = 1; seq <= 40; ++seq) apply(*record_, seq);
  record_->drop_through(7);
  const auto again = reopened();
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ((*again)->identity(), identity_);
  EXPECT_EQ((*again)->last_applied(), 40u);
  EXPECT_EQ((*again)->last_dropped(), 7u);
  for (std::uint64_t seq = 8; seq <= 40; ++seq) {
    const auto reply = (*again)->find(seq, seq * 100);
    ASSERT_TRUE(reply) << seq;
    EXPECT_EQ((*reply)->status, reply_of(seq)->status);
    EXPECT_EQ((*reply)->fields, reply_of(seq)->fields);
  }
  EXPECT_FALSE((*again)->doubt());
}

TEST_F(SessionRecordTest, HoldsAsManyRepliesAsMayBeInFlightAndUsesTheirPlacesAgain) {
  for (std::uint64_t seq = 1; seq <= kRequestsInFlightMax; ++seq) apply(*record_, seq);
  const auto bytes = std::filesystem::file_size(file_);
  std::uint64_t last = kRequestsInFlightMax;
  for (int round = 0; round < 1000; ++round) {
    record_->drop_through(last - kRequestsInFlightMax + 1);
    apply(*record_, ++last);
  }
  EXPECT_EQ(std::filesystem::file_size(file_), bytes) << "it does not grow any more";
  const auto again = reopened();
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ((*again)->last_applied(), last);
  EXPECT_TRUE(
      (*again)->find(last - kRequestsInFlightMax + 1, (last - kRequestsInFlightMax + 1) * 100));
}

TEST_F(SessionRecordTest, GoesOnWhereItWasAfterAnyNumberOfKills) {
  for (std::uint64_t seq = 1; seq <= 30; ++seq) {
    apply(*record_, seq);
    auto again = reopened();
    ASSERT_TRUE(again) << again.error().message();
    record_ = *std::move(again);
    EXPECT_EQ(record_->last_applied(), seq);
    if (seq % 5 == 0) record_->drop_through(seq - 2);
  }
}

TEST_F(SessionRecordTest, KnowsAfterAKillWhichWritesWereDone) {
  for (const std::uint64_t number : {1u, 2u, 4u, 3u}) {
    ASSERT_TRUE(record_->writes().admit(number));
  }
  record_->writes().note(2, {.status = Status::kOk});
  record_->writes().note(3, {.status = Status::kNoSpace});
  record_->writes().note(4, {.is_all = false});
  apply(*record_, 1);
  const auto again = reopened();
  ASSERT_TRUE(again) << again.error().message();
  WriteLog& writes = (*again)->writes();
  ASSERT_TRUE(writes.admit(1));
  EXPECT_FALSE(writes.find(1));
  EXPECT_EQ(writes.find(2)->status, Status::kOk);
  EXPECT_EQ(writes.find(3)->status, Status::kNoSpace);
  EXPECT_FALSE(writes.find(4)->is_all);
  EXPECT_EQ((*again)->last_applied(), 1u);
}

TEST_F(SessionRecordTest, IsNotTrustedInAnotherBootUnlessItWasSynced) {
  apply(*record_, 1);
  EXPECT_FALSE(reopened("another-boot"));
  EXPECT_TRUE(reopened("")) << "after an orderly stop";
}

TEST_F(SessionRecordTest, ForgetsAChangeThatTouchedNothing) {
  apply(*record_, 1);
  record_->begin(2, 200, Op::kUnlink);
  const auto again = reopened();
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->last_applied(), 1u);
  EXPECT_FALSE((*again)->doubt());
  record_->about_to(ChangeFacts{});
  record_->withdraw();
  EXPECT_FALSE((*reopened())->doubt());
}

TEST_F(SessionRecordTest, TellsOfAChangeThatMayHaveBeenDone) {
  apply(*record_, 1);
  record_->begin(2, 200, Op::kRename);
  ChangeFacts facts{
      .path = "a/b", .name = "from", .to_path = std::string(4096, 'p'), .new_name = "to"};
  facts.numbers.kind = ChangeKind::kRename;
  facts.numbers.subject = 4711;
  record_->about_to(facts);
  auto again = reopened();
  ASSERT_TRUE(again) << again.error().message();
  ASSERT_TRUE((*again)->doubt());
  EXPECT_EQ((*again)->doubt()->op, Op::kRename);
  EXPECT_FALSE((*again)->doubt()->outcome);
  const ChangeFacts& read = (*again)->doubt()->facts;
  EXPECT_EQ(read.numbers.subject, 4711u);
  EXPECT_EQ(read.path + read.name + read.new_name, "a/bfromto");
  EXPECT_EQ(read.to_path, facts.to_path);

  (*again)->resolve(nullptr);
  EXPECT_EQ((*again)->last_applied(), 1u);
  EXPECT_FALSE((*reopened())->doubt());
}

TEST_F(SessionRecordTest, KeepsTheReplyThatADoubtCameTo) {
  record_->begin(1, 100, Op::kUnlink);
  record_->about_to(ChangeFacts{});
  record_->came_to({.number = 42});
  auto again = reopened();
  ASSERT_TRUE(again);
  ASSERT_TRUE((*again)->doubt() && (*again)->doubt()->outcome);
  EXPECT_EQ((*again)->doubt()->outcome->number, 42u);
  (*again)->resolve(reply_of(1));
  const auto third = reopened();
  for (const SessionRecord* record : {again->get(), third->get()}) {
    EXPECT_EQ(record->last_applied(), 1u);
    EXPECT_TRUE(record->find(1, 100));
    EXPECT_EQ(record->find(1, 101).error().status, Status::kSequenceConflict);
  }
}

TEST_F(SessionRecordTest, KeepsWhatALongErrorSaysInShort) {
  record_->begin(1, 100, Op::kUnlink);
  record_->finish(1, std::make_shared<const Reply>(
                         Reply{.status = Status::kIoError,
                               .fields = encode_fields(ErrorReply{std::string(512, 'e')})}));
  const auto again = reopened();
  ASSERT_TRUE(again) << again.error().message();
  const auto reply = (*again)->find(1, 100);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(decode_all<ErrorReply>((*reply)->fields));
}

TEST_F(SessionRecordTest, IsRefusedOrTheSameWhateverByteIsDamaged) {
  for (std::uint64_t seq = 1; seq <= 3; ++seq) apply(*record_, seq);
  record_.reset();
  const auto bytes = std::filesystem::file_size(file_);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < bytes; at += 5) {
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char good = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(good ^ 0x11)).flush();
    if (const auto read = reopened()) {
      // Where nothing is kept, or a number of replies that are there.
      EXPECT_EQ((*read)->identity(), identity_);
      for (std::uint64_t seq = (*read)->last_dropped() + 1; seq <= (*read)->last_applied(); ++seq) {
        EXPECT_EQ((*(*read)->find(seq, seq * 100))->fields, reply_of(seq)->fields);
      }
    } else {
      ++refused;
    }
    file.seekp(static_cast<std::streamoff>(at));
    file.put(good).flush();
  }
  EXPECT_GT(refused, 200u);
  for (const std::size_t shorter : {std::size_t{0}, std::size_t{100}, std::size_t{9000}}) {
    std::filesystem::resize_file(file_, shorter);
    EXPECT_FALSE(reopened()) << shorter;
  }
}

TEST_F(SessionRecordTest, LeavesNothingWhenTheSessionIsOver) {
  record_->remove();
  EXPECT_FALSE(std::filesystem::exists(file_));
  apply(*record_, 1);  // a change that still runs does no harm
}

TEST(ChangeFacts, AreTheSameWhenTheyAreReadAgain) {
  ChangeFacts facts{.path = "p", .name = std::string(255, 'n'), .to_path = "", .new_name = "m"};
  facts.numbers.setattr.size = 99;
  std::vector<std::byte> bytes(kFactsBytesMax);
  bytes.resize(encode_facts(facts, bytes));
  const auto read = decode_facts(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, facts.name);
  EXPECT_EQ(read->new_name, "m");
  EXPECT_EQ(read->numbers.setattr.size, 99u);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_facts(std::span(bytes).first(length))) << length;
  }
}

}  // namespace
}  // namespace homefs
