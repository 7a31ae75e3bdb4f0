// A client that breaks the protocol on purpose, and tries to reach what is not its own: the other
// user's home, the server's files, another's session. Whatever it sends, the server goes on and
// the other user notices nothing.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>

#include "protocol/scram_crypto.h"
#include "tests/fault/serve_fixture.h"

namespace homefs::testing {
namespace {

class ProtocolAttackTest : public ServeTest {
 protected:
  void SetUp() override {
    ServeTest::SetUp();
    ASSERT_TRUE(bob_.log_in(bob()));
    ASSERT_TRUE(bob_.ask<EntryReply>(Op::kCreate, create_of("diary", 2), 1));
    ASSERT_TRUE(bob_.call(write_of(2, 0, "bob's secret")));
    std::ofstream(server_.folder() / "outside") << "outside of all homes";
    session_ = log_in(alice_);
  }
  // The victim is as before, and is still served.
  void TearDown() override {
    EXPECT_TRUE(bob_.call(Op::kPing, {}));
    EXPECT_TRUE(bob_.ask<EntryReply>(Op::kMkdir, mkdir_of("still here", 90), 2));
    const auto home = server_.home_of("bob");
    std::ifstream in(home / "diary");
    std::string text;
    std::getline(in, text);
    EXPECT_EQ(text, "bob's secret");
    std::size_t entries = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(home)) ++entries;
    EXPECT_EQ(entries, 2u);
  }

  static AuthFinishReply log_in(TestClient& client) {
    const auto session = client.log_in(alice());
    EXPECT_TRUE(session);
    return session.value_or(AuthFinishReply{});
  }
  [[nodiscard]] InodeName inode_of(const std::filesystem::path& path) const {
    const auto stat = disk::stat_at(AT_FDCWD, path.c_str());
    EXPECT_TRUE(stat) << path;
    return {stat->attributes.inode, stat->attributes.generation};
  }
  // The status with which a getattr of `node` is answered, introduced so.
  Status introduce(std::uint64_t node, const Introduction& introduction) {
    const auto reply = alice_.call(Op::kGetattr, encode_request(Introductions{{introduction}},
                                                                NodeRequest{.node = NodeId{node}}));
    return reply ? Status::kOk : reply.error().status;
  }
  // The end of a session: its connection is closed, and it cannot be resumed.
  void expect_session_over(TestClient& client, const AuthFinishReply& session) {
    EXPECT_TRUE(client.wait_closed());
    TestClient again(server_.port());
    EXPECT_EQ(again.resume(session, ConnectionKind::kControl).error().status,
              Status::kSessionUnknown);
  }

