// A write whose reply is lost is sent again, and takes effect once: what another session has
// written there meanwhile stays.

#include <fstream>

#include "server/inode_table.h"
#include "tests/fault/serve_fixture.h"
#include "tests/support/server/server_process.h"

namespace homefs::testing {
namespace {

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

OutFrame numbered(OutFrame frame, std::uint64_t number) {
  frame.header.seq = number;
  return frame;
}

/// As write_of(), with a change of attributes that is made after it.
OutFrame write_and_chmod(std::uint64_t node, const std::string& text, std::uint32_t mode) {
  OutFrame frame = write_of(node, 0, text);
  WriteRequest request{.node = NodeId{node}, .offset = 0};
  request.digests.resize(1);
  md5_pieces(0, frame.payload[0].bytes, request.digests);
  request.then = {{.node = NodeId{node}, .which = kSetMode, .mode = mode}};
  frame.fields = encode_request(Introductions{}, request);
  return frame;
}

class WriteOnceTest : public ServeTest {};

TEST_F(WriteOnceTest, AResendWritesNothingOverWhatOthersWroteSince) {
  TestClient first(server_.port());
  const auto session = first.log_in(alice("one"));
  ASSERT_TRUE(session);
  ASSERT_TRUE(first.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  ASSERT_TRUE(first.call(numbered(write_of(2, 0, "........"), 1)));
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(alice("two")));
  ASSERT_TRUE(second.ask<LookupReply>(Op::kLookup, LookupRequest{kRootNode, "f", NodeId{2}}));
  // The reply waits for the second session, and so is lost with the connection.
  second.set_acknowledges(false);
  (void)first.send(numbered(write_of(2, 0, "request!"), 2));
  const auto told = second.event(Op::kChanged);
  ASSERT_TRUE(told);
  EXPECT_EQ(contents_of(in_home("f")), "request!");
  first.close();
  ASSERT_TRUE(first.wait_closed());
  second.acknowledge(*told);
  second.set_acknowledges(true);
  ASSERT_TRUE(second.call(numbered(write_of(2, 0, "ANSWER!!"), 1)));

  TestClient again(server_.port());
  ASSERT_TRUE(again.resume(*session, ConnectionKind::kControl));
  const auto reply = again.call(numbered(write_of(2, 0, "request!"), 2));
  ASSERT_TRUE(reply);
  EXPECT_EQ(decode_all<ChangeReply>(reply->bytes())->attributes.size, 8u);
  EXPECT_EQ(contents_of(in_home("f")), "ANSWER!!");
  ASSERT_TRUE(again.call(numbered(write_of(2, 0, "next"), 3)));
  EXPECT_EQ(contents_of(in_home("f")), "nextER!!");
}

TEST_F(WriteOnceTest, WhatWasRefusedBeforeItChangedAnythingIsTriedAgain) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  ASSERT_TRUE(client.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  OutFrame refused = write_of(2, 0, "data");
  refused.header.seq = 1;
  WriteRequest request{.node = NodeId{2}, .offset = 0};
  request.digests.resize(1);
  refused.fields = encode_request(Introductions{}, request);  // a wrong digest
  EXPECT_EQ(client.call(std::move(refused)).error().status, Status::kBlockMismatch);
  ASSERT_TRUE(client.call(numbered(write_of(2, 0, "good"), 1))) << "nothing was done of it";
  ASSERT_TRUE(client.call(numbered(write_of(2, 0, "else"), 1))) << "it is the same to the server";
  EXPECT_EQ(contents_of(in_home("f")), "good");
}

TEST_F(WriteOnceTest, ANumberOfBeforeTheWindowEndsTheSession) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  ASSERT_TRUE(client.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  ASSERT_TRUE(client.call(numbered(write_of(2, 0, "x"), kRequestsInFlightMax + 1)));
  EXPECT_EQ(client.call(numbered(write_of(2, 0, "x"), 1)).error().status,
            Status::kSequenceConflict);
  EXPECT_TRUE(client.wait_closed());
}

// The first one waits for the disk, which fails, when its client has lost the connection and asks
// again.
TEST_F(WriteOnceTest, AResentFsyncTellsTheErrorOfTheFirst) {
  TestClient first(server_.port());
  const auto session = first.log_in(alice("one"));
  ASSERT_TRUE(session);
  const auto file = first.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1);
  ASSERT_TRUE(file);
  Home& home = server_.server().sessions().all().front()->files().home();
  const InodeRef inode = home.inodes().find(file->attributes.inode);
  ASSERT_NE(inode, nullptr);
  const auto fsync = encode_request(Introductions{}, FsyncRequest{.node = NodeId{2}});
  TestClient again(server_.port());
  std::uint32_t resent = 0;
  const Result<void> disk = inode->sync_failures().run([&]() -> Result<void> {
    (void)first.send(Op::kFsync, fsync, 1);
    EXPECT_TRUE(first.call(Op::kPing, {}));
    EXPECT_TRUE(again.resume(*session, ConnectionKind::kControl));
    resent = again.send(Op::kFsync, fsync, 1);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(again.call(Op::kPing, {}));
    return fail(Status::kNoSpace);
  });
  EXPECT_FALSE(disk);
  const auto reply = again.reply_to(resent);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header.status, Status::kNoSpace);
  EXPECT_TRUE(again.call(Op::kFsync, fsync, 2)) << "once";
}

