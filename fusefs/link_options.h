// What a ServerLink has to know before it can connect, and what the login has told it.
//
// Executor: values. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "fusefs/connect_socket.h"
#include "protocol/ids.h"
#include "protocol/io_threads.h"
#include "protocol/limits.h"

namespace homefs {

/// Of a program that has one link. One thread decrypts one connection at a time: two keep the
/// control connection answering while bulk data comes in.
inline constexpr IoThreads::Counts kLinkThreads{.net = 2, .io = 2};

/// What to log in with: the device token if there is one, else the password.
struct Credentials {
  std::string user;
  std::string password;
  std::string token_id;  ///< empty: none
  std::string token_secret;
};

/// Which server key is accepted.
struct ServerTrust {
  std::string pinned;  ///< "SHA256:..."; empty: the server is not known yet
  /// An unknown key is accepted; a changed one never is. The caller pins it after the login, which
  /// proves that the server knows the user's verifier.
  bool accept_new = false;
};

/// What a login needs, as it is on this machine now.
struct LoginMeans {
  Credentials credentials;
  ServerTrust trust;
};

struct LinkTimes {
  std::chrono::milliseconds connect_deadline{10000};  ///< of each step: TCP, TLS, each exchange
  std::chrono::milliseconds keepalive{kKeepAliveDefault};
  /// Soft: a program gets an error after this, and a call that changes nothing fails. Hard, where
  /// not set: it waits.
  std::optional<std::chrono::milliseconds> timeo;
  std::chrono::milliseconds backoff_first{100};
  std::chrono::milliseconds backoff_max{15000};
  std::chrono::milliseconds tick{1000};  ///< how often health and timeo are looked at
};

struct LinkOptions {
  ConnectTarget server;
  Credentials credentials;
  ServerTrust trust;
  std::string client_id;     ///< stays the same for one profile on one machine
  std::string device;        ///< how the user calls this machine
  std::string subdir;        ///< the folder of the home that becomes the root; empty: the home
  bool wants_token = false;  ///< ServerLink::session() has a device token then
  /// A block of a write arrived damaged, for the `attempt`th time; on the thread that heard of it.
  std::function<void(NodeId node, std::uint64_t offset, int attempt)> on_write_mismatch;
  unsigned bulk_connections = 1;
  /// Asked before each connection but the first, on the thread that connects: a new token, or
  /// another key of the server, may have been taken since. Not set: they stay as they are.
  std::function<LoginMeans()> renew;
  /// A connection is up again after a break; on the thread that connects.
  std::function<void()> on_reconnected;
  LinkTimes times;
};

}  // namespace homefs
