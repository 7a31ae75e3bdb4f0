#include "fusefs/server_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "tests/unit/client/server_link_fixture.h"

namespace homefs {
namespace {

// ---- Login -----------------------------------------------------------------------------------

TEST_F(ServerLinkTest, LogsInAndIsAnswered) {
  connect();
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kOk);
  EXPECT_TRUE(link_->status().is_connected);
  EXPECT_EQ(link_->session()->home.root_inode, 2U);
}

TEST_F(ServerLinkTest, SaysThatThePasswordIsWrong) {
  options_.credentials.password = "guess";
  EXPECT_EQ(make_link().connect_and_login().error().status, Status::kLoginRefused);
}

TEST_F(ServerLinkTest, RefusesAServerWithoutAPinAndShowsItsKey) {
  options_.trust.pinned.clear();
  EXPECT_EQ(make_link().connect_and_login().error().status, Status::kServerKeyUnknown);
  EXPECT_EQ(link_->offered_fingerprint(), server_.fingerprint());
  EXPECT_EQ(server_.logins(), 0);
}

TEST_F(ServerLinkTest, AcceptsANewServerWhereItMay) {
  options_.trust = {.pinned = "", .accept_new = true};
  EXPECT_TRUE(make_link().connect_and_login());
}

TEST_F(ServerLinkTest, NeverAcceptsAChangedKey) {
  options_.trust = {.pinned = "SHA256:another", .accept_new = true};
  EXPECT_EQ(make_link().connect_and_login().error().status, Status::kServerKeyChanged);
  EXPECT_EQ(server_.logins(), 0);
}

TEST_F(ServerLinkTest, SaysThatNobodyListens) {
  server_.refuse_connections(true);
  EXPECT_EQ(make_link().connect_and_login().error().status, Status::kDisconnected);
}

TEST_F(ServerLinkTest, SaysGoodbyeWhenItIsClosed) {
  connect();
  link_->close();
  EXPECT_TRUE(server_.wait_until([&] { return server_.goodbyes() == 1; }));
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kDisconnected);
}

// ---- Order and the window ----------------------------------------------------------------------

TEST_F(ServerLinkTest, KeepsOneOrderForTheChangesOfManyThreads) {
  connect();
  constexpr std::uint64_t kEach = 300;
  std::mutex mutex;
  std::vector<Sent> sent;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        auto each = send(Op::kMkdir, t * kEach + i);
        const std::lock_guard lock(mutex);
        sent.push_back(std::move(each));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& each : sent) EXPECT_EQ(each.status(), Status::kOk);
  const auto order = applied();
  ASSERT_EQ(order.size(), 4 * kEach);
  std::vector<std::uint64_t> next{0, kEach, 2 * kEach, 3 * kEach};
  for (const std::uint64_t value : order) EXPECT_EQ(value, next[value / kEach]++);
}

TEST_F(ServerLinkTest, NeverHasMoreUnderWayThanTheWindowAllows) {
  std::mutex mutex;
  std::vector<FakeRequest> held;
  server_.set_handler([&](const FakeRequest& request) -> std::optional<FakeReply> {
    const std::lock_guard lock(mutex);
    held.push_back(request);
    return std::nullopt;
  });
  connect();
  std::vector<Sent> sent;
  for (std::uint64_t i = 0; i < 2 * kCallsInFlightMax; ++i) sent.push_back(send(Op::kGetattr, i));
  std::size_t answered = 0;
  while (answered < sent.size()) {
    std::vector<FakeRequest> batch;
    ASSERT_TRUE(server_.wait_until([&] {
      const std::lock_guard lock(mutex);
      return held.size() == std::min(kCallsInFlightMax, sent.size() - answered);
    })) << "after "
        << answered;
    EXPECT_EQ(link_->status().calls_waiting, sent.size() - answered - held.size());
    {
      const std::lock_guard lock(mutex);
      batch.swap(held);
    }
    answered += batch.size();
    for (const auto& request : batch) server_.answer(request, {});
  }
  for (auto& each : sent) EXPECT_EQ(each.status(), Status::kOk);
}

TEST_F(ServerLinkTest, SendsBulkCallsOverABulkConnection) {
  connect();
  EXPECT_EQ(send(Op::kRead, 1, {}, Lane::kBulk).status(), Status::kOk);
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kOk);
  EXPECT_EQ(requests_of(Op::kRead).at(0).kind, ConnectionKind::kBulk);
  EXPECT_EQ(requests_of(Op::kGetattr).at(0).kind, ConnectionKind::kControl);
}

