// ServerLink over broken connections, lost sessions and servers that were restarted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/server_link_fixture.h"

namespace homefs {
namespace {

TEST_F(ServerLinkTest, AppliesEveryChangeOnceWhereverTheConnectionBreaks) {
  connect();
  constexpr std::uint64_t kChanges = 400;
  std::vector<Sent> sent;
  for (std::uint64_t i = 0; i < kChanges; ++i) {
    if (i % 40 == 10) server_.cut_before(1);
    if (i % 40 == 30) server_.cut_after(1);
    sent.push_back(send(Op::kMkdir, i));
    if (i % 8 == 0) sent.push_back(send(Op::kGetattr, i));
    if (i % 40 == 39) {
      EXPECT_EQ(sent.back().status(), Status::kOk);
    }
  }
  for (auto& each : sent) {
    if (each.reply.valid()) {
      EXPECT_EQ(each.status(), Status::kOk);
    }
  }
  const auto order = applied();
  ASSERT_EQ(order.size(), kChanges);
  for (std::uint64_t i = 0; i < kChanges; ++i) EXPECT_EQ(order[i], i);
  EXPECT_EQ(server_.logins(), 1);
  EXPECT_GE(link_->counters().reconnects(), 10U);
  EXPECT_TRUE(core_.look([](FakeCore& core) {
    return std::all_of(core.reconnected.begin(), core.reconnected.end(),
                       [](bool is_same) { return is_same; });
  }));
}

TEST_F(ServerLinkTest, ResendsWhatABrokenBulkConnectionCarried) {
  connect();
  EXPECT_EQ(send(Op::kRead, 0, {}, Lane::kBulk).status(), Status::kOk);
  server_.cut_after(1);
  EXPECT_EQ(send(Op::kRead, 1, {}, Lane::kBulk).status(), Status::kOk);
  EXPECT_EQ(requests_of(Op::kRead).size(), 3U);
}

TEST_F(ServerLinkTest, GoesOnWhenAFullBulkConnectionIsCut) {
  server_.set_bulk_deaf(true);
  connect();
  const auto buffer = std::make_shared<Buffer>(kPayloadBytesMax);
  std::vector<std::future<Result<InFrame>>> replies;
  for (int i = 0; i < 128; ++i) {  // more than its queue and the sockets take
    auto promise = std::make_shared<std::promise<Result<InFrame>>>();
    replies.push_back(promise->get_future());
    Call call = make_call(Op::kWrite, {}, NodeRequest{});
    call.payload = {slice_of(buffer)};
    call.lane = Lane::kBulk;
    (void)link_->send(std::move(call),
                      [promise](Result<InFrame> reply) { promise->set_value(std::move(reply)); });
  }
  ASSERT_TRUE(server_.wait_until(
      [&] { return !requests_of(Op::kWrite).empty() && link_->status().calls_waiting > 0; }));
  for (int cut = 0; cut < 3; ++cut) {
    if (cut == 2) server_.set_bulk_deaf(false);
    const auto asked = requests_of(Op::kWrite).size();
    server_.cut_bulk();
    ASSERT_TRUE(server_.wait_until([&] { return requests_of(Op::kWrite).size() > asked; })) << cut;
  }
  for (auto& reply : replies) {
    ASSERT_EQ(reply.wait_for(seconds(60)), std::future_status::ready);
    EXPECT_TRUE(reply.get());
  }
}

TEST_F(ServerLinkTest, ComesBackWhenTheServerDoes) {
  connect();
  server_.refuse_connections(true);
  server_.cut_all();
  auto waiting = send(Op::kMkdir, 1);
  ASSERT_TRUE(server_.wait_until([&] { return link_->counters().troubles().size() >= 4; }));
  EXPECT_FALSE(link_->status().is_connected);
  server_.refuse_connections(false);
  EXPECT_EQ(waiting.status(), Status::kOk);
}

TEST_F(ServerLinkTest, DoesNotWaitLongerAfterABreakThatCameBehindAnswers) {
  options_.times.backoff_max = std::chrono::hours(1);  // reached after 22 failures in a row
  connect();
  for (std::uint64_t round = 0; round < 30; ++round) {
    for (std::uint64_t i = 0; i < 16; ++i) {
      ASSERT_EQ(send(Op::kGetattr, round * 16 + i).status(), Status::kOk);
    }
    server_.cut_all();
  }
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kOk);
}

TEST_F(ServerLinkTest, LogsInAgainWhenTheServerHasForgottenTheSession) {
  connect();
  EXPECT_EQ(send(Op::kMkdir, 1, {kNode}).status(), Status::kOk);
  server_.forget_sessions();
  server_.cut_all();
  EXPECT_EQ(send(Op::kSetattr, 2, {kNode}).status(), Status::kOk);
  EXPECT_EQ(server_.logins(), 2);
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.reconnected; }), std::vector{false});
  const auto changed = requests_of(Op::kSetattr);
  EXPECT_EQ(changed.back().header.seq, 1U) << "a new session has a new sequence";
  EXPECT_EQ(changed.back().introductions.size(), 1U) << "and knows no nodes";
}

