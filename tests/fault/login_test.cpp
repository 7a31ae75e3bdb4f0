// Logins: passwords of both kinds, device tokens, throttling, accounts that are changed meanwhile.

#include "config/accounts.h"
#include "protocol/scram_crypto.h"
#include "server/home_registry.h"
#include "tests/fault/serve_fixture.h"

namespace homefs::testing {
namespace {

class LoginTest : public ServeTest {
 protected:
  Status status_of_login(const TestLogin& login) {
    TestClient client(server_.port());
    const auto session = client.log_in(login);
    return session ? Status::kLoginOk : session.error().status;
  }
};

TEST_F(LoginTest, RefusesAWrongPasswordAndAnUnknownNameAlike) {
  TestLogin wrong = alice();
  wrong.secret = "looking-glass";
  TestLogin unknown = alice();
  unknown.user = "mallory";
  EXPECT_EQ(status_of_login(wrong), Status::kLoginRefused);
  EXPECT_EQ(status_of_login(unknown), Status::kLoginRefused);
}

TEST_F(LoginTest, ClosesTheConnectionAfterAFailure) {
  TestClient client(server_.port());
  TestLogin wrong = alice();
  wrong.secret = "looking-glass";
  EXPECT_FALSE(client.log_in(wrong));
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(LoginTest, GivesAnUnknownNameTheSameSaltEachTime) {
  const auto salt_of = [&](const std::string& user) {
    TestClient client(server_.port());
    EXPECT_TRUE(client.hello());
    const auto scram = ScramClient::make(user, "x", client.binding());
    AuthStart start{.user = user, .scram = scram->first_message()};
    const auto reply = client.call(Op::kAuthStart, encode_json(start));
    const auto challenge = decode_json<AuthStartReply>(reply->bytes());
    const std::size_t begin = challenge->scram.find(",s=");
    return challenge->scram.substr(begin);
  };
  EXPECT_EQ(salt_of("mallory"), salt_of("mallory"));
  EXPECT_NE(salt_of("mallory"), salt_of("trudy"));
}

TEST_F(LoginTest, LocksOutAfterTooManyFailures) {
  TestLogin wrong = alice();
  wrong.secret = "looking-glass";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status_of_login(wrong), Status::kLoginRefused);
  server_.stop();  // the counts are of one run
  server_.start();
  EXPECT_EQ(status_of_login(alice()), Status::kLoginOk);
}

TEST(LoginSettings, LockOutAndRevealNamesAsConfigured) {
  TestServer server([](ServerConfig& config) {
    config.login.failures_before_lockout = 2;
    config.login.reveal_unknown_users = true;
  });
  server.add_user("alice", "wonderland");
  const auto status_of = [&](const std::string& user, const std::string& password) {
    TestClient client(server.port());
    const auto session = client.log_in({.user = user, .secret = password, .finish = {}});
    return session ? Status::kLoginOk : session.error().status;
  };
  EXPECT_EQ(status_of("mallory", "x"), Status::kUnknownUser);
  EXPECT_EQ(status_of("alice", "x"), Status::kLoginRefused);
  // Two failures from this address: whoever it is has to wait, also with the right password.
  EXPECT_EQ(status_of("alice", "wonderland"), Status::kLockedOut);
}

TEST_F(LoginTest, RefusesADisabledAccountOnceItsPasswordIsProven) {
  server_.edit_accounts([](AccountsEdit& edit) { return edit.set_disabled("alice", true); });
  EXPECT_EQ(status_of_login(alice()), Status::kAccountDisabled);
  TestLogin wrong = alice();
  wrong.secret = "x";
  EXPECT_EQ(status_of_login(wrong), Status::kLoginRefused) << "tells a stranger nothing";
}

TEST_F(LoginTest, EndsTheSessionsOfAnAccountThatIsDisabled) {
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  TestClient other(server_.port());
  ASSERT_TRUE(other.log_in(bob()));
  server_.edit_accounts([](AccountsEdit& edit) { return edit.set_disabled("alice", true); });
  EXPECT_TRUE(client.wait_closed());
  EXPECT_FALSE(other.is_closed());
}

TEST_F(LoginTest, UpgradesAnMd5PasswordAtItsFirstLogin) {
  server_.edit_accounts([](AccountsEdit& edit) -> Result<> {
    if (Result<> done = edit.add("carol"); !done) return done;
    return edit.set_password("carol", prehash_md5("christmas"));
  });
  const auto upgraded = make_verifier("christmas", ServerConfig::kScramIterationsMin);
  TestLogin carol{.user = "carol", .secret = "christmas", .finish = {}};
  carol.finish.new_verifier = upgraded->to_string();
  EXPECT_EQ(status_of_login(carol), Status::kLoginOk);
  const auto accounts = Accounts::load(server_.config().accounts_file);
  EXPECT_EQ(accounts->find("carol")->password.text, upgraded->to_string());
  carol.finish.new_verifier.clear();
  EXPECT_EQ(status_of_login(carol), Status::kLoginOk) << "by SCRAM now";
}

TEST_F(LoginTest, DoesNotUpgradeWithoutTheProof) {
  server_.edit_accounts([](AccountsEdit& edit) -> Result<> {
    if (Result<> done = edit.add("carol"); !done) return done;
    return edit.set_password("carol", prehash_md5("christmas"));
  });
  TestLogin carol{.user = "carol", .secret = "easter", .finish = {}};
  carol.finish.new_verifier = make_verifier("mine", ServerConfig::kScramIterationsMin)->to_string();
  EXPECT_EQ(status_of_login(carol), Status::kLoginRefused);
  const auto accounts = Accounts::load(server_.config().accounts_file);
  EXPECT_EQ(accounts->find("carol")->password.kind, PasswordKind::kLegacyMd5);
}

TEST_F(LoginTest, LogsInByADeviceTokenUntilItIsRevoked) {
  TestClient first(server_.port());
  TestLogin login = alice();
  login.finish.wants_token = true;
  login.finish.device = "laptop";
  const auto session = first.log_in(login);
  ASSERT_TRUE(session && session->token);

  TestLogin by_token = alice("by-token");
  by_token.token_id = session->token->id;
  by_token.secret = session->token->secret;
  TestClient second(server_.port());
  ASSERT_TRUE(second.log_in(by_token));

  const auto listed = first.call(Op::kToken, encode_json(TokenRequest{}));
  ASSERT_TRUE(listed);
  const auto tokens = decode_json<TokenReply>(listed->bytes())->tokens;
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens[0].name, "laptop");
  EXPECT_GT(tokens[0].last_used, 0u);

