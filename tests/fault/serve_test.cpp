// Sessions as a client sees them: requests, breaks, resends, the end.

#include <fstream>
#include <sstream>

#include "server/state_db.h"
#include "tests/fault/serve_fixture.h"

namespace homefs::testing {
namespace {

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST_F(ServeTest, LetsOthersInBesideTheDigestsOfLargeFiles) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 4; ++i) {
    auto client = std::make_unique<TestClient>(server_.port());
    ASSERT_TRUE(client->log_in(alice("laptop" + std::to_string(i))));
    const std::string name = "large" + std::to_string(i);
    ASSERT_TRUE(client->ask<EntryReply>(Op::kCreate, create_of(name, 2), 1));
    std::filesystem::resize_file(in_home(name), std::uint64_t{64} << 30);
    for (int digest = 0; digest < 4; ++digest) {
      client->send(Op::kDigest, encode_request(Introductions{},
                                               DigestRequest{.node = NodeId{2}, .whole = true}));
    }
    clients.push_back(std::move(client));
  }
  const auto begin = std::chrono::steady_clock::now();
  TestClient other(server_.port());
  EXPECT_TRUE(other.log_in(bob()));
  EXPECT_TRUE(other.ask<EntryReply>(Op::kMkdir, mkdir_of("folder", 2), 1));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  // Nor do they go on when nobody waits for them.
  clients.clear();
  server_.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(ServeTest, LogsInAndMakesAFolder) {
  TestClient client(server_.port());
  EXPECT_EQ(client.fingerprint(), server_.server().fingerprint());
  const auto session = client.log_in(alice());
  ASSERT_TRUE(session) << session.error().message();
  const auto made = client.ask<EntryReply>(Op::kMkdir, mkdir_of("photos", 2), /*seq=*/1);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(std::filesystem::is_directory(in_home("photos")));
  const auto root = client.ask<AttributesReply>(Op::kGetattr, NodeRequest{kRootNode});
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(number_of(root->attributes.inode), session->home.root_inode);
}

TEST_F(ServeTest, TellsTheModeBehindTheReplyToTheLogin) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  const auto event = client.event(Op::kMode);
  ASSERT_TRUE(event);
  EXPECT_FALSE(decode_all<ModeEvent>(event->bytes())->is_shared);
  const auto quota = client.event(Op::kQuotaChanged);
  ASSERT_TRUE(quota);
  EXPECT_GT(decode_all<QuotaEvent>(quota->bytes())->grant.granted, 0u) << "sole: it has a grant";
}

