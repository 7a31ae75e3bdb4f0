#include "fusefs/cli/connect_plan.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "config/token_store.h"
#include "fusefs/cli/exit_status.h"
#include "fusefs/cli/server_pins.h"

namespace homefs {
namespace {

constexpr const char* kKey = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

class ConnectPlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/homefs-plan-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    const ClientEnvironment environment{.config_home = name + "/config",
                                        .state_home = name + "/state",
                                        .runtime_dir = name + "/run",
                                        .home = name,
                                        .uid = ::getuid()};
    paths_ = std::make_unique<ClientPaths>(*ClientPaths::make(environment));
    (void)::unsetenv("CREDENTIALS_DIRECTORY");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string secret(const std::string& text, mode_t mode = 0600) {
    const auto path = folder_ / "secret";
    std::ofstream(path) << text;
    (void)::chmod(path.c_str(), mode);
    return path;
  }
  Result<ConnectPlan> plan(const LoginFlags& flags, const std::string& target,
                           PlanNeeds needs = {}) {
    return make_connect_plan(*paths_, flags, target, needs);
  }
  std::string error(const LoginFlags& flags, const std::string& target) {
    const auto made = plan(flags, target, {.credentials = false});
    if (made) return "";
    EXPECT_EQ(exit_status_of(made.error()), ExitStatus::kUsage);
    return made.error().context;
  }

  std::filesystem::path folder_;
  std::unique_ptr<ClientPaths> paths_;
};

TEST_F(ConnectPlanTest, TakesTheFlagsOfTheOlderClient) {
  const auto made = plan({.host = "Files", .port = "71", .user = "alice", .password = "x"}, "");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->target.text(), "alice@files:71");
  EXPECT_EQ(made->credentials.password, "x");
}

TEST_F(ConnectPlanTest, LetsFlagsCorrectTheTarget) {
  const auto made = plan({.port = "71", .user = "bob", .password = "x"}, "alice@files:70/work");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->target.text(), "bob@files:71/work");
}

TEST_F(ConnectPlanTest, RefusesWhatItCannotUse) {
  EXPECT_NE(error({}, "").find("no server is named"), std::string::npos);
  EXPECT_NE(error({.host = "b"}, "a@b").find("named twice"), std::string::npos);
  EXPECT_NE(error({.port = "0"}, "a@b").find("-P: "), std::string::npos);
  EXPECT_NE(error({.host = "a b"}, "").find("-s: "), std::string::npos);
  EXPECT_NE(error({.user = "../x"}, "b").find("the user: "), std::string::npos);
  EXPECT_NE(error({.profile = "nope"}, "").find("there is no profile \"nope\""), std::string::npos);
  EXPECT_NE(error({.pin = "SHA256:short"}, "a@b").find("SHA256"), std::string::npos);
}

TEST_F(ConnectPlanTest, TakesTheFirstWayToAPasswordThatThereIs) {
  const auto target = *parse_target("alice@files");
  ASSERT_TRUE(TokenStore(paths_->tokens_dir()).save(token_name(target), "id:token-secret"));
  const std::string file = secret("from file\n");
  EXPECT_EQ(plan({.password = "flag", .password_file = file}, "alice@files")->credentials.password,
            "flag");
  EXPECT_EQ(plan({.password_file = file}, "alice@files")->credentials.password, "from file");
  const auto by_token = plan({}, "alice@files");
  ASSERT_TRUE(by_token);
  EXPECT_EQ(by_token->credentials.token_id, "id");
  EXPECT_EQ(by_token->credentials.token_secret, "token-secret");
}