  TestClient bob_{server_.port()};
  TestClient alice_{server_.port()};
  AuthFinishReply session_;
};

// ---- Names and nodes ------------------------------------------------------------------------

TEST_F(ProtocolAttackTest, CannotLeaveItsHomeByAName) {
  std::uint64_t node = 10;
  for (const std::string& name :
       {std::string(".."), std::string("."), std::string("../bob"), std::string("/etc/passwd"),
        std::string("a/b"), std::string(""), std::string("a\0b", 3), std::string("../../outside"),
        std::string("\0", 1), std::string("bob/../..")}) {
    const auto found = alice_.ask<LookupReply>(
        Op::kLookup, LookupRequest{.parent = kRootNode, .name = name, .node = NodeId{++node}});
    ASSERT_FALSE(found) << quoted(name);
    EXPECT_EQ(found.error().status, Status::kInvalid) << quoted(name);
  }
  const auto found = alice_.ask<LookupReply>(
      Op::kLookup,
      LookupRequest{.parent = kRootNode, .name = std::string(256, 'x'), .node = NodeId{99}});
  EXPECT_EQ(found.error().status, Status::kNameTooLong);
}

TEST_F(ProtocolAttackTest, CannotMakeOrMoveAnythingOutOfItsHome) {
  ASSERT_TRUE(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
  std::uint64_t seq = 1;
  for (const std::string& name : {std::string("../x"), std::string(".."), std::string("/tmp/x")}) {
    EXPECT_FALSE(alice_.ask<EntryReply>(Op::kCreate, create_of(name, 50), ++seq));
    EXPECT_FALSE(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of(name, 51), ++seq));
    EXPECT_FALSE(alice_.ask<EntryReply>(
        Op::kLink, LinkRequest{.node = NodeId{2}, .parent = kRootNode, .name = name}, ++seq));
    EXPECT_FALSE(alice_.ask<RenameReply>(
        Op::kRename,
        RenameRequest{.parent = kRootNode, .name = "d", .new_parent = kRootNode, .new_name = name},
        ++seq));
    EXPECT_FALSE(alice_.ask<RemoveReply>(Op::kRmdir,
                                         RmdirRequest{.parent = kRootNode, .name = name}, ++seq));
  }
  EXPECT_TRUE(std::filesystem::is_directory(in_home("d")));
}

TEST_F(ProtocolAttackTest, CannotFollowASymlinkOutOfItsHome) {
  std::uint64_t seq = 0;
  std::uint64_t node = 1;
  for (const std::string& target : {server_.home_of("bob").string(), std::string("../bob"),
                                    std::string("/"), (server_.folder() / "outside").string()}) {
    const SymlinkRequest request{.parent = kRootNode,
                                 .name = "link" + std::to_string(++node),
                                 .node = NodeId{node},
                                 .target = target};
    ASSERT_TRUE(alice_.ask<EntryReply>(Op::kSymlink, request, ++seq));
    // Under the link as a folder, and the link itself as a file.
    EXPECT_EQ(alice_
                  .ask<LookupReply>(Op::kLookup, LookupRequest{.parent = NodeId{node},
                                                               .name = "diary",
                                                               .node = NodeId{node + 100}})
                  .error()
                  .status,
              Status::kNotDirectory);
    EXPECT_FALSE(
        alice_.ask<ReadReply>(Op::kRead, ReadRequest{.node = NodeId{node}, .length = 100}));
    EXPECT_FALSE(alice_.call(write_of(node, 0, "overwritten")));
    EXPECT_FALSE(
        alice_.ask<ListReply>(Op::kList, ListRequest{.folder = NodeId{node}, .bytes_max = 4096}));
  }
}

TEST_F(ProtocolAttackTest, CannotFollowASymlinkThatTakesThePlaceOfAFolder) {
  ASSERT_TRUE(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
  const Attributes folder =
      alice_.ask<AttributesReply>(Op::kGetattr, NodeRequest{NodeId{2}})->attributes;
  std::filesystem::remove(in_home("d"));
  std::filesystem::create_directory_symlink(server_.home_of("bob"), in_home("d"));
  // The number still means the folder that is gone, not what is there under its name now.
  EXPECT_FALSE(alice_.ask<LookupReply>(
      Op::kLookup, LookupRequest{.parent = NodeId{2}, .name = "diary", .node = NodeId{3}}));
  // Introduced again it is the folder that is gone, or the link (the file system may have given it
  // the same inode number), or nothing: never what the link leads to.
  (void)introduce(4, {NodeId{4}, kRootNode, "d", folder.inode, folder.generation});
  EXPECT_FALSE(alice_.ask<LookupReply>(
      Op::kLookup, LookupRequest{.parent = NodeId{4}, .name = "diary", .node = NodeId{5}}));
  EXPECT_FALSE(alice_.ask<ListReply>(Op::kList, ListRequest{.folder = NodeId{4}, .bytes_max = 99}));
}

TEST_F(ProtocolAttackTest, CannotIntroduceAnInodeOfAnotherHome) {
  const InodeName diary = inode_of(server_.home_of("bob") / "diary");
  const InodeName home = inode_of(server_.home_of("bob"));
  const InodeName outside = inode_of(server_.folder() / "outside");
  std::uint64_t node = 10;
  for (const InodeName& inode : {diary, home, outside, inode_of("/"), inode_of("/etc/passwd")}) {
    // As an orphan, and under names that exist or do not.
    EXPECT_EQ(introduce(node, {NodeId{node}, kNoNode, "", inode.number, inode.generation}),
              Status::kStale);
    ++node;
    EXPECT_EQ(introduce(node, {NodeId{node}, kRootNode, "diary", inode.number, inode.generation}),
              Status::kStale);
    ++node;
  }
}

TEST_F(ProtocolAttackTest, CannotIntroduceByANameThatIsNone) {
  for (const std::string& name : {std::string(".."), std::string("../bob"), std::string("a/b")}) {
    TestClient client(server_.port());
    ASSERT_TRUE(client.log_in(alice("attacker")));
    const Introduction introduction{.node = NodeId{5},
                                    .parent = kRootNode,
                                    .name = name,
                                    .inode = inode_of(server_.home_of("bob")).number};
    const auto reply = client.call(Op::kGetattr, encode_request(Introductions{{introduction}},
                                                                NodeRequest{.node = NodeId{5}}));
    EXPECT_EQ(reply.error().status, Status::kProtocolError) << name;
    EXPECT_TRUE(client.wait_closed());
  }
}

TEST_F(ProtocolAttackTest, CannotUseTheNumbersOfAnotherSession) {
  // bob knows node 2; alice does not.
  EXPECT_EQ(alice_.ask<AttributesReply>(Op::kGetattr, NodeRequest{NodeId{2}}).error().status,
            Status::kStale);
}

TEST_F(ProtocolAttackTest, CannotMountAFolderOutsideOfItsHome) {
  std::filesystem::create_directory_symlink(server_.home_of("bob"), in_home("link"));
  for (const std::string& folder :
       {std::string("../bob"), std::string(".."), std::string("/"), std::string("/etc"),
        std::string("link"), std::string("a/../../bob"), std::string("."), std::string("a//b")}) {
    TestClient client(server_.port());
    TestLogin login = alice("attacker");
    login.finish.subdir = folder;
    const auto session = client.log_in(login);
    EXPECT_FALSE(session) << folder;
  }
}

// ---- Logins and sessions --------------------------------------------------------------------

TEST_F(ProtocolAttackTest, CannotDoAnythingBeforeTheLogin) {
  for (std::uint16_t number = 0; number < 200; ++number) {
    const OpTraits* traits = find_op(number);
    if (traits == nullptr || traits->op == Op::kHello) continue;
    TestClient client(server_.port());
    const auto reply =
        client.call(traits->op, encode_request(Introductions{}, NodeRequest{kRootNode}),
                    traits->is_sequenced ? 1 : 0);
    ASSERT_FALSE(reply) << traits->name;
    EXPECT_TRUE(client.wait_closed()) << traits->name;
  }
}

TEST_F(ProtocolAttackTest, CannotSkipAStepOfTheLogin) {
  TestClient finish_first(server_.port());
  ASSERT_TRUE(finish_first.hello());
  AuthFinish finish;
  finish.scram = "c=biws,r=x,p=AAAA";
  EXPECT_EQ(finish_first.call(Op::kAuthFinish, encode_json(finish)).error().status,
            Status::kNotLoggedIn);
  TestClient hello_twice(server_.port());
  ASSERT_TRUE(hello_twice.hello());
  EXPECT_FALSE(hello_twice.hello());
}

TEST_F(ProtocolAttackTest, CannotFinishTheLoginOfOneNameAsAnother) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.hello());
  const auto scram = ScramClient::make("alice", "wonderland", client.binding());
  AuthStart start{.user = "bob", .scram = scram->first_message()};
  EXPECT_FALSE(client.call(Op::kAuthStart, encode_json(start)));
}

