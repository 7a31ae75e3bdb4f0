#include "tests/support/server/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "config/accounts_file.h"
#include "protocol/result.h"
#include "protocol/scram_crypto.h"
#include "protocol/unique_fd.h"

extern char** environ;

namespace homefs::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kDeadline{30};
constexpr std::chrono::milliseconds kPoll{2};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// One that nobody has at the moment.
std::uint16_t free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  HOMEFS_CHECK(socket);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(socket.get(), generic, length), 0);
  EXPECT_EQ(::getsockname(socket.get(), generic, &length), 0);
  return ntohs(address.sin_port);
}

bool answers(std::uint16_t port) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return socket &&
         ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

ServerProcess::ServerProcess(std::string program, bool preserves_owners)
    : program_(std::move(program)), port_(free_port()) {
  std::string pattern = ::testing::TempDir() + "homefsd.XXXXXX";
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  std::filesystem::create_directories(home());
  const nlohmann::json config = {
      {"listen", {{"address", "127.0.0.1"}, {"port", port_}}},
      {"data_dir", (folder_ / "data").string()},
      {"homes_dir", (folder_ / "homes").string()},
      {"accounts_file", (folder_ / "accounts.ini").string()},
      {"log", {{"to", "file"}, {"file", (folder_ / "log").string()}, {"level", "info"}}}};
  std::ofstream(folder_ / "homefsd.json") << config;
  const Result<ScramVerifier> verifier = make_verifier("wonderland", kScramIterationsMin);
  EXPECT_TRUE(verifier);
  const Result<> added =
      edit_accounts(folder_ / "accounts.ini", [&](AccountsEdit& edit) -> Result<> {
        if (Result<> done = edit.add("alice"); !done) return done;
        if (Result<> done = edit.set_preserve_owners("alice", preserves_owners); !done) return done;
        return edit.set_password("alice", verifier->to_string());
      });
  EXPECT_TRUE(added) << added.error().message();
}

ServerProcess::~ServerProcess() {
  kill();
  if (::testing::Test::HasFailure()) {
    std::ifstream log(folder_ / "log");
    std::cerr << log.rdbuf();
  }
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

void ServerProcess::start(const std::string& crash_at) {
  ASSERT_EQ(pid_, -1);
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    variables.emplace_back(*variable);
  if (!crash_at.empty()) variables.push_back("HOMEFS_CRASH_AT=" + crash_at);
  std::vector<std::string> words = {program_, "--config", (folder_ / "homefsd.json").string(),
                                    "serve"};
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  ASSERT_EQ(::posix_spawn(&pid_, program_.c_str(), nullptr, nullptr, pointers(words).data(),
                          pointers(variables).data()),
            0);
  const auto deadline = Clock::now() + kDeadline;
  while (!answers(port_)) {
    ASSERT_EQ(::waitpid(pid_, nullptr, WNOHANG), 0) << "it ended while it started";
    ASSERT_LT(Clock::now(), deadline) << "it does not answer";
    std::this_thread::sleep_for(kPoll);
  }
}

bool ServerProcess::wait_killed() {
  const auto deadline = Clock::now() + kDeadline;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  pid_ = -1;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void ServerProcess::kill() {
  if (pid_ == -1) return;
  (void)::kill(pid_, SIGKILL);
  (void)wait_killed();
}

void ServerProcess::stop() {
  (void)::kill(pid_, SIGTERM);
  EXPECT_FALSE(wait_killed()) << "it ended by itself";
}

}  // namespace homefs::testing
