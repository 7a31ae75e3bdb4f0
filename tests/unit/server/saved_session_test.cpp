#include "server/saved_session.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

SavedSession session_of(std::uint8_t id) {
  SavedSession session;
  session.id[0] = std::byte{id};
  session.secret[5] = std::byte{77};
  session.account = "alice";
  session.client_id = "laptop";
  session.token_id = "t1";
  session.subdir = "a/b";
  session.locks = {
      {{InodeNumber{12}, LockKind::kWhole}, LockType::kExclusive, 7, {0, kLockEndMax}, 0},
      {{InodeNumber{13}, LockKind::kRecord}, LockType::kShared, 8, {5, 9}, 4711}};
  session.replay.last_dropped = 41;
  for (int i = 0; i < 3; ++i) {
    Reply reply{.status = i == 1 ? Status::kExists : Status::kOk};
    reply.fields.resize(static_cast<std::size_t>(10 * i), std::byte{9});
    session.replay.kept.push_back({.fingerprint = 1000u + static_cast<std::uint64_t>(i),
                                   .reply = std::make_shared<const Reply>(std::move(reply))});
  }
  return session;
}

TEST(SavedSession, IsTheSameWhenItIsReadAgain) {
  const SavedSession session = session_of(1);
  const auto read = decode_session(encode_session(session));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, session);
  MemoryReplayRecord record(read->replay);
  EXPECT_EQ(record.last_applied(), 44u);
  EXPECT_EQ((*record.find(43, 1001))->status, Status::kExists);
}

TEST(SavedSession, IsRefusedWhenAnythingIsCutOff) {
  const std::string text = encode_session(session_of(1));
  for (std::size_t length = 0; length < text.size(); length += 4) {
    EXPECT_FALSE(decode_session(text.substr(0, length))) << length;
  }
  EXPECT_FALSE(decode_session(text + "AAAA"));
  EXPECT_FALSE(decode_session("not base64!"));
}

TEST(SavedSessions, AreTakenOnce) {
  SavedSessions sessions;
  const auto later = SavedSessions::Clock::now() + std::chrono::hours(1);
  sessions.put(session_of(1), later);
  EXPECT_TRUE(sessions.find(session_of(1).id));
  EXPECT_FALSE(sessions.find(session_of(2).id));
  EXPECT_TRUE(sessions.take(session_of(1).id));
  EXPECT_FALSE(sessions.take(session_of(1).id));
}

TEST(SavedSessions, AreForgottenWhenTheirTimeIsOver) {
  SavedSessions sessions;
  const auto now = SavedSessions::Clock::now();
  sessions.put(session_of(1), now - std::chrono::seconds(1));
  sessions.put(session_of(2), now + std::chrono::hours(1));
  EXPECT_FALSE(sessions.find(session_of(1).id));
  sessions.drop_expired(now);
  EXPECT_EQ(sessions.take_all().size(), 1u);
}

TEST(SavedSessions, AreForgottenWhenTheirClientLogsInAnew) {
  SavedSessions sessions;
  sessions.put(session_of(1), SavedSessions::Clock::now() + std::chrono::hours(1));
  sessions.drop_of_client("alice", "desktop");
  EXPECT_TRUE(sessions.find(session_of(1).id));
  sessions.drop_of_client("alice", "laptop");
  EXPECT_FALSE(sessions.find(session_of(1).id));
}

}  // namespace
}  // namespace homefs
