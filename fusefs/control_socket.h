// The control socket of a mount: how `homefs status` and `homefs umount` talk to its daemon. One
// line of JSON asks, one line answers, and the connection ends.
//
//   {"ask":"connect"} ->  {}
//   {"ask":"status"}  ->  {"profile":"files","mountpoint":"/home/alice/Remote", ... }
//
// Only its owner can connect: it lies in a folder of 0700. Questions are answered one at a time,
// from figures that are at hand, so that status works while the network does not.
//
// Owner: the mount command. Executor: thread-safe; providers run on its thread, "homefs-control".
// Blocks: remove_status(), until a provider that runs has returned, and the destructor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fusefs/connect_socket.h"
#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class ControlSocket {
 public:
  using StatusOf = std::function<nlohmann::json()>;

  /// Listens at `path`; a socket that a killed daemon has left there is replaced.
  /// Errors: kBusy when a daemon answers there, those of the socket.
  static Result<std::unique_ptr<ControlSocket>> listen(std::filesystem::path path);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  /// What `status_of` returns stands in the answer to "status" under `section`. It must not block.
  void add_status(std::string section, StatusOf status_of);
  void remove_status(const std::string& section);
  /// What "connect" asks for: to try at once. It must not block.
  void on_connect(std::function<void()> connect);

 private:
  ControlSocket(std::filesystem::path path, UniqueFd listener);
  void run();
  void serve(int connection);
  [[nodiscard]] nlohmann::json answer(const std::string& question);

  const std::filesystem::path path_;
  const UniqueFd listener_;
  BreakSignal stopping_;
  std::mutex mutex_;                                         // held while providers run
  std::vector<std::pair<std::string, StatusOf>> providers_;  // guarded by mutex_
  std::function<void()> connect_;                            // guarded by mutex_
  std::thread thread_;
};

/// Asks the daemon at `path`. Errors: kNoSuchFile, kDisconnected (nobody listens there), kTimedOut,
/// kProtocolError. Blocks for up to kControlDeadline.
Result<nlohmann::json> ask_control(const std::filesystem::path& path,
                                   const nlohmann::json& question);

inline constexpr std::chrono::seconds kControlDeadline{2};

}  // namespace homefs
