#include "fusefs/server_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <set>

#include "tests/support/fake_server.h"

namespace homefs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;

constexpr NodeId kNode{42};

FakeReply refusal(Status status) { return {status, encode_fields(ErrorReply{"because"})}; }

/// A client core that knows where its nodes are, and writes down what it is told.
class FakeCore final : public IntroductionSource, public LinkEvents {
 public:
  void introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                 std::vector<Introduction>& out) override {
    const std::lock_guard lock(mutex_);
    for (const NodeId node : nodes) {
      if (known_.contains({node, incarnation})) continue;
      for (std::size_t i = 1; i < depth; ++i) {
        out.push_back({.node = NodeId{1000 + i}, .parent = kRootNode, .name = "folder"});
      }
      out.push_back({.node = node, .parent = kRootNode, .name = "file", .inode = InodeNumber{7}});
    }
  }
  void confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) override {
    const std::lock_guard lock(mutex_);
    for (const Introduction& each : introductions) known_.insert({each.node, incarnation});
  }
  void distrust(std::span<const NodeId> nodes) override {
    const std::lock_guard lock(mutex_);
    ++distrusted;
    std::erase_if(known_, [&](const auto& each) {
      return std::find(nodes.begin(), nodes.end(), each.first) != nodes.end();
    });
  }
  void on_mode(bool is_shared, std::move_only_function<void()> acknowledge) override {
    const std::lock_guard lock(mutex_);
    modes.push_back(is_shared);
    acknowledge();
  }
  void on_changed(ChangedEvent event, std::move_only_function<void()> acknowledge) override {
    const std::lock_guard lock(mutex_);
    changed += static_cast<int>(event.changes.size());
    acknowledge();
  }
  void on_quota(const GrantState& state) override {
    const std::lock_guard lock(mutex_);
    grant = state;
  }
  void on_power_lost() override {
    const std::lock_guard lock(mutex_);
    ++power_losses;
  }
  void on_session(bool is_same_session) override {
    const std::lock_guard lock(mutex_);
    sessions.push_back(is_same_session);
  }
  void on_lock_granted(std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    granted_locks.push_back(id);
  }
  void on_reconnected(bool is_same_session) override {
    const std::lock_guard lock(mutex_);
    reconnected.push_back(is_same_session);
  }

  template <class Look>
  auto look(Look look) {
    const std::lock_guard lock(mutex_);
    return look(*this);
  }

  std::size_t depth = 1;  ///< introductions for one node
  int distrusted = 0;
  int changed = 0;
  GrantState grant;
  std::vector<bool> modes;
  std::vector<bool> sessions;
  int power_losses = 0;
  std::vector<std::uint64_t> granted_locks;
  std::vector<bool> reconnected;

 private:
  std::mutex mutex_;
  std::set<std::pair<NodeId, std::uint64_t>> known_;
};

class ServerLinkTest : public ::testing::Test {
 protected:
  ServerLinkTest() {
    io_.start();
    options_.server = {.host = "127.0.0.1", .port = server_.port()};
    options_.credentials = {.user = FakeServer::kUser, .password = FakeServer::kPassword};
    options_.trust.pinned = server_.fingerprint();
    options_.client_id = "test";
    options_.times.backoff_first = milliseconds(1);
    options_.times.backoff_max = milliseconds(20);
    options_.times.tick = milliseconds(5);
  }
  ~ServerLinkTest() override {
    if (link_ != nullptr) {
      link_->close();
      if (is_attached_) link_->detach();
    }
    EXPECT_THAT(server_.complaints(), ::testing::IsEmpty());
  }

  ServerLink& make_link() {
    link_ = std::make_unique<ServerLink>(io_, *TlsContext::client(), options_);
    return *link_;
  }
  ServerLink& connect() {
    make_link();
    const auto connected = link_->connect_and_login();
    EXPECT_TRUE(connected) << connected.error().message();
    link_->attach(core_, core_);
    is_attached_ = true;
    return *link_;
  }

  struct Sent {
    std::uint64_t number = 0;
    std::future<Result<InFrame>> reply;
    Status status() {
      const Result<InFrame> result = reply.get();
      return result ? result->header.status : result.error().status;
    }
  };
  Sent send(Op op, std::uint64_t value, std::vector<NodeId> nodes = {},
            Lane lane = Lane::kControl) {
    auto promise = std::make_shared<std::promise<Result<InFrame>>>();
    Sent sent{.reply = promise->get_future()};
    Call call = make_call(op, std::move(nodes), NodeRequest{NodeId{value}});
    call.lane = lane;
    sent.number = link_->send(std::move(call), [promise](Result<InFrame> reply) {
      promise->set_value(std::move(reply));
    });
    return sent;
  }
  /// The values of the changes that the server has applied, in its order.
  std::vector<std::uint64_t> applied() {
    std::vector<std::uint64_t> values;
    for (const auto& fields : server_.applied()) {
      values.push_back(number_of(decode_all<NodeRequest>(fields)->node));
    }
    return values;
  }
  std::vector<FakeRequest> requests_of(Op op) {
    auto list = server_.requests();
    std::erase_if(list, [&](const FakeRequest& request) { return request.header.op != op; });
    return list;
  }

  FakeServer server_;
  IoThreads io_{kLinkThreads};
  FakeCore core_;
  LinkOptions options_;
  std::unique_ptr<ServerLink> link_;
  bool is_attached_ = false;
};

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

// ---- Breaks ------------------------------------------------------------------------------------

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
  ASSERT_TRUE(server_.wait_until([&] {
    return !requests_of(Op::kWrite).empty() && link_->status().calls_waiting > 0;
  }));
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

TEST_F(ServerLinkTest, FailsASoftCallInTimeAndAHardOneNever) {
  server_.set_handler([](const FakeRequest& request) -> std::optional<FakeReply> {
    if (request.header.op == Op::kGetattr) return std::nullopt;
    return FakeReply{};
  });
  options_.times.timeo = milliseconds(30);
  connect();
  EXPECT_EQ(send(Op::kGetattr, 1).status(), Status::kTimedOut);
  server_.refuse_connections(true);
  server_.cut_all();
  EXPECT_EQ(send(Op::kMkdir, 1).status(), Status::kTimedOut) << "also while nothing is connected";
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