TEST_F(ConnectPlanTest, TakesThePasswordThatSystemdHandsOver) {
  std::ofstream(folder_ / "homefs-password") << "from systemd";
  (void)::chmod((folder_ / "homefs-password").c_str(), 0400);
  (void)::setenv("CREDENTIALS_DIRECTORY", folder_.c_str(), 1);
  EXPECT_EQ(plan({}, "alice@files")->credentials.password, "from systemd");
  (void)::unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_F(ConnectPlanTest, RefusesAPasswordFileThatEverybodyCanRead) {
  const auto made = plan({.password_file = secret("x", 0644)}, "alice@files");
  EXPECT_EQ(made.error().status, Status::kNotLoggedIn);
}

TEST_F(ConnectPlanTest, KnowsTheServersThatWerePinned) {
  const auto target = *parse_target("alice@files:71");
  EXPECT_EQ(*pinned_fingerprint(*paths_, target), "");
  ASSERT_TRUE(remember_server(*paths_, target, kKey));
  EXPECT_EQ(*pinned_fingerprint(*paths_, target), kKey);
  EXPECT_EQ(plan({.password = "x"}, "alice@files:71")->trust.pinned, kKey);
  EXPECT_EQ(plan({.password = "x"}, "alice@files:72")->trust.pinned, "");
  const std::string other = "sha256:" + std::string(64, 'f');
  EXPECT_EQ(plan({.password = "x", .pin = other}, "alice@files:71")->trust.pinned,
            *normalize_fingerprint(other))
      << "--pin wins";
}

TEST_F(ConnectPlanTest, FindsATokenAndAKeyThatWereTakenSince) {
  const LoginFlags flags{.password_file = {}, .profile = {}};
  const auto target = *parse_target("alice@files:71");
  ASSERT_TRUE(TokenStore(paths_->tokens_dir()).save(token_name(target), "old:secret"));
  const auto made = plan(flags, "alice@files:71");
  ASSERT_TRUE(made);
  ASSERT_TRUE(TokenStore(paths_->tokens_dir()).save(token_name(target), "new:secret"));
  ASSERT_TRUE(remember_server(*paths_, target, kKey));
  LoginMeans means = current_means(*paths_, flags, *made);
  EXPECT_EQ(means.credentials.user, "alice");
  EXPECT_EQ(means.credentials.token_id, "new");
  EXPECT_EQ(means.trust.pinned, kKey);

  ASSERT_TRUE(TokenStore(paths_->tokens_dir()).remove(token_name(target)));
  means = current_means(*paths_, flags, *made);
  EXPECT_EQ(means.credentials.token_id, "old") << "what is gone stays as it was";

  const LoginFlags by_hand{.password = "x", .pin = "sha256:" + std::string(64, 'f')};
  means = current_means(*paths_, by_hand, *plan(by_hand, "alice@files:71"));
  EXPECT_EQ(means.credentials.password, "x");
  EXPECT_NE(means.trust.pinned, kKey) << "--pin is no line of known_servers";
}

TEST_F(ConnectPlanTest, KeepsTheClientIdOfAStateFolder) {
  const auto made = plan({.password = "x"}, "alice@files");
  const auto first = link_options_of(*paths_, {}, *made);
  const auto second = link_options_of(*paths_, {}, *made);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(first->client_id.empty());
  EXPECT_EQ(first->client_id, second->client_id);
  EXPECT_NE(link_options_of(*paths_, {}, *plan({.password = "x"}, "bob@files"))->client_id,
            first->client_id);
}

TEST(StateName, IsAFolderNameThatKeepsTargetsApart) {
  EXPECT_EQ(state_name_of(*parse_target("alice@files.example.org")),
            "alice-files.example.org-7070");
  const auto slash = state_name_of(*parse_target("alice@files/a/b"));
  const auto underscore = state_name_of(*parse_target("alice@files/a_b"));
  EXPECT_EQ(slash.find('/'), std::string::npos);
  EXPECT_NE(slash, underscore);
  EXPECT_LE(state_name_of(*parse_target("alice@" + std::string(60, 'x') + ".org")).size(), 64U);
}

TEST(ServerPins, ExplainEachFailureWithWhatToDo) {
  const auto paths = *ClientPaths::make({.home = "/home/alice", .uid = 1});
  const auto target = *parse_target("alice@files");
  const auto text = [&](Status status) {
    return explain_connect_error({status, "it is SHA256:x"}, target, paths);
  };
  EXPECT_NE(text(Status::kServerKeyUnknown).find("homefs login alice@files"), std::string::npos);
  EXPECT_NE(text(Status::kServerKeyChanged).find("/home/alice/.config/homefs/known_servers"),
            std::string::npos);
  EXPECT_NE(text(Status::kLoginRefused).find("homefs login"), std::string::npos);
  EXPECT_NE(text(Status::kDisconnected).find("check the name"), std::string::npos);
  for (const Status status : {Status::kServerKeyUnknown, Status::kServerKeyChanged,
                              Status::kLoginRefused, Status::kDisconnected}) {
    EXPECT_EQ(text(status).find('\n'), std::string::npos);
  }
}

TEST(ExitStatus, TellsTheKindsOfFailureApart) {
  EXPECT_EQ(exit_status_of({Status::kInvalid, ""}), ExitStatus::kUsage);
  EXPECT_EQ(exit_status_of({Status::kConfigError, ""}), ExitStatus::kUsage);
  EXPECT_EQ(exit_status_of({Status::kLoginRefused, ""}), ExitStatus::kLoginRefused);
  EXPECT_EQ(exit_status_of({Status::kNotLoggedIn, ""}), ExitStatus::kLoginRefused);
  EXPECT_EQ(exit_status_of({Status::kServerKeyChanged, ""}), ExitStatus::kServerKey);
  EXPECT_EQ(exit_status_of({Status::kDisconnected, ""}), ExitStatus::kNoConnection);
  EXPECT_EQ(exit_status_of({Status::kBusy, ""}), ExitStatus::kBusy);
  EXPECT_EQ(exit_status_of({Status::kIoError, ""}), ExitStatus::kFailed);
}

}  // namespace
}  // namespace homefs