TEST_F(ProtocolAttackTest, CannotUseALoginThatWasMadeForAnotherConnection) {
  // The man in the middle: what alice answers on one connection is sent on another.
  TestClient client(server_.port());
  ASSERT_TRUE(client.hello());
  ChannelBinding other = client.binding();
  other[0] ^= std::byte{1};
  auto scram = ScramClient::make("alice", "wonderland", other);
  AuthStart start{.user = "alice", .scram = scram->first_message()};
  const auto challenged = client.call(Op::kAuthStart, encode_json(start));
  ASSERT_TRUE(challenged);
  AuthFinish finish;
  finish.scram =
      *scram->final_message(decode_json<AuthStartReply>(challenged->bytes())->scram, false);
  EXPECT_EQ(client.call(Op::kAuthFinish, encode_json(finish)).error().status,
            Status::kLoginRefused);
}

TEST_F(ProtocolAttackTest, CannotJoinASessionWithoutItsSecret) {
  for (const ConnectionKind kind : {ConnectionKind::kControl, ConnectionKind::kBulk}) {
    TestClient client(server_.port());
    ASSERT_TRUE(client.hello());
    // bob's session id is no secret; its secret is.
    Resume resume{.kind = kind};
    for (const auto& session : server_.server().sessions().all()) {
      if (session->account() == "bob") resume.session_id = session->id();
    }
    EXPECT_EQ(client.resume_with(resume).error().status, Status::kSessionUnknown);
    resume.proof = resume_proof(session_.session_secret, client.binding(), kind);
    EXPECT_EQ(client.resume_with(resume).error().status, Status::kSessionUnknown);
  }
}

