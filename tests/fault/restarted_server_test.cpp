// A server that is stopped and started anew under several sessions of a home: until all of them are
// back, those that are not count.

#include <fcntl.h>

#include <array>
#include <fstream>
#include <thread>

#include "server/posix_disk.h"
#include "tests/fault/serve_fixture.h"

namespace homefs::testing {
namespace {

using Clock = std::chrono::steady_clock;

class RestartedServerTest : public ServeTest {
 protected:
  static bool mode_of(const std::optional<InFrame>& event) {
    EXPECT_TRUE(event);
    return event && decode_all<ModeEvent>(event->bytes())->is_shared;
  }
  /// A session that has lost its connection with the server.
  AuthFinishReply session_of(const std::string& client_id) {
    clients_.push_back(std::make_unique<TestClient>(server_.port()));
    const auto session = clients_.back()->log_in(alice(client_id));
    EXPECT_TRUE(session) << session.error().message();
    return session.value_or(AuthFinishReply{});
  }
  void restart() {
    server_.stop();
    clients_.clear();
    server_.start();
  }
  void make_file(const std::string& name, const std::string& text) const {
    std::ofstream(in_home(name)) << text;
  }
  Introductions introduction_of(std::uint64_t node, const std::string& name) const {
    const auto stat = disk::stat_at(AT_FDCWD, in_home(name).c_str());
    EXPECT_TRUE(stat);
    return {{{NodeId{node}, kRootNode, name, stat->attributes.inode, stat->attributes.generation}}};
  }
  static Result<InFrame> unlink(TestClient& client, const std::string& name, std::uint64_t seq) {
    return client.call(Op::kUnlink, encode_request(Introductions{}, UnlinkRequest{kRootNode, name}),
                       seq);
  }
  static std::string read(TestClient& client, const Introductions& introductions) {
    const ReadRequest request{.node = introductions.list.front().node, .offset = 0, .length = 100};
    const auto reply = client.call(Op::kRead, encode_request(introductions, request));
    if (!reply) return reply.error().message();
    ByteReader in(reply->bytes());
    EXPECT_TRUE(decode<ReadReply>(in));
    return {reinterpret_cast<const char*>(in.rest().data()), in.rest().size()};
  }
  std::size_t orphans() const {
    const auto folder = server_.config().homes_dir / ".orphans" / "alice";
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
  }

  std::vector<std::unique_ptr<TestClient>> clients_;
};

TEST_F(RestartedServerTest, TheFirstOneBackSharesTheHomeWithThoseThatAreNot) {
  const auto one = session_of("one");
  const auto two = session_of("two");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(one, ConnectionKind::kControl));
  EXPECT_TRUE(mode_of(first.event(Op::kMode)));
  TestClient second(server_.port());
  ASSERT_TRUE(second.resume(two, ConnectionKind::kControl));
  EXPECT_TRUE(mode_of(second.event(Op::kMode)));
  ASSERT_TRUE(second.call(Op::kGoodbye, encode_json(Goodbye{})));
  EXPECT_FALSE(mode_of(first.event(Op::kMode))) << "it was never told that it is alone before";
}

TEST_F(RestartedServerTest, WhoWasAloneIsAloneAgain) {
  const auto one = session_of("one");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(one, ConnectionKind::kControl));
  EXPECT_FALSE(mode_of(first.event(Op::kMode)));
}

TEST_F(RestartedServerTest, WhoIsLeftIsAloneWhenTheOtherLogsInAnewAndLeaves) {
  const auto one = session_of("one");
  session_of("two");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(one, ConnectionKind::kControl));
  EXPECT_TRUE(mode_of(first.event(Op::kMode)));
  TestClient anew(server_.port());
  ASSERT_TRUE(anew.log_in(alice("two"))) << "it will not come back for its session";
  ASSERT_TRUE(anew.call(Op::kGoodbye, encode_json(Goodbye{})));
  EXPECT_FALSE(mode_of(first.event(Op::kMode)));
}