TEST_F(ServerLinkTest, SendsBulkCallsOverTheControlConnectionWhereThereIsNoOther) {
  server_.set_bulk_connections(0);
  connect();
  EXPECT_EQ(send(Op::kRead, 1, {}, Lane::kBulk).status(), Status::kOk);
  EXPECT_EQ(requests_of(Op::kRead).at(0).kind, ConnectionKind::kControl);
}

TEST_F(ServerLinkTest, SendsLargePayloadsPastTheBoundOfTheQueue) {
  connect();
  const auto buffer = std::make_shared<Buffer>(kPayloadBytesMax);
  std::vector<std::future<Result<InFrame>>> replies;
  for (int i = 0; i < 64; ++i) {  // 64 MiB through a queue of 16
    auto promise = std::make_shared<std::promise<Result<InFrame>>>();
    replies.push_back(promise->get_future());
    Call call = make_call(Op::kWrite, {}, NodeRequest{});
    call.payload = {slice_of(buffer)};
    call.lane = Lane::kBulk;
    (void)link_->send(std::move(call),
                      [promise](Result<InFrame> reply) { promise->set_value(std::move(reply)); });
  }
  for (auto& reply : replies) EXPECT_TRUE(reply.get());
}

// ---- Single calls -------------------------------------------------------------------------------

TEST_F(ServerLinkTest, TellsTheServersErrorWithItsText) {
  server_.set_handler([](const FakeRequest&) { return refusal(Status::kExists); });
  connect();
  const auto reply = send(Op::kMkdir, 1).reply.get();
  EXPECT_EQ(reply.error().status, Status::kExists);
  EXPECT_EQ(reply.error().context, "because");
}

TEST_F(ServerLinkTest, IntroducesANodeOnceMoreThatTheServerDoesNotKnow) {
  std::atomic<int> asks{0};
  server_.set_handler([&](const FakeRequest& request) {
    if (request.header.op == Op::kSetattr && ++asks == 2) return refusal(Status::kStale);
    return FakeReply{};
  });
  connect();
  EXPECT_EQ(send(Op::kSetattr, 1, {kNode}).status(), Status::kOk);
  EXPECT_EQ(send(Op::kSetattr, 2, {kNode}).status(), Status::kOk);
  const auto asked = requests_of(Op::kSetattr);
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_EQ(asked[2].introductions.size(), 1U);
  EXPECT_EQ(asked[2].header.seq, 3U) << "the refused one has used its seq";
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.distrusted; }), 1);
}

TEST_F(ServerLinkTest, GivesANodeUpThatStaysStale) {
  server_.set_handler([](const FakeRequest&) { return refusal(Status::kStale); });
  connect();
  EXPECT_EQ(send(Op::kGetattr, 1, {kNode}).status(), Status::kStale);
  EXPECT_EQ(requests_of(Op::kGetattr).size(), 2U);
}

TEST_F(ServerLinkTest, SendsIntroductionsAheadThatDoNotFitIntoOneRequest) {
  core_.depth = 3 * kIntroductionsMax;
  connect();
  EXPECT_EQ(send(Op::kMkdir, 1, {kNode}).status(), Status::kOk);
  const auto ahead = requests_of(Op::kGetattr);
  EXPECT_GE(ahead.size(), 2U);
  std::size_t introduced = requests_of(Op::kMkdir).at(0).introductions.size();
  for (const auto& request : ahead) introduced += request.introductions.size();
  EXPECT_EQ(introduced, core_.depth);
}

TEST_F(ServerLinkTest, ResendsADamagedBlockThreeTimesAndThenFails) {
  std::atomic<int> damaged{2};
  server_.set_handler([&](const FakeRequest& request) {
    if (request.header.op == Op::kWrite && damaged-- > 0) return refusal(Status::kBlockMismatch);
    return FakeReply{};
  });
  std::atomic<int> told{0};
  options_.on_write_mismatch = [&](NodeId node, std::uint64_t, int) {
    if (node == kNode) ++told;
  };
  connect();
  EXPECT_EQ(send(Op::kWrite, 1, {kNode}).status(), Status::kOk);
  EXPECT_EQ(told, 2);
  damaged = 1000;
  EXPECT_EQ(send(Op::kWrite, 2, {kNode}).status(), Status::kBlockMismatch);
  EXPECT_EQ(requests_of(Op::kWrite).size(), 3U + 4U);
  EXPECT_EQ(told, 2 + 4) << "also the last time";
  EXPECT_EQ(link_->counters().block_mismatches(), 2U + 4U);
  link_->note_damaged_block(kNode, 0, 1);
  EXPECT_EQ(link_->counters().block_mismatches(), 2U + 4U + 1U);
}

