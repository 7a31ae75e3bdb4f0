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
  // The first event of each connection is acknowledged at once.
  bool connect(const std::shared_ptr<FakeSink>& sink) {
    const bool has_missed = outbox_->connect(sink, {.op = Op::kMode}).has_missed;
    EXPECT_EQ(sink->sent.back().op, Op::kMode);
    EXPECT_TRUE(outbox_->acknowledge(sink.get(), sink->sent.back().tag));
    sink->sent.clear();
    return has_missed;
  }
  void run_timers() {
    io_.restart();
    io_.run();
  }

  boost::asio::io_context io_;
  std::shared_ptr<EventOutbox> outbox_ =
      EventOutbox::make(io_.get_executor(), /*has_missed=*/false, std::chrono::milliseconds(0));
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
};

TEST_F(EventOutboxTest, WaitsForTheAcknowledgement) {
  connect(sink_);
  Outcome outcome;
  send(outcome);
  ASSERT_EQ(sink_->sent.size(), 1u);
  EXPECT_EQ(sink_->sent[0].kind, FrameKind::kEvent);
  EXPECT_EQ(outcome, Outcome::kWaiting);
  EXPECT_TRUE(outbox_->acknowledge(sink_.get(), sink_->sent[0].tag));
  EXPECT_EQ(outcome, Outcome::kAcknowledged);
}

TEST_F(EventOutboxTest, RefusesAnAcknowledgementOfNothing) {
  connect(sink_);
  EXPECT_EQ(outbox_->acknowledge(sink_.get(), 99).error().status, Status::kProtocolError);
  Outcome outcome;
  send(outcome);
  const std::uint32_t tag = sink_->sent[0].tag;
  EXPECT_TRUE(outbox_->acknowledge(sink_.get(), tag));
  EXPECT_FALSE(outbox_->acknowledge(sink_.get(), tag)) << "twice";
}

TEST_F(EventOutboxTest, GivesUpAtTheDeadlineAndDoesNotWaitForALaggingClientAgain) {
  connect(sink_);
  Outcome first, second, third;
  send(first);
  run_timers();
  EXPECT_EQ(first, Outcome::kGivenUp);
  EXPECT_TRUE(outbox_->is_lagging());
  send(second);
  EXPECT_EQ(second, Outcome::kGivenUp) << "at once";
  EXPECT_EQ(sink_->sent.size(), 2u) << "but it is told";
  EXPECT_TRUE(outbox_->acknowledge(sink_.get(), sink_->sent[0].tag));
  EXPECT_FALSE(outbox_->is_lagging());
  send(third);
  EXPECT_EQ(third, Outcome::kWaiting);
  EXPECT_TRUE(outbox_->acknowledge(sink_.get(), sink_->sent[1].tag)) << "late, and harmless";
  EXPECT_FALSE(outbox_->is_lagging());
}

TEST_F(EventOutboxTest, KnowsWhatADisconnectedClientHasMissed) {
  Outcome outcome;
  send(outcome);
  EXPECT_EQ(outcome, Outcome::kGivenUp);
  EXPECT_TRUE(connect(sink_));
  EXPECT_FALSE(connect(sink_)) << "told already";
}

TEST_F(EventOutboxTest, CountsWhatWasOnTheWayAsMissedWhenTheConnectionBreaks) {
  connect(sink_);
  Outcome outcome;
  send(outcome);
  outbox_->disconnect(sink_.get());
  EXPECT_EQ(outcome, Outcome::kGivenUp);
  EXPECT_TRUE(connect(sink_));
}

TEST_F(EventOutboxTest, IgnoresTheEndOfAConnectionThatWasReplaced) {
  connect(sink_);
  const auto newer = std::make_shared<FakeSink>();
  connect(newer);
  outbox_->disconnect(sink_.get());
  Outcome outcome;
  send(outcome);
  EXPECT_EQ(newer->sent.size(), 1u);
  EXPECT_TRUE(outbox_->acknowledge(sink_.get(), 99)) << "it may have been on the way";
}

TEST_F(EventOutboxTest, TellsWithoutWaitingAndWithoutCountingItAsMissed) {
  outbox_->tell(Op::kQuotaChanged, {});
  EXPECT_FALSE(connect(sink_));
  outbox_->tell(Op::kQuotaChanged, {});
  EXPECT_EQ(sink_->sent.size(), 1u);
}

TEST_F(EventOutboxTest, GivesAConnectionUpThatNeverAcknowledges) {
  connect(sink_);
  for (std::size_t i = 0; i < kEventsOutstandingMax; ++i) outbox_->tell(Op::kQuotaChanged, {});
  EXPECT_FALSE(sink_->is_closed);
  Outcome outcome;
  send(outcome);
  EXPECT_TRUE(sink_->is_closed);
  EXPECT_EQ(outcome, Outcome::kGivenUp);
}

}  // namespace
}  // namespace homefs
