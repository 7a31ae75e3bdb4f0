// RemoteSession: the connection of a command that works without a mount, from login to goodbye.
//
// Owner: the command. Executor: the main thread; its parts say their own. Blocks: open() and the
// destructor, on the network.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "fusefs/cli/client_slot.h"
#include "fusefs/cli/connect_plan.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/remote/remote_client.h"
#include "fusefs/server_link.h"
#include "fusefs/transfer/side_log.h"

namespace homefs {

class RemoteSession {
 public:
  /// Connects and logs in to `server` ([USER@]HOST[:PORT], or empty where `flags` say which).
  static std::expected<std::unique_ptr<RemoteSession>, Failure> open(const ClientPaths& paths,
                                                                     const LoginFlags& flags,
                                                                     const std::string& server);
  ~RemoteSession();
  RemoteSession(const RemoteSession&) = delete;
  RemoteSession& operator=(const RemoteSession&) = delete;

  [[nodiscard]] RemoteClient& client() { return *client_; }
  [[nodiscard]] ServerLink& link() { return *link_; }
  [[nodiscard]] SideLog& side_log() { return *side_log_; }
  [[nodiscard]] const std::string& client_id() const { return slot_.client_id(); }
  [[nodiscard]] const std::filesystem::path& state_folder() const { return state_folder_; }
  /// "alice@files.example.org"
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  RemoteSession(ClientSlot slot, std::filesystem::path state_folder, std::string name);

  ClientSlot slot_;
  const std::filesystem::path state_folder_;
  const std::string name_;
  std::unique_ptr<SideLog> side_log_;
  IoThreads io_{kLinkThreads};
  std::unique_ptr<ServerLink> link_;
  std::unique_ptr<RemoteClient> client_;
};

}  // namespace homefs
