// Several sessions of one home: who is told what, and that nobody waits for long.

#include "tests/fault/serve_fixture.h"

namespace homefs::testing {
namespace {

using Clock = std::chrono::steady_clock;

class SharedHomeTest : public ServeTest {
 protected:
  static bool mode_of(const std::optional<InFrame>& event) {
    return decode_all<ModeEvent>(event->bytes())->is_shared;
  }
};

TEST_F(SharedHomeTest, TellsTheFirstBeforeTheSecondIsIn) {
  TestClient first(server_.port());
  ASSERT_TRUE(first.log_in(alice("one")));
  EXPECT_FALSE(mode_of(first.event(Op::kMode)));
  first.set_acknowledges(false);

  TestClient second(server_.port());
  std::atomic<bool> is_in = false;
  std::jthread login([&] {
    EXPECT_TRUE(second.log_in(alice("two")));
    is_in = true;
  });
  const auto event = first.event(Op::kMode);
  ASSERT_TRUE(event);
  EXPECT_TRUE(mode_of(event));
  EXPECT_FALSE(is_in);
  first.acknowledge(*event);
  login.join();
  EXPECT_TRUE(mode_of(second.event(Op::kMode)));
}

TEST_F(SharedHomeTest, LetsTheSecondInThoughTheFirstDoesNotAcknowledge) {
  TestClient first(server_.port());
  ASSERT_TRUE(first.log_in(alice("one")));
  first.set_acknowledges(false);
  const auto before = Clock::now();
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(alice("two")));
  EXPECT_GE(Clock::now() - before, kEventDeadline);
}

TEST_F(SharedHomeTest, TellsOthersOfAChangeBeforeItsReplyLeaves) {
  TestClient first(server_.port());
  TestClient second(server_.port());
  ASSERT_TRUE(first.log_in(alice("one")));
  ASSERT_TRUE(second.log_in(alice("two")));
  first.set_acknowledges(false);
  const std::uint32_t tag =
      second.send(Op::kMkdir, encode_request(Introductions{}, mkdir_of("d", 2)), 1);
  const auto event = first.event(Op::kChanged);
  ASSERT_TRUE(event);
  const auto changed = decode_all<ChangedEvent>(event->bytes());
  ASSERT_TRUE(changed);
  ASSERT_FALSE(changed->changes.empty());
  EXPECT_EQ(changed->changes[0].name, "d");
  first.acknowledge(*event);
  const auto reply = second.reply_to(tag);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header.status, Status::kOk);
}

TEST_F(SharedHomeTest, WaitsForALateSessionOnceAndNotAgain) {
  TestClient first(server_.port());
  TestClient second(server_.port());
  ASSERT_TRUE(first.log_in(alice("one")));
  ASSERT_TRUE(second.log_in(alice("two")));
  first.set_acknowledges(false);
  const auto before = Clock::now();
  ASSERT_TRUE(second.ask<EntryReply>(Op::kMkdir, mkdir_of("d1", 2), 1));
  const auto between = Clock::now();
  for (std::uint64_t i = 2; i <= 20; ++i) {
    ASSERT_TRUE(second.ask<EntryReply>(Op::kMkdir, mkdir_of("d" + std::to_string(i), i + 1), i));
  }
  EXPECT_GE(between - before, kEventDeadline);
  EXPECT_LT(Clock::now() - between, kEventDeadline) << "19 of them";
}

TEST_F(SharedHomeTest, TellsTheOneThatRemainsThatItIsSoleAgain) {
  TestClient first(server_.port());
  ASSERT_TRUE(first.log_in(alice("one")));
  EXPECT_FALSE(mode_of(first.event(Op::kMode)));
  {
    TestClient second(server_.port());
    ASSERT_TRUE(second.log_in(alice("two")));
    EXPECT_TRUE(mode_of(first.event(Op::kMode)));
    ASSERT_TRUE(second.call(Op::kGoodbye, encode_json(Goodbye{})));
  }
  EXPECT_FALSE(mode_of(first.event(Op::kMode)));
}

TEST_F(SharedHomeTest, TellsAReturningSessionThatItHasMissedEvents) {
  TestClient first(server_.port());
  const auto session = first.log_in(alice("one"));
  ASSERT_TRUE(session);
  first.close();
  ASSERT_TRUE(first.wait_closed());
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(alice("two")));
  ASSERT_TRUE(second.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));

  TestClient again(server_.port());
  const auto resumed = again.resume(*session, ConnectionKind::kControl);
  ASSERT_TRUE(resumed);
  EXPECT_TRUE(resumed->missed_events);
  EXPECT_TRUE(mode_of(again.event(Op::kMode)));
  // Its acknowledgement has arrived when a request behind it is answered.
  ASSERT_TRUE(again.call(Op::kPing, {}));
  again.close();
  ASSERT_TRUE(again.wait_closed());
  TestClient third(server_.port());
  const auto quiet = third.resume(*session, ConnectionKind::kControl);
  ASSERT_TRUE(quiet);
  EXPECT_FALSE(quiet->missed_events) << "nothing has happened since";
}

TEST_F(SharedHomeTest, LetsAClientThatLostItsSessionComeBackSole) {
  {
    TestClient crashed(server_.port());
    ASSERT_TRUE(crashed.log_in(alice("laptop")));
  }
  // The server has to see the end of the connection first.
  const auto is_idle = [&] {
    for (const auto& session : server_.server().sessions().all()) {
      if (!session->idle_since()) return false;
    }
    return true;
  };
  const auto deadline = Clock::now() + kTestDeadline;
  while (!is_idle() && Clock::now() < deadline) std::this_thread::yield();
  ASSERT_EQ(server_.server().sessions().size(), 1u) << "it lingers";

  TestClient back(server_.port());
  ASSERT_TRUE(back.log_in(alice("laptop")));
  EXPECT_FALSE(mode_of(back.event(Op::kMode)));
  EXPECT_EQ(server_.server().sessions().size(), 1u);
}

TEST_F(SharedHomeTest, ChangesFromBothSidesDoNotWaitForEachOther) {
  TestClient first(server_.port());
  TestClient second(server_.port());
  ASSERT_TRUE(first.log_in(alice("one")));
  ASSERT_TRUE(second.log_in(alice("two")));
  const auto before = Clock::now();
  const auto work = [](TestClient& client, const std::string& prefix) {
    for (std::uint64_t i = 1; i <= 50; ++i) {
      EXPECT_TRUE(
          client.ask<EntryReply>(Op::kMkdir, mkdir_of(prefix + std::to_string(i), i + 1), i));
    }
  };
  std::jthread other([&] { work(second, "b"); });
  work(first, "a");
  other.join();
  EXPECT_LT(Clock::now() - before, std::chrono::seconds(8))
      << "no deadline was waited for 50 times";
}

}  // namespace
}  // namespace homefs::testing