TEST_F(ServerLinkTest, TellsOfALossOfPowerOnlyIfTheSessionIsGoneAndTheMachineWasOff) {
  connect();
  auto come_back = [&, reconnects = std::uint64_t{0}]() mutable {
    server_.cut_all();
    ++reconnects;
    EXPECT_TRUE(server_.wait_until([&] { return link_->counters().reconnects() == reconnects; }));
    return core_.look([](FakeCore& core) { return core.power_losses; });
  };
  server_.forget_sessions();
  EXPECT_EQ(come_back(), 0) << "it was away for too long";
  server_.change_boot();
  EXPECT_EQ(come_back(), 0) << "an orderly stop";
  server_.forget_sessions();
  EXPECT_EQ(come_back(), 0) << "away for too long after it";
  server_.change_boot();
  server_.forget_sessions();
  EXPECT_EQ(come_back(), 1);
}

TEST_F(ServerLinkTest, DoesNotAppendTwiceWhenTheServerHasForgottenTheSession) {
  server_.set_handler([&](const FakeRequest& request) -> std::optional<FakeReply> {
    if (request.header.op == Op::kAppend) {
      server_.forget_sessions();
      server_.cut_after(1);
    }
    return FakeReply{};
  });
  connect();
  EXPECT_EQ(send(Op::kAppend, 1).status(), Status::kIoError);
  EXPECT_EQ(send(Op::kMkdir, 2).status(), Status::kOk);
  EXPECT_EQ(requests_of(Op::kAppend).size(), 1U);
}

TEST_F(ServerLinkTest, TellsTheCoreThatItHasMissedChanges) {
  connect();
  server_.set_missed_events(true);
  server_.cut_all();
  ASSERT_TRUE(server_.wait_until([&] { return link_->counters().reconnects() == 1; }));
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.reconnected; }), std::vector{false});
  EXPECT_EQ(server_.logins(), 1);
}

TEST_F(ServerLinkTest, IntroducesNodesAgainToAServerThatWasRestarted) {
  connect();
  EXPECT_EQ(send(Op::kGetattr, 1, {kNode}).status(), Status::kOk);
  EXPECT_EQ(send(Op::kGetattr, 2, {kNode}).status(), Status::kOk);
  server_.change_incarnation();
  server_.cut_all();
  EXPECT_EQ(send(Op::kGetattr, 3, {kNode}).status(), Status::kOk);
  const auto asked = requests_of(Op::kGetattr);
  EXPECT_EQ(asked.at(0).introductions.size(), 1U);
  EXPECT_EQ(asked.at(1).introductions.size(), 0U);
  EXPECT_EQ(asked.back().introductions.size(), 1U);
  EXPECT_EQ(server_.logins(), 1);
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.reconnected; }), std::vector{false})
      << "what is cached cannot be compared with what a restarted server says";
}

}  // namespace
}  // namespace homefs