TEST_F(ProtocolAttackTest, CannotUseAProofAgainOrForTheOtherKind) {
  TestClient first(server_.port());
  ASSERT_TRUE(first.hello());
  const Resume bulk{
      .session_id = session_.session_id,
      .proof = resume_proof(session_.session_secret, first.binding(), ConnectionKind::kBulk),
      .kind = ConnectionKind::kBulk};
  ASSERT_TRUE(first.resume_with(bulk));
  TestClient second(server_.port());
  ASSERT_TRUE(second.hello());
  EXPECT_EQ(second.resume_with(bulk).error().status, Status::kSessionUnknown) << "overheard";
  Resume control{
      .session_id = session_.session_id,
      .proof = resume_proof(session_.session_secret, second.binding(), ConnectionKind::kBulk),
      .kind = ConnectionKind::kControl};
  EXPECT_EQ(second.resume_with(control).error().status, Status::kSessionUnknown);
}

TEST_F(ProtocolAttackTest, CannotAskForChangesOverABulkConnection) {
  TestClient bulk(server_.port());
  ASSERT_TRUE(bulk.resume(session_, ConnectionKind::kBulk));
  EXPECT_EQ(bulk.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1).error().status,
            Status::kProtocolError);
  EXPECT_FALSE(std::filesystem::exists(in_home("d")));
  expect_session_over(alice_, session_);
}

// ---- The sequence ---------------------------------------------------------------------------

TEST_F(ProtocolAttackTest, ASkippedSeqClosesTheConnectionAndNotTheSession) {
  ASSERT_TRUE(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d1", 2), 1));
  EXPECT_EQ(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d3", 3), 3).error().status,
            Status::kSequenceGap);
  EXPECT_TRUE(alice_.wait_closed());
  EXPECT_FALSE(std::filesystem::exists(in_home("d3")));
  TestClient again(server_.port());
  ASSERT_TRUE(again.resume(session_, ConnectionKind::kControl));
  EXPECT_TRUE(again.ask<EntryReply>(Op::kMkdir, mkdir_of("d2", 4), 2));
}

TEST_F(ProtocolAttackTest, ASeqThatIsUsedAgainEndsTheSession) {
  ASSERT_TRUE(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
  EXPECT_EQ(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("e", 3), 1).error().status,
            Status::kSequenceConflict);
  EXPECT_FALSE(std::filesystem::exists(in_home("e")));
  expect_session_over(alice_, session_);
}

TEST_F(ProtocolAttackTest, AChangeWithoutASeqEndsTheSession) {
  EXPECT_EQ(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 0).error().status,
            Status::kProtocolError);
  expect_session_over(alice_, session_);
}

TEST_F(ProtocolAttackTest, AnAcknowledgementOfAReplyThatWasNotSentEndsTheSession) {
  OutFrame ping;
  ping.header.op = Op::kPing;
  ping.header.seq_done = 1000;
  EXPECT_EQ(alice_.call(std::move(ping)).error().status, Status::kProtocolError);
  expect_session_over(alice_, session_);
}

// ---- Frames ---------------------------------------------------------------------------------

TEST_F(ProtocolAttackTest, AnUnknownOperationEndsTheSession) {
  OutFrame frame;
  frame.header.op = static_cast<Op>(4711);
  EXPECT_FALSE(alice_.call(std::move(frame)));
  expect_session_over(alice_, session_);
}

