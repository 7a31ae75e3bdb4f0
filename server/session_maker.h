// Makes sessions: for a login, or from what the last run of the server has left of one.
//
// Owner: the server. Executor: thread-safe. Blocks: on the disk of the home and the database.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/accounts_file.h"
#include "protocol/guarded.h"
#include "protocol/result.h"
#include "protocol/scram_crypto.h"
#include "server/home_registry.h"
#include "server/saved_session.h"
#include "server/session_registry.h"
#include "server/session_store.h"
#include "server/state_db.h"

namespace homefs {

/// What the config says about logins and sessions; values that a reload may change.
struct LoginSettings {
  bool reveals_unknown_users = false;
  std::uint32_t scram_iterations = kScramIterationsDefault;
  std::chrono::seconds keepalive{10};
  std::chrono::seconds linger{600};
  SessionLimits limits;
};

/// What is known of a session before there is one.
struct SessionRequest {
  const Account& account;
  std::string client_id;
  std::string token_id;
  std::string subdir;
};

class SessionMaker {
 public:
  struct Parts {
    boost::asio::any_io_executor executor;
    boost::asio::any_io_executor digest_executor;
    SessionOwner& owner;
    AccountsFile& accounts;
    StateDb& state;
    SessionRegistry& sessions;
    SavedSessions& saved;
    const SessionStore& store;
    HomeRegistry& homes;
    Guarded<LoginSettings>& settings;
  };

  explicit SessionMaker(Parts parts) : parts_(std::move(parts)) {}

  /// Takes over what the last run has left, and settles what it has left in doubt.
  void load(std::vector<SavedSession> sessions);
  /// For HomeRegistryOptions::on_open: settles the changes of saved sessions in this home that may
  /// have been done or not.
  void settle_doubts(const std::string& account, Home& home);

  /// A new session, in the registry and not yet in the coherence of its home. Those of the same
  /// client that have no connection end: it has come back without them.
  /// Errors: kTooManySessions, those of the home, kNoSuchDirectory and others of the subdir.
  Result<std::shared_ptr<Session>> make(const SessionRequest& request);

  /// The secret of a session that was saved; null when there is none of this id.
  [[nodiscard]] std::optional<SessionSecret> saved_secret(const SessionId& id);
  /// Forgets the saved sessions whose time is over, and gives their locks free.
  void drop_expired(SavedSessions::Clock::time_point now);
  /// Takes a saved session up. The caller has seen the proof of its secret.
  /// Errors: kSessionUnknown when its account or token is gone, or another resume was faster.
  Result<std::shared_ptr<Session>> restore(const SessionId& id);

  /// Whether its device token is there still, and its account is no new one of the same name.
  /// Errors: those of the database.
  Result<bool> has_access(const SessionIdentity& identity);

 private:
  void add_files(SessionSetup& setup) const;
  Result<void> check_access(const SessionIdentity& identity);
  Result<std::shared_ptr<Session>> make_session(std::shared_ptr<LiveHome> home, SessionSetup setup);
  void reserve_locks(const std::string& account, LiveHome& home);
  void drop(const std::vector<SavedSessionRef>& sessions);

  Parts parts_;
  // Held while saved sessions, and the locks that are reserved for them, come and go together.
  // Taken before any other lock, and over the disk of a home.
  std::mutex saved_mutex_;
};

}  // namespace homefs
