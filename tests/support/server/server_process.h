// A homefsd that is a process of its own, so that it can be killed, with one user, alice.
//
// Owner: the test. Executor: the test's thread. Blocks: until the process answers or has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace homefs::testing {

class ServerProcess {
 public:
  /// `program`: the path of homefsd. Its data is in a folder that goes with this.
  explicit ServerProcess(std::string program);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// Starts it and returns when it answers. `crash_at`: as HOMEFS_CRASH_AT says, or empty.
  void start(const std::string& crash_at = {});
  /// Kills it, if it has not been killed already, and waits for its end.
  void kill();
  /// Ends it in order.
  void stop();
  /// Waits until it was killed at a crash point. False when it ends or runs on.
  bool wait_killed();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::filesystem::path home() const { return folder_ / "homes" / "alice"; }
  [[nodiscard]] std::filesystem::path orphans() const {
    return folder_ / "homes" / ".orphans" / "alice";
  }
  [[nodiscard]] std::filesystem::path sessions() const { return folder_ / "data" / "sessions"; }

 private:
  const std::string program_;
  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace homefs::testing