TEST_F(ServeTest, WritesOverABulkConnectionAndReadsOverAnother) {
  TestClient control(server_.port());
  const auto session = control.log_in(alice());
  ASSERT_TRUE(session);
  EXPECT_GE(session->bulk_connections, 1u);
  ASSERT_TRUE(control.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  TestClient bulk(server_.port());
  ASSERT_TRUE(bulk.resume(*session, ConnectionKind::kBulk));
  const std::string text(100'000, 'x');
  ASSERT_TRUE(bulk.call(write_of(2, 0, text)));
  ASSERT_TRUE(bulk.call(write_of(2, 50'000, "hello")));
  EXPECT_EQ(contents_of(in_home("f")).substr(49'999, 7), "xhellox");
  const auto read = control.ask<ReadReply>(
      Op::kRead, ReadRequest{.node = NodeId{2}, .offset = 50'000, .length = 5});
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->size, 100'000u);
  EXPECT_EQ(read->digests.size(), 1u);
}

TEST_F(ServeTest, RefusesABlockThatDoesNotFitItsDigest) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  ASSERT_TRUE(client.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  OutFrame frame = write_of(2, 0, "hello");
  frame.payload = write_of(2, 0, "hellO").payload;
  EXPECT_EQ(client.call(std::move(frame)).error().status, Status::kBlockMismatch);
  EXPECT_EQ(contents_of(in_home("f")), "");
  EXPECT_TRUE(client.call(write_of(2, 0, "hello"))) << "the session goes on";
}

TEST_F(ServeTest, AppliesPipelinedChangesInTheirOrder) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  // Each in the folder that the one before makes; nothing is waited for.
  std::vector<std::uint32_t> tags;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    const MkdirRequest request{
        .parent = NodeId{i}, .name = "d", .node = NodeId{i + 1}, .mode = 0755};
    tags.push_back(client.send(Op::kMkdir, encode_request(Introductions{}, request), i));
  }
  for (const std::uint32_t tag : tags) {
    const auto reply = client.reply_to(tag);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header.status, Status::kOk);
  }
}

TEST_F(ServeTest, AnswersAResendWithTheFirstReplyAndAppliesItOnce) {
  TestClient client(server_.port());
  const auto session = client.log_in(alice());
  ASSERT_TRUE(session);
  const auto first = client.call(Op::kMkdir, encode_request(Introductions{}, mkdir_of("d", 2)), 1);
  ASSERT_TRUE(first);
  client.close();

  TestClient again(server_.port());
  const auto resumed = again.resume(*session, ConnectionKind::kControl);
  ASSERT_TRUE(resumed) << resumed.error().message();
  EXPECT_EQ(resumed->incarnation, session->incarnation);
  EXPECT_EQ(resumed->seq_applied, 1u);
  const auto second = again.call(Op::kMkdir, encode_request(Introductions{}, mkdir_of("d", 2)), 1);
  ASSERT_TRUE(second) << "a second mkdir of the same name would be refused";
  EXPECT_TRUE(std::ranges::equal(first->bytes(), second->bytes()));
  EXPECT_TRUE(again.ask<EntryReply>(Op::kMkdir, mkdir_of("e", 3), 2));
}

TEST_F(ServeTest, KeepsTheReplyToARefusedChangeToo) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  ASSERT_TRUE(client.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
  EXPECT_EQ(client.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 3), 2).error().status,
            Status::kExists);
  std::filesystem::remove(in_home("d"));
  EXPECT_EQ(client.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 3), 2).error().status, Status::kExists)
      << "the outcome of seq 2 is what it was";
}

TEST_F(ServeTest, TakesThePlaceOfAControlConnectionThatIsReplaced) {
  TestClient old(server_.port());
  const auto session = old.log_in(alice());
  ASSERT_TRUE(session);
  TestClient newer(server_.port());
  ASSERT_TRUE(newer.resume(*session, ConnectionKind::kControl));
  EXPECT_TRUE(old.wait_closed());
  EXPECT_TRUE(newer.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
}

TEST_F(ServeTest, ReplacesTheBulkConnectionAtTheSamePlaceOnly) {
  TestClient control(server_.port());
  const auto session = control.log_in(alice());
  ASSERT_TRUE(session);
  TestClient first(server_.port());
  TestClient second(server_.port());
  ASSERT_TRUE(first.resume(*session, ConnectionKind::kBulk, 1));
  ASSERT_TRUE(second.resume(*session, ConnectionKind::kBulk, 2));
  TestClient third(server_.port());
  ASSERT_TRUE(third.resume(*session, ConnectionKind::kBulk, 1));
  EXPECT_TRUE(first.wait_closed());
  EXPECT_TRUE(second.call(Op::kPing, {}));
  TestClient beyond(server_.port());
  EXPECT_EQ(beyond.resume(*session, ConnectionKind::kBulk, 99).error().status, Status::kInvalid);
}

TEST_F(ServeTest, EndsTheSessionByGoodbye) {
  TestClient client(server_.port());
  const auto session = client.log_in(alice());
  ASSERT_TRUE(session);
  EXPECT_TRUE(client.call(Op::kGoodbye, encode_json(Goodbye{})));
  EXPECT_TRUE(client.wait_closed());
  TestClient again(server_.port());
  EXPECT_EQ(again.resume(*session, ConnectionKind::kControl).error().status,
            Status::kSessionUnknown);
}

TEST_F(ServeTest, LogsInOnTheConnectionWhoseResumeWasRefused) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.hello());
  EXPECT_EQ(client.resume_with({}).error().status, Status::kSessionUnknown);
  const auto scram = ScramClient::make("alice", "wonderland", client.binding());
  AuthStart start{.user = "alice", .scram = scram->first_message()};
  EXPECT_TRUE(client.call(Op::kAuthStart, encode_json(start)));
}

TEST_F(ServeTest, SaysGoodbyeAtItsEndAndFinishesWhatIsInFlight) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  std::vector<std::uint32_t> tags;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const auto request = mkdir_of("d" + std::to_string(i), i + 1);
    tags.push_back(client.send(Op::kMkdir, encode_request(Introductions{}, request), i));
  }
  ASSERT_TRUE(client.reply_to(tags.front()));
  server_.stop();
  EXPECT_TRUE(client.event(Op::kGoingAway));
  EXPECT_EQ(client.wait_closed()->status, Status::kDisconnected);
  // Whatever was applied was answered.
  std::size_t answered = 1;
  for (std::size_t i = 1; i < tags.size(); ++i) answered += client.reply_to(tags[i]).has_value();
  std::size_t applied = 0;
  for (const auto& entry : std::filesystem::directory_iterator(server_.home_of("alice"))) {
    applied += entry.is_directory();
  }
  EXPECT_EQ(answered, applied);
}