TEST_F(ProtocolAttackTest, ALargeFrameBeforeTheLoginIsNotTaken) {
  TestClient client(server_.port());
  OutFrame frame;
  frame.header.op = Op::kHello;
  frame.fields.resize(kLoginBodyBytesMax + 1);
  EXPECT_FALSE(client.call(std::move(frame)));
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(ProtocolAttackTest, AFrameOfAServerEndsTheSession) {
  for (const FrameKind kind : {FrameKind::kReply, FrameKind::kEvent}) {
    TestClient client(server_.port());
    const auto session = client.log_in(alice("attacker"));
    ASSERT_TRUE(session);
    OutFrame frame;
    frame.header.op = Op::kMode;
    frame.header.kind = kind;
    client.send(std::move(frame));
    expect_session_over(client, *session);
  }
}

TEST_F(ProtocolAttackTest, AnAcknowledgementOfNoEventEndsTheSession) {
  OutFrame frame;
  frame.header.op = Op::kChanged;
  frame.header.kind = FrameKind::kEventAck;
  frame.header.tag = 12345;
  alice_.send(std::move(frame));
  expect_session_over(alice_, session_);
}

TEST_F(ProtocolAttackTest, ALoginInsideASessionEndsIt) {
  EXPECT_FALSE(alice_.call(Op::kHello, encode_json(Hello{})));
  expect_session_over(alice_, session_);
}

TEST_F(ProtocolAttackTest, GarbageInEachOperationEndsTheSessionAndNothingElse) {
  std::uint32_t state = 12345;
  for (std::uint16_t number = 0; number < 200; ++number) {
    const OpTraits* traits = find_op(number);
    if (traits == nullptr) continue;
    TestClient client(server_.port());
    ASSERT_TRUE(client.log_in(alice("attacker")));
    OutFrame frame;
    frame.header.op = traits->op;
    frame.header.seq = traits->is_sequenced ? 1 : 0;
    for (int i = 0; i < 300; ++i) {
      state = state * 1664525 + 1013904223;
      frame.fields.push_back(static_cast<std::byte>(state >> 24));
    }
    // Answered with an error or not at all; ping and goodbye do not look at their bodies.
    const auto reply = client.call(std::move(frame));
    if (traits->op != Op::kPing && traits->op != Op::kGoodbye) {
      EXPECT_FALSE(reply) << traits->name;
    }
  }
}

TEST_F(ProtocolAttackTest, BodiesCutShortAreRefused) {
  const auto whole = encode_request(Introductions{}, mkdir_of("d", 2));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    TestClient client(server_.port());
    ASSERT_TRUE(client.log_in(alice("attacker")));
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_EQ(client.call(Op::kMkdir, part, 1).error().status, Status::kProtocolError) << length;
  }
  EXPECT_FALSE(std::filesystem::exists(in_home("d")));
}

TEST_F(ProtocolAttackTest, RequestsForMoreThanTheLimitsAreRefused) {
  const auto status_of = [&](Op op, const auto& request) {
    TestClient client(server_.port());
    EXPECT_TRUE(client.log_in(alice("attacker")));
    const auto reply = client.call(op, encode_request(Introductions{}, request));
    return reply ? Status::kOk : reply.error().status;
  };
  EXPECT_NE(status_of(Op::kRead, ReadRequest{.node = kRootNode, .length = 0xffffffff}),
            Status::kOk);
  EXPECT_NE(
      status_of(Op::kDigest, DigestRequest{.node = kRootNode, .offset = ~0ull, .length = ~0ull}),
      Status::kOk);
  EXPECT_NE(status_of(Op::kSeek, SeekRequest{.node = kRootNode, .offset = ~0ull}), Status::kOk);
}

// ---- Load -----------------------------------------------------------------------------------

TEST_F(ProtocolAttackTest, ConnectionsThatSayNothingDoNotKeepOthersOut) {
  // As many as one address may have under way, and more.
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 60; ++i) {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_TRUE(socket);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    silent.push_back(std::move(socket));
  }
  // Those who are in go on; this address gets no further connection, and another one would.
  EXPECT_TRUE(alice_.ask<EntryReply>(Op::kMkdir, mkdir_of("d", 2), 1));
}

TEST_F(ProtocolAttackTest, MoreRequestsThanMayBeInFlightAreNotReadButNotLost) {
  std::vector<std::uint32_t> tags;
  for (int i = 0; i < 1000; ++i) {
    const ListRequest request{.folder = kRootNode, .bytes_max = 1024 * 1024};
    tags.push_back(alice_.send(Op::kList, encode_request(Introductions{}, request)));
  }
  for (const std::uint32_t tag : tags) {
    const auto reply = alice_.reply_to(tag);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header.status, Status::kOk);
  }
}

}  // namespace
}  // namespace homefs::testing