TEST_F(RestartedServerTest, AChangeIsAnsweredWhenTheOtherIsBack) {
  const auto one = session_of("one");
  const auto two = session_of("two");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(one, ConnectionKind::kControl));
  const auto before = Clock::now();
  const std::uint32_t tag =
      first.send(Op::kMkdir, encode_request(Introductions{}, mkdir_of("d", 2)), /*seq=*/1);
  TestClient second(server_.port());
  const auto resumed = second.resume(two, ConnectionKind::kControl);
  ASSERT_TRUE(resumed);
  EXPECT_TRUE(resumed->missed_events);
  ASSERT_TRUE(first.reply_to(tag));
  // Once more: whoever does not come back is waited for once.
  restart();
  TestClient again(server_.port());
  ASSERT_TRUE(again.resume(one, ConnectionKind::kControl));
  const auto between = Clock::now();
  ASSERT_TRUE(again.ask<EntryReply>(Op::kMkdir, mkdir_of("e", 3), 2));
  EXPECT_GE(Clock::now() - between, kEventDeadline);
  const auto late = Clock::now();
  for (std::uint64_t i = 3; i < 10; ++i) {
    ASSERT_TRUE(again.ask<EntryReply>(Op::kMkdir, mkdir_of("e" + std::to_string(i), i + 1), i));
  }
  EXPECT_LT(Clock::now() - late, kEventDeadline);
  EXPECT_GT(between, before);
}

TEST_F(RestartedServerTest, AFileOfOneThatIsNotBackOutlivesItsName) {
  const auto one = session_of("one");
  const auto two = session_of("two");
  make_file("removed", "precious");
  make_file("replaced", "valuable");
  make_file("new", "new");
  const Introductions removed = introduction_of(10, "removed");
  const Introductions replaced = introduction_of(11, "replaced");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(one, ConnectionKind::kControl));
  ASSERT_TRUE(unlink(first, "removed", 1));
  const RenameRequest rename{
      .parent = kRootNode, .name = "new", .new_parent = kRootNode, .new_name = "replaced"};
  ASSERT_TRUE(first.call(Op::kRename, encode_request(Introductions{}, rename), 2));
  TestClient second(server_.port());
  second.set_acknowledges(false);  // of the mode: it has not introduced what it has open
  ASSERT_TRUE(second.resume(two, ConnectionKind::kControl));
  EXPECT_EQ(read(second, removed), "precious");
  EXPECT_EQ(read(second, replaced), "valuable");
  EXPECT_EQ(orphans(), 2u);
}

TEST_F(RestartedServerTest, AFileOfOneThatIsNotBackOutlivesTheEndOfAnother) {
  const auto one = session_of("one");
  session_of("two");
  const auto three = session_of("three");
  make_file("removed", "precious");
  const Introductions removed = introduction_of(10, "removed");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(one, ConnectionKind::kControl));
  EXPECT_TRUE(mode_of(first.event(Op::kMode))) << "it has introduced all that it has open";
  ASSERT_TRUE(unlink(first, "removed", 1));
  {
    TestClient anew(server_.port());
    ASSERT_TRUE(anew.log_in(alice("two"))) << "it will not come back for its session";
    ASSERT_TRUE(anew.call(Op::kGoodbye, encode_json(Goodbye{})));
    EXPECT_TRUE(anew.wait_closed());
  }
  TestClient third(server_.port());
  third.set_acknowledges(false);
  ASSERT_TRUE(third.resume(three, ConnectionKind::kControl));
  EXPECT_EQ(read(third, removed), "precious");
}

