#include "server/event_outbox.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

namespace homefs {
namespace {

class FakeSink : public EventSink {
 public:
  void send_event(OutFrame frame) override { sent.push_back(frame.header); }
  void close(Error) override { is_closed = true; }

  std::vector<FrameHeader> sent;
  bool is_closed = false;
};

class EventOutboxTest : public testing::Test {
 protected:
  enum class Outcome { kWaiting, kAcknowledged, kGivenUp };

  // Deadline 0: everything that is not acknowledged is late when the timer runs.
  void send(Outcome& outcome) {
    outcome = Outcome::kWaiting;
    outbox_->send(Op::kChanged, {}, [&outcome](bool is_acknowledged) {
      outcome = is_acknowledged ? Outcome::kAcknowledged : Outcome::kGivenUp;
    });
  }
  void run_timers() {
    io_.restart();
    io_.run();
  }

  boost::asio::io_context io_;
  std::shared_ptr<EventOutbox> outbox_ =
      EventOutbox::make(io_.get_executor(), std::chrono::milliseconds(0));
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
};

TEST_F(EventOutboxTest, WaitsForTheAcknowledgement) {
  (void)outbox_->connect(sink_);
  Outcome outcome;
  send(outcome);
  ASSERT_EQ(sink_->sent.size(), 1u);
  EXPECT_EQ(sink_->sent[0].kind, FrameKind::kEvent);
  EXPECT_EQ(outcome, Outcome::kWaiting);
  EXPECT_TRUE(outbox_->acknowledge(sink_->sent[0].tag));
  EXPECT_EQ(outcome, Outcome::kAcknowledged);
}

TEST_F(EventOutboxTest, RefusesAnAcknowledgementOfNothing) {
  (void)outbox_->connect(sink_);
  EXPECT_EQ(outbox_->acknowledge(1).error().status, Status::kProtocolError);
  Outcome outcome;
  send(outcome);
  EXPECT_TRUE(outbox_->acknowledge(1));
  EXPECT_FALSE(outbox_->acknowledge(1)) << "twice";
}

TEST_F(EventOutboxTest, GivesUpAtTheDeadlineAndDoesNotWaitForALaggingClientAgain) {
  (void)outbox_->connect(sink_);
  Outcome first, second, third;
  send(first);
  run_timers();
  EXPECT_EQ(first, Outcome::kGivenUp);
  EXPECT_TRUE(outbox_->is_lagging());
  send(second);
  EXPECT_EQ(second, Outcome::kGivenUp) << "at once";
  EXPECT_EQ(sink_->sent.size(), 2u) << "but it is told";
  EXPECT_TRUE(outbox_->acknowledge(sink_->sent[0].tag));
  EXPECT_FALSE(outbox_->is_lagging());
  send(third);
  EXPECT_EQ(third, Outcome::kWaiting);
  EXPECT_TRUE(outbox_->acknowledge(sink_->sent[1].tag)) << "late, and harmless";
  EXPECT_FALSE(outbox_->is_lagging());
}

TEST_F(EventOutboxTest, KnowsWhatADisconnectedClientHasMissed) {
  Outcome outcome;
  send(outcome);
  EXPECT_EQ(outcome, Outcome::kGivenUp);
  EXPECT_TRUE(outbox_->connect(sink_).has_missed);
  EXPECT_FALSE(outbox_->connect(sink_).has_missed) << "told already";
}

TEST_F(EventOutboxTest, CountsWhatWasOnTheWayAsMissedWhenTheConnectionBreaks) {
  (void)outbox_->connect(sink_);
  Outcome outcome;
  send(outcome);
  outbox_->disconnect(sink_.get());
  EXPECT_EQ(outcome, Outcome::kGivenUp);
  EXPECT_TRUE(outbox_->connect(sink_).has_missed);
}

TEST_F(EventOutboxTest, IgnoresTheEndOfAConnectionThatWasReplaced) {
  (void)outbox_->connect(sink_);
  const auto newer = std::make_shared<FakeSink>();
  (void)outbox_->connect(newer);
  outbox_->disconnect(sink_.get());
  Outcome outcome;
  send(outcome);
  EXPECT_EQ(newer->sent.size(), 1u);
}

TEST_F(EventOutboxTest, TellsWithoutWaitingAndWithoutCountingItAsMissed) {
  outbox_->tell(Op::kQuotaChanged, {});
  EXPECT_FALSE(outbox_->connect(sink_).has_missed);
  outbox_->tell(Op::kQuotaChanged, {});
  EXPECT_EQ(sink_->sent.size(), 1u);
}

TEST_F(EventOutboxTest, GivesAConnectionUpThatNeverAcknowledges) {
  (void)outbox_->connect(sink_);
  for (std::size_t i = 0; i < kEventsOutstandingMax; ++i) outbox_->tell(Op::kQuotaChanged, {});
  EXPECT_FALSE(sink_->is_closed);
  Outcome outcome;
  send(outcome);
  EXPECT_TRUE(sink_->is_closed);
  EXPECT_EQ(outcome, Outcome::kGivenUp);
}

}  // namespace
}  // namespace homefs
