#include "server/saved_session.h"

#include <gtest/gtest.h>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

class SavedSessionsTest : public testing::Test {
 protected:
  SavedSession session_of(std::uint8_t id) {
    SavedSession session;
    session.identity.id[0] = std::byte{id};
    session.identity.account = "alice";
    session.identity.client_id = "laptop";
    auto record =
        SessionRecord::make(folder_.path() / std::to_string(id), "boot", session.identity);
    EXPECT_TRUE(record) << record.error().message();
    session.record = *std::move(record);
    return session;
  }
  static SessionId id_of(std::uint8_t id) {
    SessionId bytes{};
    bytes[0] = std::byte{id};
    return bytes;
  }
  static SavedSessions::Clock::time_point later() {
    return SavedSessions::Clock::now() + std::chrono::hours(1);
  }

  test::ScratchFolder folder_;
  SavedSessions sessions_;
};

TEST_F(SavedSessionsTest, AreTakenOnce) {
  sessions_.put(session_of(1), later());
  EXPECT_TRUE(sessions_.find(id_of(1)));
  EXPECT_FALSE(sessions_.find(id_of(2)));
  EXPECT_TRUE(sessions_.take(id_of(1)));
  EXPECT_FALSE(sessions_.take(id_of(1)));
}

TEST_F(SavedSessionsTest, AreForgottenWhenTheirTimeIsOver) {
  const auto now = SavedSessions::Clock::now();
  sessions_.put(session_of(1), now - std::chrono::seconds(1));
  sessions_.put(session_of(2), later());
  EXPECT_FALSE(sessions_.find(id_of(1)));
  EXPECT_EQ(sessions_.drop_expired(now).size(), 1u);
  EXPECT_EQ(sessions_.of_account("alice").size(), 1u);
}

TEST_F(SavedSessionsTest, AreForgottenWhenTheirClientLogsInAnew) {
  sessions_.put(session_of(1), later());
  EXPECT_TRUE(sessions_.drop_of_client("alice", "desktop").empty());
  EXPECT_TRUE(sessions_.find(id_of(1)));
  EXPECT_EQ(sessions_.drop_of_client("alice", "laptop").size(), 1u);
  EXPECT_FALSE(sessions_.find(id_of(1)));
}

TEST_F(SavedSessionsTest, TellOfWhomAChangeIsInDoubt) {
  EXPECT_TRUE(sessions_.accounts_in_doubt().empty());
  {
    SavedSession session = session_of(1);
    session.record->begin(1, 11, Op::kUnlink);
    session.record->about_to(ChangeFacts{});
  }
  auto record = SessionRecord::open(folder_.path() / "1", "boot");
  ASSERT_TRUE(record) << record.error().message();
  SavedSession session;
  session.identity = (*record)->identity();
  session.record = *std::move(record);
  sessions_.put(std::move(session), later());
  EXPECT_EQ(sessions_.accounts_in_doubt(), std::vector<std::string>{"alice"});
}

}  // namespace
}  // namespace homefs
