// Makes sessions: for a login, or from what the last run of the server has left of one.
//
// Owner: the server. Executor: thread-safe. Blocks: on the disk of the home and the database.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
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
  /// have been done or not. Errors: of one the disk does not tell now.
  Result<void> settle_doubts(const std::string& account, Home& home);

  /// A new session, in the registry and not yet in the coherence of its home. Those of the same
  /// client that have no connection end: it has come back without them. Saved sessions have their
  /// place in the limit.
  /// Errors: kTooManySessions, those of the home, kNoSuchDirectory and others of the subdir.
  Result<std::shared_ptr<Session>> make(const SessionRequest& request);

  /// A session as a resume finds it.
  struct Known {
    std::shared_ptr<Session> session;  ///< null: it is saved
    SessionSecret secret{};
  };
  /// Nothing: there is no such session, or its time is over.
  [[nodiscard]] std::optional<Known> find(const SessionId& id);
  /// Forgets the saved sessions whose time is over, and gives their locks free.
  void drop_expired(SavedSessions::Clock::time_point now);
  /// Takes a saved session up; one that another resume has taken up meanwhile is as good. The
  /// caller has seen the proof of its secret. Blocks: while its home is opened.
  /// Errors: kSessionUnknown when it is over: its account, its token or its folder is gone. All
  /// others are of the moment, and the session stays for the next try.
  Result<std::shared_ptr<Session>> restore(const SessionId& id);

  /// Whether its device token is there still, and its account is no new one of the same name.
  /// Errors: those of the database.
  Result<bool> has_access(const SessionIdentity& identity);
  /// Whether a session was let in whose access could not be checked; asked once. Then all have to
  /// be looked at.
  [[nodiscard]] bool take_unchecked() { return has_unchecked_.exchange(false); }

 private:
  void add_files(SessionSetup& setup) const;
  Result<void> check_access(const SessionIdentity& identity);
  Result<Account> account_of_saved(const SessionIdentity& identity);
  Result<std::shared_ptr<Session>> make_session(std::shared_ptr<LiveHome> home, SessionSetup setup);
  std::shared_ptr<Session> session_of(std::shared_ptr<LiveHome> home, SessionSetup setup);
  Result<std::shared_ptr<Session>> take_up(const SavedSessionRef& saved,
                                           std::shared_ptr<LiveHome> home);
  void expect_saved(const std::string& account, const std::shared_ptr<LiveHome>& home);
  static void begin_late(const SavedSessionRef& saved, LiveHome& home);
  static void expect_no_longer(KeptSession& saved);
  void drop(const std::vector<SavedSessionRef>& sessions);

  Parts parts_;
  // Held while saved sessions come and go, together with what is reserved for them in their home.
  // Taken before the locks of a home; a home is opened without it.
  std::mutex saved_mutex_;
  std::atomic<bool> has_unchecked_{false};
};

}  // namespace homefs