/// The server is killed when the write was done, and its answer has not left.
class KilledWriterTest : public ::testing::Test {
 protected:
  void begin(const OutFrame& write) {
    std::ofstream(server_.home() / "f") << "........";
    server_.start("written");
    TestClient client(server_.port());
    const auto session = client.log_in(alice("one"));
    ASSERT_TRUE(session);
    session_ = *session;
    ASSERT_TRUE(client.ask<LookupReply>(Op::kLookup, LookupRequest{kRootNode, "f", NodeId{2}}));
    EXPECT_FALSE(client.reply_to(client.send(numbered(write, 1))));
    ASSERT_TRUE(server_.wait_killed());
    EXPECT_EQ(contents_of(server_.home() / "f"), "request!");
    server_.start();
  }

  ServerProcess server_{HOMEFSD_BIN};
  AuthFinishReply session_;
};

TEST_F(KilledWriterTest, FindsAfterTheRestartThatItIsDone) {
  begin(write_of(2, 0, "request!"));
  if (HasFatalFailure()) return;
  // Whoever writes there now, the resend does not undo it.
  std::ofstream(server_.home() / "f") << "ANSWER!!";
  TestClient client(server_.port());
  ASSERT_TRUE(client.resume(session_, ConnectionKind::kControl));
  ASSERT_TRUE(client.ask<LookupReply>(Op::kLookup, LookupRequest{kRootNode, "f", NodeId{2}}));
  ASSERT_TRUE(client.call(numbered(write_of(2, 0, "request!"), 1)));
  EXPECT_EQ(contents_of(server_.home() / "f"), "ANSWER!!");
}

TEST_F(KilledWriterTest, MakesTheChangeThatWasToFollowTheData) {
  begin(write_and_chmod(2, "request!", 0640));
  if (HasFatalFailure()) return;
  TestClient client(server_.port());
  ASSERT_TRUE(client.resume(session_, ConnectionKind::kControl));
  ASSERT_TRUE(client.ask<LookupReply>(Op::kLookup, LookupRequest{kRootNode, "f", NodeId{2}}));
  const auto reply = client.call(numbered(write_and_chmod(2, "request!", 0640), 1));
  ASSERT_TRUE(reply);
  EXPECT_EQ(decode_all<ChangeReply>(reply->bytes())->attributes.mode & 0777, 0640u);
}

}  // namespace
}  // namespace homefs::testing
