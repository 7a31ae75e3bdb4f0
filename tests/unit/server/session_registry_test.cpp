#include "server/session_registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>

#include "protocol/codec.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

class FakeOwner : public SessionOwner {
 public:
  void end_session(Session&, Error) override {}
  void note_change(Op, Status) override {}
  Reply handle_token(Session&, const InFrame&) override { return {}; }
  void answered_revocation() override {}
};

class SessionRegistryTest : public testing::Test {
 protected:
  SessionSetup setup_of(std::uint8_t id, const std::string& account, const std::string& client_id) {
    SessionSetup setup;
    setup.identity.id[0] = std::byte{id};
    setup.identity.account = account;
    setup.identity.client_id = client_id;
    setup.record = std::make_unique<MemoryReplayRecord>();
    setup.home = std::make_shared<LiveHome>(
        LiveHome{account, home_.ref(), HomeCoherence::make(io_.get_executor())});
    return setup;
  }
  std::shared_ptr<Session> make(std::uint8_t id, const std::string& account = "alice",
                                const std::string& client_id = "laptop") {
    SessionSetup setup = setup_of(id, account, client_id);
    setup.files = std::move(*SessionHome::open(home_.ref()));
    return Session::make(io_.get_executor(), owner_, std::move(setup));
  }
  std::shared_ptr<Session> add(std::uint8_t id, const std::string& account = "alice",
                               const std::string& client_id = "laptop") {
    auto session = make(id, account, client_id);
    EXPECT_TRUE(registry_.add(session));
    return session;
  }
  // Sessions without a connection are idle from when they were made.
  static Session::Clock::time_point after_now() {
    return Session::Clock::now() + std::chrono::seconds(1);
  }

  test::TestHome home_;
  boost::asio::io_context io_;
  FakeOwner owner_;
  SessionRegistry registry_{/*sessions_max=*/3};
};

TEST_F(SessionRegistryTest, FindsASessionByItsIdUntilItEnds) {
  const auto session = add(1);
  EXPECT_EQ(registry_.find(session->id()), session);
  EXPECT_EQ(registry_.find(SessionId{}), nullptr);
  registry_.end(*session, {Status::kOk, ""});
  EXPECT_EQ(registry_.find(session->id()), nullptr);
  registry_.end(*session, {Status::kOk, "again"});  // nothing happens
}

TEST_F(SessionRegistryTest, TakesNoMoreThanItsLimit) {
  for (std::uint8_t id = 1; id <= 3; ++id) add(id);
  EXPECT_EQ(registry_.add(make(4)).error().status, Status::kTooManySessions);
  registry_.end(*registry_.all().front(), {Status::kOk, ""});
  EXPECT_TRUE(registry_.add(make(4)));
}

TEST_F(SessionRegistryTest, TakesNoneWhenTheServerStops) {
  registry_.refuse_new();
  EXPECT_EQ(registry_.add(make(1)).error().status, Status::kGoingAway);
}

TEST_F(SessionRegistryTest, EndsTheIdleSessionsOfOneClientOnly) {
  const auto mine = add(1, "alice", "laptop");
  const auto other_client = add(2, "alice", "desktop");
  const auto other_user = add(3, "bob", "laptop");
  registry_.end_idle_of_client("alice", "laptop");
  EXPECT_EQ(registry_.find(mine->id()), nullptr);
  EXPECT_NE(registry_.find(other_client->id()), nullptr);
  EXPECT_NE(registry_.find(other_user->id()), nullptr);
}

TEST_F(SessionRegistryTest, EndsThoseThatAreIdleForTooLong) {
  add(1);
  EXPECT_EQ(registry_.end_idle_since_before(Session::Clock::now() - std::chrono::hours(1)), 0u);
  EXPECT_EQ(registry_.size(), 1u);
  EXPECT_EQ(registry_.end_idle_since_before(after_now()), 1u);
  EXPECT_EQ(registry_.size(), 0u);
}

TEST_F(SessionRegistryTest, EndsThoseWhoseClientHasLoggedInAnewWithoutWaiting) {
  add(1)->supersede();  // had a connection then, and has lost it since
  add(2);
  EXPECT_EQ(registry_.end_idle_since_before(Session::Clock::now() - std::chrono::hours(1)), 1u);
  EXPECT_EQ(registry_.size(), 1u);
}

TEST_F(SessionRegistryTest, AnEndedSessionTakesNoConnection) {
  const auto session = add(1);
  registry_.end(*session, {Status::kOk, ""});
  EXPECT_EQ(session->attach_control(nullptr, false).error().status, Status::kSessionUnknown);
  EXPECT_EQ(session->attach_bulk(nullptr, 0).error().status, Status::kSessionUnknown);
}

TEST_F(SessionRegistryTest, GivesTheFilesFreeWhenTheLastOwnerLetsGo) {
  auto session = add(1);
  const std::weak_ptr<Session> watched = session;
  registry_.end(*session, {Status::kOk, ""});
  session.reset();
  io_.run();  // it leaves the home
  EXPECT_TRUE(watched.expired());
}

class KeptSessionTest : public SessionRegistryTest {
 protected:
  std::shared_ptr<Session> add_with_log(std::uint8_t id) {
    SessionSetup setup = setup_of(id, "alice", "laptop");
    setup.lock_log = std::make_unique<LockLog>(log_of(id), folder_.path() / "session");
    setup.files = *SessionHome::open(home_.ref(), "", setup.identity.id, setup.lock_log.get());
    auto session = Session::make(io_.get_executor(), owner_, std::move(setup));
    EXPECT_TRUE(registry_.add(session));
    return session;
  }
  static Status lock(Session& session, std::uint64_t id) {
    const LockRequest request{.node = kRootNode,
                              .type = LockType::kExclusive,
                              .waits = true,
                              .owner = 1,
                              .end = kLockEndMax,
                              .id = id};
    const auto fields = encode_request(Introductions{}, request);
    auto body = std::make_shared<Buffer>(fields.size());
    std::ranges::copy(fields, body->writable().begin());
    return session.files().handle({.header = {.op = Op::kLock}, .body = body}).status;
  }
  std::size_t locks_kept(std::uint8_t id) const {
    LockLog log(log_of(id), folder_.path() / "session");
    const auto locks = log.load();
    EXPECT_TRUE(locks) << locks.error().message();
    if (!locks) return 0;
    return static_cast<std::size_t>(std::ranges::count(*locks, LockNote::kHeld, &SavedLock::note));
  }
  std::filesystem::path log_of(std::uint8_t id) const {
    return folder_.path() / std::to_string(id);
  }

  test::ScratchFolder folder_;
};

TEST_F(KeptSessionTest, KeepsItsLocksToItselfWhenItEnds) {
  const auto holder = add_with_log(1);
  const auto other = add_with_log(2);
  EXPECT_EQ(lock(*holder, 10), Status::kOk);
  EXPECT_EQ(lock(*other, 20), Status::kOk);  // queued
  holder->keep_for_next_run();
  registry_.end(*holder, {Status::kGoingAway, "the server shuts down"});
  EXPECT_EQ(locks_kept(1), 1u);
  EXPECT_EQ(locks_kept(2), 0u) << "both would hold it in the next run";
}

}  // namespace
}  // namespace homefs