TEST_F(ServeTest, TakesASessionUpAfterARestart) {
  std::filesystem::create_directory(server_.home_of("alice"));
  std::filesystem::create_directory(in_home("sub"));
  TestLogin login = alice();
  login.finish.subdir = "sub";
  AuthFinishReply session;
  std::optional<InFrame> first;
  {
    TestClient client(server_.port());
    session = client.log_in(login).value();
    const auto request = encode_request(Introductions{}, mkdir_of("d", 2));
    first = client.reply_to(client.send(Op::kMkdir, request, 1));
    ASSERT_TRUE(first);
    server_.stop();
  }
  server_.start();

  TestClient client(server_.port());
  const auto resumed = client.resume(session, ConnectionKind::kControl);
  ASSERT_TRUE(resumed) << resumed.error().message();
  EXPECT_NE(resumed->incarnation, session.incarnation);
  EXPECT_EQ(resumed->seq_applied, 1u);
  EXPECT_TRUE(resumed->missed_events);
  EXPECT_EQ(client.ask<AttributesReply>(Op::kGetattr, NodeRequest{NodeId{2}}).error().status,
            Status::kStale)
      << "its numbers are gone";
  const auto again = client.call(Op::kMkdir, encode_request(Introductions{}, mkdir_of("d", 2)), 1);
  ASSERT_TRUE(again) << "answered from the record";
  auto said_first = decode_all<EntryReply>(first->bytes());
  const auto said_again = decode_all<EntryReply>(again->bytes());
  ASSERT_TRUE(said_first && said_again);
  // What was true in that run only is not said again.
  said_first->attributes.order = said_first->parent.order = 0;
  said_first->grant.stamp = said_first->grant.granted = 0;
  EXPECT_EQ(*said_first, *said_again);
  EXPECT_TRUE(client.ask<EntryReply>(Op::kMkdir, mkdir_of("e", 3), 2));
  EXPECT_TRUE(std::filesystem::is_directory(in_home("sub/e")));
}

