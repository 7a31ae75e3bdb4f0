#include "fusefs/call_window.h"

#include <gtest/gtest.h>

#include <optional>

namespace homefs {
namespace {

constexpr std::uint64_t kConnection = 7;

class CallWindowTest : public ::testing::Test {
 protected:
  std::uint64_t add(Op op, Lane lane = Lane::kControl) {
    auto call = std::make_shared<PendingCall>();
    call->number = ++last_number_;
    call->call = make_call(op, {}, NodeRequest{});
    call->call.lane = lane;
    call->done = [this, number = call->number](Result<InFrame> reply) {
      answered_.push_back(number);
      last_status_ = reply ? Status::kOk : reply.error().status;
    };
    EXPECT_TRUE(window_.add(std::move(call)));
    return last_number_;
  }
  PendingPtr take(Lane lane = Lane::kControl) { return window_.take_next(lane, kConnection); }
  void answer(const PendingPtr& call) {
    EXPECT_EQ(window_.take_answered(call->tag, kConnection), call);
  }

  CallWindow window_;
  std::uint64_t last_number_ = 0;
  std::vector<std::uint64_t> answered_;
  Status last_status_ = Status::kOk;
};

TEST_F(CallWindowTest, GivesSeqsInTheOrderOfSendingToSequencedCallsOnly) {
  add(Op::kMkdir);
  add(Op::kGetattr);
  add(Op::kCreate);
  EXPECT_EQ(take()->seq, 1U);
  EXPECT_EQ(take()->seq, 0U);
  EXPECT_EQ(take()->seq, 2U);
  EXPECT_EQ(take(), nullptr);
}

TEST_F(CallWindowTest, SendsAppendsOnTheControlLaneThoughTheyAskForTheBulkOne) {
  add(Op::kAppend, Lane::kBulk);
  EXPECT_EQ(take(Lane::kBulk), nullptr);
  EXPECT_EQ(take(Lane::kControl)->seq, 1U);
}

TEST_F(CallWindowTest, AcknowledgesASeqOnlyWhenAllBeforeItAreAnswered) {
  for (int i = 0; i < 3; ++i) add(Op::kMkdir);
  const auto first = take();
  const auto second = take();
  const auto third = take();
  answer(second);
  EXPECT_EQ(window_.seq_done(), 0U);
  answer(first);
  EXPECT_EQ(window_.seq_done(), 2U);
  answer(third);
  EXPECT_EQ(window_.seq_done(), 3U);
}

TEST_F(CallWindowTest, KeepsSeqAndOrderAcrossABreak) {
  for (int i = 0; i < 3; ++i) add(Op::kMkdir);
  const auto first = take();
  const auto second = take();
  window_.on_break(kConnection);
  EXPECT_EQ(window_.under_way(), 0U);
  EXPECT_EQ(window_.take_next(Lane::kControl, 8), first);
  EXPECT_EQ(first->seq, 1U);
  EXPECT_EQ(window_.take_next(Lane::kControl, 8), second);
  EXPECT_EQ(window_.take_next(Lane::kControl, 8)->seq, 3U);
}

TEST_F(CallWindowTest, NumbersWritesForThemselvesAndKeepsTheNumberAcrossABreak) {
  add(Op::kMkdir);
  add(Op::kWrite);
  add(Op::kWrite, Lane::kBulk);
  EXPECT_EQ(take()->seq, 1U);
  const auto small = take();
  const auto large = take(Lane::kBulk);
  EXPECT_EQ(small->seq, 1U);
  EXPECT_EQ(large->seq, 2U);
  answer(small);
  EXPECT_EQ(window_.seq_done(), 0U) << "it is not of the sequence";
  window_.on_break_all();
  const auto again = window_.take_next(Lane::kBulk, 8);
  EXPECT_EQ(again, large);
  EXPECT_EQ(again->seq, 2U);
  EXPECT_EQ(window_.take_answered(again->tag, 8), large);
  window_.send_again(again);
  EXPECT_EQ(window_.take_next(Lane::kBulk, 8)->seq, 3U) << "it was refused: another write";
}

TEST_F(CallWindowTest, SendsNoMoreWritesThanTheServerRemembersBehindOneWithoutAnAnswer) {
  add(Op::kWrite);
  const auto first = take();
  for (std::size_t i = 1; i < kCallsInFlightMax; ++i) {
    add(Op::kWrite);
    answer(take());
  }
  add(Op::kWrite);
  add(Op::kWrite, Lane::kBulk);
  EXPECT_EQ(take(), nullptr);
  EXPECT_EQ(take(Lane::kBulk), nullptr);
  answer(first);
  EXPECT_EQ(take()->seq, kCallsInFlightMax + 1);
}

TEST_F(CallWindowTest, PutsWhatIsTriedAgainBehindEverySeqThatIsTaken) {
  add(Op::kMkdir);
  const auto refused = take();
  add(Op::kGetattr);
  add(Op::kCreate);
  const auto look = take();
  const auto create = take();
  window_.on_break(kConnection + 1);
  EXPECT_EQ(window_.take_answered(refused->tag, kConnection), refused);
  window_.on_break(kConnection);
  window_.send_again(refused);
  EXPECT_EQ(take(), look);
  EXPECT_EQ(take(), create);
  EXPECT_EQ(take(), refused);
  EXPECT_EQ(create->seq, 2U);
  EXPECT_EQ(refused->seq, 3U);
}

TEST_F(CallWindowTest, FailsChangesOfDataThatMayHaveBeenDoneInALostSession) {
  for (const Op op : {Op::kCopy, Op::kFallocate, Op::kWrite, Op::kGetattr}) add(op);
  for (const std::uint32_t which : {kSetMode, kSetSize}) {
    auto call = std::make_shared<PendingCall>();
    call->call = make_call(Op::kSetattr, {}, SetattrRequest{.which = which});
    call->done = [](Result<InFrame>) {};
    ASSERT_TRUE(window_.add(call));
  }
  while (take() != nullptr) {
  }
  add(Op::kCopy);
  window_.on_break_all();
  EXPECT_EQ(window_.on_new_session().size(), 3U);
  EXPECT_EQ(window_.waiting(), 4U);
}

TEST_F(CallWindowTest, ResendsOnlyWhatTheBrokenConnectionCarried) {
  add(Op::kRead, Lane::kBulk);
  add(Op::kMkdir);
  const auto bulk = window_.take_next(Lane::kBulk, 1);
  const auto control = window_.take_next(Lane::kControl, 2);
  window_.on_break(1);
  EXPECT_EQ(window_.under_way(), 1U);
  EXPECT_EQ(window_.take_next(Lane::kBulk, 3), bulk);
}

TEST_F(CallWindowTest, PutsARefusedCallBackToTheHeadOfItsLane) {
  add(Op::kMkdir);
  add(Op::kMkdir);
  const auto first = take();
  window_.put_back(first);
  EXPECT_EQ(take(), first);
  EXPECT_EQ(first->seq, 1U);
}

TEST_F(CallWindowTest, IgnoresARefusalThatABreakHasOvertaken) {
  add(Op::kMkdir);
  const auto call = take();
  window_.on_break(kConnection);
  window_.put_back(call);
  EXPECT_EQ(window_.waiting(), 1U);
}

TEST_F(CallWindowTest, SendsACallAgainWithANewSeqBehindThoseThatHaveOne) {
  for (int i = 0; i < 3; ++i) add(Op::kMkdir);
  const auto first = take();
  const auto second = take();
  const auto third = take();
  window_.on_break(kConnection);
  const auto resent = take();
  ASSERT_EQ(resent, first);
  answer(resent);
  window_.send_again(first);
  add(Op::kMkdir);
  EXPECT_EQ(take(), second);
  EXPECT_EQ(take(), third);
  EXPECT_EQ(take(), first);
  EXPECT_EQ(first->seq, 4U);
  EXPECT_EQ(take()->seq, 5U);
}

TEST_F(CallWindowTest, HoldsBulkCallsBackSoThatControlCallsFindRoom) {
  for (std::size_t i = 0; i < kCallsInFlightMax; ++i) add(Op::kRead, Lane::kBulk);
  std::size_t taken = 0;
  while (take(Lane::kBulk) != nullptr) ++taken;
  EXPECT_EQ(taken, kBulkInFlightMax);
  add(Op::kGetattr);
  EXPECT_NE(take(Lane::kControl), nullptr);
}

TEST_F(CallWindowTest, FillsTheWindowAndNoMore) {
  for (std::size_t i = 0; i < kCallsInFlightMax + 10; ++i) add(Op::kGetattr);
  std::vector<PendingPtr> taken;
  while (auto call = take()) taken.push_back(std::move(call));
  EXPECT_EQ(taken.size(), kCallsInFlightMax);
  EXPECT_EQ(window_.waiting(), 10U);
  answer(taken[5]);
  EXPECT_NE(take(), nullptr);
  EXPECT_EQ(take(), nullptr);
}

TEST_F(CallWindowTest, RefusesWhatGoesOverItsBound) {
  for (std::size_t i = 0; i < kCallsWaitingMax; ++i) add(Op::kGetattr);
  auto call = std::make_shared<PendingCall>();
  call->call = make_call(Op::kGetattr, {}, NodeRequest{});
  EXPECT_FALSE(window_.add(call));
}

TEST_F(CallWindowTest, DropsAnInterruptedCallThatHasNotLeft) {
  const auto number = add(Op::kMkdir);
  add(Op::kMkdir);
  EXPECT_TRUE(window_.abandon(number));
  EXPECT_FALSE(window_.abandon(number));
  EXPECT_EQ(take()->seq, 1U);
  EXPECT_EQ(take(), nullptr);
}

TEST_F(CallWindowTest, ResendsAnInterruptedSequencedCallSoThatNoSeqIsMissing) {
  const auto number = add(Op::kMkdir);
  add(Op::kGetattr);
  const auto change = take();
  const auto look = take();
  EXPECT_TRUE(window_.abandon(number));
  EXPECT_TRUE(window_.abandon(look->number));
  window_.on_break(kConnection);
  EXPECT_EQ(take(), change);
  EXPECT_EQ(take(), nullptr) << "nobody waits for the getattr any more";
}

TEST_F(CallWindowTest, StartsSeqsAnewInANewSessionAndDoubtsWhatMustNotBeDoneTwice) {
  add(Op::kSetattr);
  add(Op::kAppend);
  add(Op::kUnlink);
  add(Op::kAppend);
  const auto repeatable = take();
  const auto append = take();
  const auto unlink = take();
  window_.on_break(kConnection);
  const auto doubtful = window_.on_new_session();
  EXPECT_EQ(doubtful, (std::vector{append, unlink}));
  EXPECT_EQ(take(), repeatable);
  EXPECT_EQ(repeatable->seq, 1U);
  const auto unsent = take();
  EXPECT_EQ(unsent->seq, 2U);
  EXPECT_EQ(unsent->call.op, Op::kAppend);
}

TEST_F(CallWindowTest, TakesNoCallIntoASessionThatItDoesNotBelongTo) {
  add(Op::kWrite);
  add(Op::kWrite);
  add(Op::kWrite);
  const auto sent = take();
  const auto other = take();
  sent->call.session = window_.session_number();
  window_.on_break(kConnection);
  const auto doubtful = window_.on_new_session();
  EXPECT_EQ(doubtful, std::vector{sent});
  EXPECT_EQ(take(), other);
  EXPECT_EQ(window_.session_number(), 2U);
}

TEST_F(CallWindowTest, DoesNotDoubtWhatNoChannelHasTaken) {
  add(Op::kUnlink);
  const auto call = take();
  window_.put_back(call);
  EXPECT_FALSE(window_.has_resends(Lane::kControl));
  EXPECT_TRUE(window_.on_new_session().empty());
  EXPECT_EQ(take(), call);
}

TEST_F(CallWindowTest, KeepsTheSeqsThatAreNotAcknowledgedBounded) {
  std::vector<PendingPtr> taken;
  for (std::size_t i = 0; i <= kCallsInFlightMax; ++i) add(Op::kMkdir);
  while (auto call = take()) taken.push_back(std::move(call));
  ASSERT_EQ(taken.size(), kCallsInFlightMax);
  for (std::size_t i = 1; i < taken.size(); ++i) answer(taken[i]);
  EXPECT_EQ(take(), nullptr) << "the first has no answer yet";
  answer(taken[0]);
  EXPECT_NE(take(), nullptr);
}

TEST_F(CallWindowTest, TakesEverythingBackWhenAllConnectionsAreGone) {
  add(Op::kRead, Lane::kBulk);
  add(Op::kMkdir);
  const auto bulk = window_.take_next(Lane::kBulk, 1);
  const auto control = window_.take_next(Lane::kControl, 2);
  window_.on_break_all();
  EXPECT_EQ(window_.under_way(), 0U);
  EXPECT_TRUE(window_.has_resends(Lane::kBulk));
  EXPECT_EQ(window_.take_next(Lane::kBulk, 3), bulk);
  EXPECT_EQ(window_.take_next(Lane::kControl, 4), control);
}

TEST_F(CallWindowTest, ForgetsInterruptedCallsOfASessionThatIsGone) {
  const auto number = add(Op::kMkdir);
  (void)take();
  EXPECT_TRUE(window_.abandon(number));
  window_.on_break(kConnection);
  EXPECT_TRUE(window_.on_new_session().empty());
  EXPECT_EQ(window_.waiting(), 0U);
}

TEST_F(CallWindowTest, AbandonsOnlyCallsOlderThanTheLimit) {
  add(Op::kGetattr);
  const auto call = take();
  call->since = SteadyTime(std::chrono::seconds(10));
  EXPECT_TRUE(window_.abandon_older_than(SteadyTime(std::chrono::seconds(10))).empty());
  EXPECT_EQ(window_.abandon_older_than(SteadyTime(std::chrono::seconds(11))).size(), 1U);
  answer(call);
}

SteadyTime at(int seconds) { return SteadyTime(std::chrono::seconds(seconds)); }

// A large file over a slow line: each answer comes in time, the last one late.
TEST_F(CallWindowTest, CountsTheTimeOfACallFromTheLastAnswerBeforeIt) {
  add(Op::kRead, Lane::kBulk);
  add(Op::kRead, Lane::kBulk);
  add(Op::kRead, Lane::kBulk);
  const auto first = take(Lane::kBulk);
  const auto second = take(Lane::kBulk);  // the third waits for room
  answer(first);
  window_.note_progress(at(100));
  EXPECT_TRUE(window_.abandon_older_than(at(100)).empty());
  window_.note_progress(at(200));  // nothing more has come
  EXPECT_EQ(window_.abandon_older_than(at(101)).size(), 2U);
}

TEST_F(CallWindowTest, FindsTheCallThatIsNotAnsweredWhileLaterOnesAre) {
  add(Op::kGetattr);
  add(Op::kRead, Lane::kBulk);
  const auto stuck = take();
  add(Op::kGetattr);
  answer(take());
  answer(take(Lane::kBulk));
  window_.note_progress(at(100));
  EXPECT_EQ(window_.abandon_older_than(at(1)).size(), 1U);
  answer(stuck);
}

TEST_F(CallWindowTest, CountsTheTimeOfAChangeLikewise) {
  add(Op::kWrite, Lane::kBulk);
  add(Op::kWrite, Lane::kBulk);
  answer(take(Lane::kBulk));
  window_.note_progress(at(100));
  EXPECT_EQ(window_.oldest_change(), at(100));
  answer(take(Lane::kBulk));
  EXPECT_FALSE(window_.oldest_change());
}

TEST_F(CallWindowTest, DoesNotGiveACallToTheWrongConnection) {
  add(Op::kGetattr);
  const auto call = take();
  EXPECT_EQ(window_.take_answered(call->tag, kConnection + 1), nullptr);
  EXPECT_EQ(window_.take_answered(call->tag + 1, kConnection), nullptr);
  answer(call);
}

}  // namespace
}  // namespace homefs