TEST_F(ServerLinkTest, AnswersAnInterruptedCallAtOnceAndFillsItsSeq) {
  std::promise<FakeRequest> came;
  server_.set_handler([&](const FakeRequest& request) -> std::optional<FakeReply> {
    if (request.header.op != Op::kGetattr) return FakeReply{};
    came.set_value(request);
    return std::nullopt;
  });
  connect();
  auto look = send(Op::kGetattr, 1);
  const FakeRequest request = came.get_future().get();
  link_->interrupt(look.number);
  EXPECT_EQ(look.status(), Status::kInterrupted);
  server_.answer(request, {});
  EXPECT_EQ(send(Op::kMkdir, 2).status(), Status::kOk);
  link_->interrupt(look.number);  // too late: nothing happens
}

TEST_F(ServerLinkTest, FailsASoftCallInTimeAndAChangeNever) {
  server_.set_handler([](const FakeRequest& request) -> std::optional<FakeReply> {
    if (request.header.op == Op::kGetattr) return std::nullopt;
    return FakeReply{};
  });
  options_.times.timeo = milliseconds(30);
  connect();
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kTimedOut);
  server_.refuse_connections(true);
  server_.cut_all();
  auto change = send(Op::kMkdir, 1);
  auto write = send(Op::kWrite, 2);
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kTimedOut) << "also while nothing is connected";
  EXPECT_TRUE(link_->oldest_change());
  server_.refuse_connections(false);
  EXPECT_EQ(change.status(), Status::kOk) << "whoever made it has to know";
  EXPECT_EQ(write.status(), Status::kOk);
  EXPECT_FALSE(link_->oldest_change());
}

TEST_F(ServerLinkTest, MayBeClosedByTwoThreadsAtOnce) {
  for (int round = 0; round < 10; ++round) {
    connect();
    std::latch start(2);
    const auto close = [&] {
      start.arrive_and_wait();
      link_->close();
    };
    std::thread other(close);
    close();
    other.join();
    EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kDisconnected);
    link_->detach();
    is_attached_ = false;
  }
}

TEST_F(ServerLinkTest, FailsUnansweredCallsWhenItIsClosed) {
  server_.set_handler([](const FakeRequest&) { return std::nullopt; });
  connect();
  auto waiting = send(Op::kGetattr, 1);
  link_->close();
  EXPECT_EQ(waiting.status(), Status::kDisconnected);
}

TEST_F(ServerLinkTest, AsksASilentServerForASignOfLife) {
  options_.times.keepalive = milliseconds(20);
  connect();
  EXPECT_TRUE(server_.wait_until([&] { return server_.pings() >= 3; }));
  EXPECT_EQ(server_.logins(), 1);
  EXPECT_EQ(link_->counters().reconnects(), 0U);
}

// ---- Events -------------------------------------------------------------------------------------

TEST_F(ServerLinkTest, HandsEventsToTheCoreAndItsAcknowledgementsBack) {
  connect();
  server_.send_event(Op::kMode, encode_fields(ModeEvent{.is_shared = true}));
  server_.send_event(Op::kChanged, encode_fields(ChangedEvent{1, {Change{InodeNumber{5}, "a"}}}));
  server_.send_event(Op::kQuotaChanged, encode_fields(QuotaEvent{GrantState{.stamp = 3}}));
  ASSERT_TRUE(server_.wait_until([&] { return server_.acknowledged_events().size() == 3; }));
  EXPECT_THAT(server_.acknowledged_events(),
              ::testing::ElementsAre(Op::kMode, Op::kChanged, Op::kQuotaChanged));
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.modes; }), std::vector{true});
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.changed; }), 1);
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.grant.stamp; }), 3U);
}

TEST_F(ServerLinkTest, TellsACoreThatComesLaterHowTheHomeStands) {
  make_link();
  ASSERT_TRUE(link_->connect_and_login());
  server_.send_event(Op::kMode, encode_fields(ModeEvent{.is_shared = true}));
  ASSERT_TRUE(server_.wait_until([&] { return !server_.acknowledged_events().empty(); }));
  link_->attach(core_, core_);
  is_attached_ = true;
  EXPECT_EQ(core_.look([](FakeCore& core) { return core.modes; }), std::vector{true});
}

TEST_F(ServerLinkTest, BreaksWithAServerThatSaysNonsense) {
  connect();
  server_.send_event(Op::kMode, {std::byte{9}});
  EXPECT_TRUE(server_.wait_until([&] { return link_->counters().reconnects() == 1; }));
}

}  // namespace
}  // namespace homefs