TEST_F(RestartedServerTest, AFileThatWasMadeBeforeIsKnownWithTheAnswerToTheResend) {
  clients_.push_back(std::make_unique<TestClient>(server_.port()));
  const auto one = clients_.back()->log_in(alice("one"));
  ASSERT_TRUE(one);
  ASSERT_TRUE(clients_.back()->ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  const auto two = session_of("two");
  restart();
  TestClient first(server_.port());
  ASSERT_TRUE(first.resume(*one, ConnectionKind::kControl));
  ASSERT_TRUE(first.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  TestClient second(server_.port());
  ASSERT_TRUE(second.resume(two, ConnectionKind::kControl));
  ASSERT_TRUE(unlink(second, "f", 1));
  const auto written = first.call(write_of(2, 0, "data"));
  EXPECT_TRUE(written) << written.error().message();
}

TEST_F(RestartedServerTest, ASessionThatCannotBeHadNowStays) {
  const auto one = session_of("one");
  const auto orphans = server_.config().homes_dir / ".orphans" / "alice";
  server_.stop();
  clients_.clear();
  std::filesystem::remove(orphans);
  std::ofstream(orphans) << "the home cannot be opened";
  server_.start();
  {
    TestClient early(server_.port());
    const auto resumed = early.resume(one, ConnectionKind::kControl);
    ASSERT_FALSE(resumed);
    EXPECT_NE(resumed.error().status, Status::kSessionUnknown) << "its client would log in anew";
  }
  std::filesystem::remove(orphans);
  TestClient later(server_.port());
  const auto resumed = later.resume(one, ConnectionKind::kControl);
  EXPECT_TRUE(resumed) << resumed.error().message();
}

TEST_F(RestartedServerTest, AnOrphanOfOneThatDoesNotComeBackGoesThoughNobodyUsesTheHome) {
  TestServer server([](ServerConfig& config) { config.session.linger = std::chrono::seconds(1); });
  server.add_user("alice", "wonderland");
  const auto folder = server.config().homes_dir / ".orphans" / "alice";
  {
    TestClient client(server.port());
    ASSERT_TRUE(client.log_in(alice("one")));
    std::ofstream(server.home_of("alice") / "f") << "data";
    const LookupRequest lookup{.parent = kRootNode, .name = "f", .node = NodeId{2}};
    ASSERT_TRUE(client.call(Op::kLookup, encode_request(Introductions{}, lookup)));
    const UnlinkRequest unlink{.parent = kRootNode, .name = "f", .keep = true, .node = NodeId{2}};
    ASSERT_TRUE(client.call(Op::kUnlink, encode_request(Introductions{}, unlink), 1));
    ASSERT_FALSE(std::filesystem::is_empty(folder));
    server.stop();
  }
  ASSERT_FALSE(std::filesystem::is_empty(folder));
  server.start();
  // The housekeeper looks every ten seconds.
  const auto deadline = Clock::now() + 4 * kTestDeadline;
  while (!std::filesystem::is_empty(folder) && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

// The administrator puts another folder in the place of a home (a restore) while a session is away.
TEST_F(RestartedServerTest, WhoStaysInAHomeThatWasReplacedOutlivesWhoComesBackToTheNewOne) {
  const auto two = session_of("two");  // alone: it may have answered writes
  restart();
  TestClient one(server_.port());
  ASSERT_TRUE(one.log_in(alice("one")));  // from here on "two" is late in this home
  ASSERT_TRUE(one.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  ASSERT_TRUE(one.call(write_of(2, 0, "before")));
  std::filesystem::rename(server_.home_of("alice"), server_.folder() / "aside");
  std::filesystem::create_directory(server_.home_of("alice"));
  {
    TestClient back(server_.port());
    ASSERT_TRUE(back.resume(two, ConnectionKind::kControl));
    ASSERT_TRUE(back.call(Op::kGoodbye, encode_json(Goodbye{})));
    EXPECT_TRUE(back.wait_closed());
  }
  const auto deadline = Clock::now() + kTestDeadline;
  while (server_.server().sessions().size() > 1 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(one.call(write_of(2, 0, "after"))) << "served on";
}

TEST_F(RestartedServerTest, OfManyResumesAtOnceEachFindsTheSession) {
  const auto one = session_of("one");
  restart();
  std::array<Status, 6> statuses{};
  {
    std::vector<std::jthread> threads;
    for (Status& status : statuses) {
      threads.emplace_back([&] {
        TestClient client(server_.port());
        const auto resumed = client.resume(one, ConnectionKind::kControl);
        status = resumed ? Status::kOk : resumed.error().status;
      });
    }
  }
  // One may have been replaced by the next before it was answered.
  for (const Status status : statuses) EXPECT_NE(status, Status::kSessionUnknown);
  EXPECT_EQ(server_.server().sessions().size(), 1u);
}

}  // namespace
}  // namespace homefs::testing