  ASSERT_TRUE(first.call(Op::kToken, encode_json(TokenRequest{.action = TokenAction::kRevoke,
                                                              .id = session->token->id})));
  EXPECT_TRUE(second.wait_closed()) << "its session ends with it";
  EXPECT_EQ(status_of_login(by_token), Status::kLoginRefused);
  EXPECT_TRUE(first.call(Op::kPing, {}));
}

TEST_F(LoginTest, GoesByWhatTheAccountIsWhenTheSecretIsProven) {
  server_.add_user("carol", "tenor", 4096);
  const auto late = [&](const std::function<Result<>(AccountsEdit&)>& change) {
    TestLogin login{.user = "carol", .secret = "tenor", .finish = {.client_id = "c"}};
    login.before_proof = [&] { server_.edit_accounts(change); };
    return login;
  };
  {
    TestClient client(server_.port());
    const auto session =
        client.log_in(late([](AccountsEdit& edit) { return edit.set_total_space("carol", 8192); }));
    ASSERT_TRUE(session);
    EXPECT_EQ(session->home.quota_bytes, 8192u);
  }
  EXPECT_EQ(status_of_login(late([](AccountsEdit& edit) {
              return edit.set_password("carol", edit.password("alice"));
            })),
            Status::kLoginRefused);
  TestLogin login = alice();
  login.before_proof = [&] {
    server_.edit_accounts([](AccountsEdit& edit) { return edit.set_disabled("alice", true); });
  };
  EXPECT_EQ(status_of_login(login), Status::kAccountDisabled);
}

TEST_F(LoginTest, DoesNotTakeATokenThatIsRevokedMeanwhile) {
  TestClient first(server_.port());
  TestLogin with_token = alice();
  with_token.finish.wants_token = true;
  const auto session = first.log_in(with_token);
  ASSERT_TRUE(session && session->token);
  TestLogin by_token = alice("other");
  by_token.token_id = session->token->id;
  by_token.secret = session->token->secret;
  by_token.before_proof = [&] {
    EXPECT_TRUE(first.call(Op::kToken, encode_json(TokenRequest{.action = TokenAction::kRevoke,
                                                                .id = session->token->id})));
  };
  EXPECT_EQ(status_of_login(by_token), Status::kLoginRefused);
}

TEST_F(LoginTest, OpensTheHomeAnewOfAnAccountThatWasMadeAnew) {
  {
    TestClient client(server_.port());
    ASSERT_TRUE(client.log_in(alice()));
    ASSERT_TRUE(client.ask<EntryReply>(Op::kMkdir, mkdir_of("before", 2), 1));
  }
  // As `homefsd user remove --delete-files` and `user add` do it, while the home is open.
  ASSERT_TRUE(delete_home(server_.config().homes_dir, "alice"));
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in(alice()));
  EXPECT_TRUE(client.ask<EntryReply>(Op::kMkdir, mkdir_of("after", 2), 1));
  EXPECT_TRUE(std::filesystem::is_directory(in_home("after")));
  EXPECT_FALSE(std::filesystem::exists(in_home("before")));
}

