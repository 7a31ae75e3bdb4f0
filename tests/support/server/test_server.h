// A whole server in the test's process, on a free port of the loopback, with its data in a folder
// of its own that goes with it.
//
// Owner: the test. Executor: the test's thread. Blocks: as Server does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "config/server_config.h"
#include "server/server.h"

namespace homefs::testing {

class TestServer {
 public:
  /// `adjust` may change the config before the server starts.
  explicit TestServer(const std::function<void(ServerConfig&)>& adjust = {});
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  /// Makes an account with few rounds, so that tests are quick.
  void add_user(const std::string& name, const std::string& password, std::uint64_t quota = 0);
  /// Changes accounts.ini; logins see it at once, the housekeeper within about a second.
  void edit_accounts(const std::function<Result<>(AccountsEdit&)>& change);

  void start();
  void stop();

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] Server& server() { return *server_; }
  [[nodiscard]] const ServerConfig& config() const { return config_; }
  [[nodiscard]] std::filesystem::path home_of(const std::string& name) const {
    return config_.homes_dir / name;
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  ServerConfig config_;
  std::unique_ptr<Server> server_;
};

}  // namespace homefs::testing
