#include "tests/support/server/test_server.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "config/accounts.h"
#include "protocol/scram_crypto.h"
#include "server/log.h"

namespace homefs::testing {

TestServer::TestServer(const std::function<void(ServerConfig&)>& adjust) {
  std::string pattern = ::testing::TempDir() + "homefsd.XXXXXX";
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  config_.listen.addresses = {"127.0.0.1"};
  config_.listen.port = 0;
  config_.data_dir = folder_ / "data";
  config_.homes_dir = folder_ / "homes";
  config_.accounts_file = folder_ / "accounts.ini";
  config_.tls = {.key_file = folder_ / "server.key", .certificate_file = folder_ / "server.crt"};
  config_.login.scram_iterations = kScramIterationsMin;
  config_.log.level = LogLevel::kError;
  if (const char* level = std::getenv("HOMEFS_TEST_LOG"); level != nullptr) {
    config_.log.level = LogLevel::kDebug;
  }
  if (adjust) adjust(config_);
  EXPECT_TRUE(start_log(config_.log));
  start();
}

TestServer::~TestServer() {
  server_.reset();
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

void TestServer::start() {
  Result<std::unique_ptr<Server>> server = Server::make(config_);
  ASSERT_TRUE(server) << server.error().message();
  server_ = std::move(*server);
  const Result<void> started = server_->start();
  ASSERT_TRUE(started) << started.error().message();
}

void TestServer::stop() { server_.reset(); }

void TestServer::add_user(const std::string& name, const std::string& password,
                          std::uint64_t quota) {
  const Result<ScramVerifier> verifier = make_verifier(password, kScramIterationsMin);
  ASSERT_TRUE(verifier);
  edit_accounts([&](AccountsEdit& edit) -> Result<> {
    if (Result<> done = edit.add(name); !done) return done;
    if (Result<> done = edit.set_total_space(name, quota); !done) return done;
    return edit.set_password(name, verifier->to_string());
  });
}

void TestServer::edit_accounts(const std::function<Result<>(AccountsEdit&)>& change) {
  const Result<> done = homefs::edit_accounts(config_.accounts_file, change);
  ASSERT_TRUE(done) << done.error().message();
}

}  // namespace homefs::testing