TEST_F(LoginTest, TakesATokenForItsOwnUserOnly) {
  TestClient client(server_.port());
  TestLogin login = alice();
  login.finish.wants_token = true;
  const auto session = client.log_in(login);
  ASSERT_TRUE(session && session->token);
  TestLogin stolen = bob();
  stolen.token_id = session->token->id;
  stolen.secret = session->token->secret;
  EXPECT_EQ(status_of_login(stolen), Status::kLoginRefused);
}

TEST_F(LoginTest, DoesNotTakeThePasswordForTheSecretOfAToken) {
  TestLogin mixed = alice();
  mixed.token_id = "0123456789abcdef";
  EXPECT_EQ(status_of_login(mixed), Status::kLoginRefused);
}

TEST_F(LoginTest, TellsANewQuotaToTheSessionsOfTheHome) {
  server_.add_user("carol", "tenor", 4096);
  TestClient client(server_.port());
  ASSERT_TRUE(client.log_in({.user = "carol", .secret = "tenor", .finish = {.client_id = "c"}}));
  const auto limit_told = [&client]() -> std::uint64_t {
    const auto event = client.event(Op::kQuotaChanged);
    return event ? decode_all<QuotaEvent>(event->bytes())->grant.limit : 0;
  };
  const auto status_of_write = [&client](std::uint64_t offset, std::size_t bytes) {
    const auto reply = client.call(write_of(2, offset, std::string(bytes, 'x')));
    return reply ? Status::kOk : reply.error().status;
  };
  const auto set_quota = [this](std::uint64_t bytes) {
    server_.edit_accounts([&](AccountsEdit& edit) { return edit.set_total_space("carol", bytes); });
  };
  EXPECT_EQ(limit_told(), 4096u) << "the one behind the login";
  ASSERT_TRUE(client.ask<EntryReply>(Op::kCreate, create_of("f", 2), 1));
  EXPECT_EQ(status_of_write(0, 4097), Status::kOverQuota);
  set_quota(8192);
  EXPECT_EQ(limit_told(), 8192u);
  EXPECT_EQ(status_of_write(0, 8193), Status::kOverQuota);
  EXPECT_EQ(status_of_write(0, 8192), Status::kOk);
  set_quota(4096);  // below what is used: nothing is lost, nothing more fits
  EXPECT_EQ(limit_told(), 4096u);
  EXPECT_EQ(status_of_write(8192, 1), Status::kOverQuota);
  EXPECT_EQ(status_of_write(0, 8192), Status::kOk);
}

TEST(LoginDelays, DoNotHoldUpOthers) {
  TestServer server;
  server.add_user("alice", "wonderland");
  // More failures at once than there are threads: their answers are held back, the threads not.
  std::vector<std::unique_ptr<TestClient>> failing;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) failing.push_back(std::make_unique<TestClient>(server.port()));
  for (auto& client : failing) {
    threads.emplace_back(
        [&client] { (void)client->log_in({.user = "mallory", .secret = "x", .finish = {}}); });
  }
  TestClient good(server.port());
  EXPECT_TRUE(good.log_in(alice()));
}

}  // namespace
}  // namespace homefs::testing