TEST_F(ServeTest, EndsASessionThatKnowsLessThanItsClient) {
  TestClient first(server_.port());
  const auto session = first.log_in(alice());
  ASSERT_TRUE(session);
  ASSERT_TRUE(first.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
  // As when the session's file is an old one, because its disk took no more.
  TestClient client(server_.port());
  ASSERT_TRUE(client.hello());
  const Resume resume{
      .session_id = session->session_id,
      .proof = resume_proof(session->session_secret, client.binding(), ConnectionKind::kControl),
      .kind = ConnectionKind::kControl,
      .seq_done = 2};
  EXPECT_EQ(client.resume_with(resume).error().status, Status::kSessionUnknown);
  EXPECT_TRUE(first.wait_closed());
  TestClient again(server_.port());
  EXPECT_EQ(again.resume(*session, ConnectionKind::kControl).error().status,
            Status::kSessionUnknown);
  TestClient anew(server_.port());
  EXPECT_TRUE(anew.log_in(alice()));
}

TEST_F(ServeTest, LeavesNoFilesOfASessionThatIsOver) {
  const auto files = [&] {
    const std::filesystem::directory_iterator folder(server_.config().data_dir / "sessions");
    return std::distance(begin(folder), end(folder));
  };
  EXPECT_EQ(files(), 0);
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  EXPECT_EQ(files(), 1);
  ASSERT_TRUE(client.call(Op::kGoodbye, encode_json(Goodbye{})));
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  while (files() != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(files(), 0);
}

TEST_F(ServeTest, DoesNotTakeUpASessionWhoseAccountIsGone) {
  TestClient client(server_.port());
  const auto session = client.log_in(alice());
  ASSERT_TRUE(session);
  server_.stop();
  server_.edit_accounts([](AccountsEdit& edit) { return edit.set_disabled("alice", true); });
  server_.start();
  TestClient again(server_.port());
  EXPECT_EQ(again.resume(*session, ConnectionKind::kControl).error().status,
            Status::kSessionUnknown);
}

// As "homefsd user remove" and "user add" do, beside the server or while it is down.
void make_account_anew(const TestServer& server) {
  const auto state = StateDb::open(server.config().data_dir / "state.db");
  ASSERT_TRUE(state);
  ASSERT_TRUE((*state)->forget_account("alice"));
}

TEST_F(ServeTest, DoesNotTakeUpASessionOfAnEarlierAccountOfThatName) {
  TestClient client(server_.port());
  const auto session = client.log_in(alice());
  ASSERT_TRUE(session);
  server_.stop();
  make_account_anew(server_);
  server_.start();
  TestClient again(server_.port());
  EXPECT_EQ(again.resume(*session, ConnectionKind::kControl).error().status,
            Status::kSessionUnknown);
}

TEST_F(ServeTest, EndsTheSessionsOfAnEarlierAccountOfThatNameAndNoOthers) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  TestClient other(server_.port());
  ASSERT_TRUE(other.log_in(bob()));
  make_account_anew(server_);
  EXPECT_TRUE(client.wait_closed());
  EXPECT_TRUE(other.call(Op::kPing, {}));
  TestClient again(server_.port());
  EXPECT_TRUE(again.log_in(alice()));
}

TEST_F(ServeTest, MountsAFolderOfTheHomeAlone) {
  std::filesystem::create_directories(in_home("a/b"));
  TestClient client(server_.port());
  TestLogin login = alice();
  login.finish.subdir = "a/b";
  ASSERT_TRUE(client.log_in(login));
  ASSERT_TRUE(client.ask<EntryReply>(Op::kMkdir, mkdir_of("c", 2), 1));
  EXPECT_TRUE(std::filesystem::is_directory(in_home("a/b/c")));
}

TEST_F(ServeTest, ServesAClientWhileAnotherDoesNotReadItsAnswers) {
  TestClient slow(server_.port());
  const auto session = slow.log_in(alice());
  ASSERT_TRUE(session);
  ASSERT_TRUE(slow.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  const std::string megabyte(kPayloadBytesMax, 'm');
  ASSERT_TRUE(slow.call(write_of(2, 0, megabyte)));
  slow.pause_reading();
  std::vector<std::uint32_t> tags;
  for (int i = 0; i < 200; ++i) {
    const ReadRequest request{.node = NodeId{2}, .offset = 0, .length = kPayloadBytesMax};
    tags.push_back(slow.send(Op::kRead, encode_request(Introductions{}, request)));
  }
  TestClient other(server_.port());
  ASSERT_TRUE(other.log_in(bob()));
  for (std::uint64_t i = 1; i <= 20; ++i) {
    EXPECT_TRUE(other.ask<EntryReply>(Op::kMkdir, mkdir_of("d" + std::to_string(i), i + 1), i));
  }
  slow.resume_reading();
  for (const std::uint32_t tag : tags) {
    const auto reply = slow.reply_to(tag);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header.status, Status::kOk);
  }
}

}  // namespace
}  // namespace homefs::testing
