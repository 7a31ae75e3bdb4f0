// ClientSlot: under which client id a command logs in. Commands that run beside each other, and a
// mount, need one each: a login ends the sessions of its client id that have lost their connection.
// One that was killed leaves its slot to the next, which so ends the session, grant and locks of
// the dead.
//
// Owner: RemoteSession. Executor: the main thread. Blocks: on the disk.
#pragma once

#include <filesystem>
#include <string>

#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class ClientSlot {
 public:
  /// The first slot of the state folder that nobody uses. When all are in use: an id of its own
  /// that no later command has.
  static Result<ClientSlot> acquire(const std::filesystem::path& folder);

  [[nodiscard]] const std::string& client_id() const { return client_id_; }

 private:
  ClientSlot(UniqueFd file, std::string client_id)
      : file_(std::move(file)), client_id_(std::move(client_id)) {}

  UniqueFd file_;  // its lock goes with it
  std::string client_id_;
};

}  // namespace homefs
