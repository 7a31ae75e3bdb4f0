// A session that had the home alone, and has not sent what it told its programs is done when
// another is let in: what it sends afterwards undoes nothing.

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/fault/serve_fixture.h"

namespace homefs::testing {
namespace {

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A write that its program believes done.
OutFrame buffered(std::uint64_t node, std::uint64_t offset, const std::string& text) {
  OutFrame frame = write_of(node, offset, text);
  WriteRequest request{.node = NodeId{node}, .offset = offset};
  request.page_order = kBufferedWrite;
  request.digests.resize(piece_count(offset, text.size()));
  md5_pieces(offset, frame.payload[0].bytes, request.digests);
  frame.fields = encode_request(Introductions{}, request);
  return frame;
}

class LateSessionTest : public ServeTest {
 protected:
  static bool mode_of(const std::optional<InFrame>& event) {
    return decode_all<ModeEvent>(event->bytes())->is_shared;
  }
  Status status_of(TestClient& client, OutFrame frame) {
    const auto reply = client.call(std::move(frame));
    return reply ? Status::kOk : reply.error().status;
  }
  /// `client` is alone, and has f (node 2) and g (node 3).
  AuthFinishReply begin(TestClient& client) {
    const auto session = client.log_in(alice("one"));
    EXPECT_TRUE(session);
    EXPECT_FALSE(mode_of(client.event(Op::kMode)));
    EXPECT_TRUE(client.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
    EXPECT_TRUE(client.ask<EntryReply>(Op::kCreate, create_of("g", 3), 2));
    return *session;
  }
  static void know(TestClient& client, const std::string& name, std::uint64_t node) {
    ASSERT_TRUE(client.ask<LookupReply>(Op::kLookup, LookupRequest{kRootNode, name, NodeId{node}}));
  }
  void change_f(TestClient& client) {
    know(client, "f", 2);
    ASSERT_EQ(status_of(client, write_of(2, 0, "newer")), Status::kOk);
  }
  /// Resumes, and returns the event that asks it to send what is from before.
  static std::optional<InFrame> come_back_late(TestClient& client, const AuthFinishReply& session) {
    client.set_acknowledges(false);
    EXPECT_TRUE(client.resume(session, ConnectionKind::kControl));
    auto asked = client.event(Op::kMode);
    EXPECT_TRUE(asked && mode_of(asked));
    return asked;
  }
  void leave(TestClient& client) { ASSERT_TRUE(client.call(Op::kGoodbye, encode_json(Goodbye{}))); }
  /// What was acknowledged before has taken effect then: comings and goings have an order.
  void wait_for_coherence() {
    TestClient third(server_.port());
    ASSERT_TRUE(third.log_in(alice("three")));
    leave(third);
  }
};

TEST_F(LateSessionTest, CannotUndoWhatAnotherHasWritten) {
  TestClient first(server_.port());
  (void)begin(first);
  first.set_acknowledges(false);
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(alice("two")));
  const auto asked = first.event(Op::kMode);
  ASSERT_TRUE(asked && mode_of(asked));
  change_f(second);
  EXPECT_EQ(status_of(first, buffered(2, 0, "older")), Status::kLeaseLost);
  EXPECT_EQ(status_of(first, buffered(3, 0, "mine")), Status::kOk) << "nobody has changed it";
  EXPECT_EQ(contents_of(in_home("f")), "newer");
  EXPECT_EQ(contents_of(in_home("g")), "mine");
  EXPECT_EQ(status_of(first, write_of(2, 0, "again")), Status::kOk) << "its program waits for it";
  first.acknowledge(*asked);
  wait_for_coherence();
  EXPECT_EQ(status_of(first, buffered(2, 0, "fresh")), Status::kOk) << "from after it has obeyed";
}

TEST_F(LateSessionTest, CompletesWhatLiesBeforeTheChangesOfOthers) {
  TestClient first(server_.port());
  (void)begin(first);
  first.set_acknowledges(false);
  // Two parts of what was appended, and the second one has overtaken the first.
  ASSERT_EQ(status_of(first, buffered(2, 6, "second")), Status::kOk);
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(alice("two")));
  know(second, "f", 2);
  OutFrame append = write_of(2, 0, "theirs");
  append.header.op = Op::kAppend;
  append.header.seq = 1;
  AppendRequest request{.node = NodeId{2}};
  request.digests.resize(1);
  md5_pieces(0, append.payload[0].bytes, request.digests);
  append.fields = encode_request(Introductions{}, request);
  ASSERT_EQ(status_of(second, std::move(append)), Status::kOk);
  EXPECT_EQ(status_of(first, buffered(2, 12, "third")), Status::kLeaseLost);
  EXPECT_EQ(status_of(first, buffered(2, 0, "first ")), Status::kOk);
  EXPECT_EQ(contents_of(in_home("f")), "first secondtheirs");
}

TEST_F(LateSessionTest, IsStillLateWhenItComesBackAloneFromABreak) {
  TestClient first(server_.port());
  const AuthFinishReply session = begin(first);
  first.close();
  ASSERT_TRUE(first.wait_closed());
  {
    TestClient second(server_.port());
    ASSERT_TRUE(second.log_in(alice("two")));
    change_f(second);
    leave(second);
  }
  TestClient again(server_.port());
  const auto asked = come_back_late(again, session);
  ASSERT_TRUE(asked);
  EXPECT_EQ(status_of(again, buffered(2, 0, "older")), Status::kLeaseLost);
  EXPECT_EQ(status_of(again, buffered(3, 0, "mine")), Status::kOk);
  again.acknowledge(*asked);
  const auto sole = again.event(Op::kMode);
  ASSERT_TRUE(sole);
  EXPECT_FALSE(mode_of(sole));
  EXPECT_EQ(status_of(again, buffered(2, 0, "fresh")), Status::kOk);
  EXPECT_EQ(contents_of(in_home("f")), "fresh");
}

TEST_F(LateSessionTest, IsWaitedForWhileItSends) {
  TestClient first(server_.port());
  (void)begin(first);
  first.set_acknowledges(false);
  std::atomic<bool> is_in = false;
  TestClient second(server_.port());
  std::jthread login([&] {
    EXPECT_TRUE(second.log_in(alice("two")));
    is_in = true;
  });
  const auto asked = first.event(Op::kMode);
  ASSERT_TRUE(asked);
  const auto begin_time = std::chrono::steady_clock::now();
  std::uint64_t offset = 0;
  while (std::chrono::steady_clock::now() - begin_time < 2 * kEventDeadline) {
    ASSERT_EQ(status_of(first, buffered(2, offset++, "x")), Status::kOk);
    EXPECT_FALSE(is_in);
  }
  first.acknowledge(*asked);
  login.join();
  change_f(second);
}

TEST_F(LateSessionTest, IsStillLateAfterARestartOfTheServer) {
  AuthFinishReply session;
  {
    TestClient first(server_.port());
    session = begin(first);
    first.set_acknowledges(false);
    TestClient second(server_.port());
    ASSERT_TRUE(second.log_in(alice("two")));
    change_f(second);
    leave(second);
    server_.stop();
  }
  server_.start();
  TestClient again(server_.port());
  const auto asked = come_back_late(again, session);
  ASSERT_TRUE(asked);
  know(again, "f", 2);
  know(again, "g", 3);
  EXPECT_EQ(status_of(again, buffered(2, 0, "older")), Status::kLeaseLost);
  EXPECT_EQ(status_of(again, buffered(3, 0, "mine")), Status::kOk);
  again.acknowledge(*asked);
  const auto sole = again.event(Op::kMode);
  ASSERT_TRUE(sole);
  EXPECT_FALSE(mode_of(sole));
  EXPECT_EQ(contents_of(in_home("f")), "newer");
}

TEST_F(LateSessionTest, IsLateFromWhenAnotherIsBackBeforeItAfterARestart) {
  AuthFinishReply session;
  {
    TestClient first(server_.port());
    session = begin(first);
    server_.stop();
  }
  server_.start();
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(alice("two")));
  change_f(second);
  leave(second);
  TestClient again(server_.port());
  const auto asked = come_back_late(again, session);
  ASSERT_TRUE(asked);
  know(again, "f", 2);
  EXPECT_EQ(status_of(again, buffered(2, 0, "older")), Status::kLeaseLost);
  EXPECT_EQ(contents_of(in_home("f")), "newer");
}

TEST_F(LateSessionTest, IsNotLateAfterARestartWhenItHadObeyed) {
  AuthFinishReply session;
  AuthFinishReply other;
  {
    TestClient first(server_.port());
    session = begin(first);
    TestClient second(server_.port());
    const auto in = second.log_in(alice("two"));
    ASSERT_TRUE(in);
    other = *in;
    ASSERT_TRUE(second.event(Op::kMode));
    wait_for_coherence();
    server_.stop();
  }
  server_.start();
  TestClient second(server_.port());
  ASSERT_TRUE(second.resume(other, ConnectionKind::kControl));
  change_f(second);
  TestClient first(server_.port());
  first.set_acknowledges(false);
  ASSERT_TRUE(first.resume(session, ConnectionKind::kControl));
  know(first, "f", 2);
  EXPECT_EQ(status_of(first, buffered(2, 0, "fresh")), Status::kOk);
}

}  // namespace
}  // namespace homefs::testing
