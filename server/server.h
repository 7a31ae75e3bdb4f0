// The server: puts its parts together, starts them in order and stops them in the reverse order.
//
// Owner: main, or a test. Executor: one thread, except what says otherwise. Blocks: make() and
// start() on the disk, stop() until what is in flight is done or kStopDeadline has passed.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/accounts_file.h"
#include "config/server_config.h"
#include "protocol/buffer.h"
#include "protocol/channel.h"
#include "protocol/result.h"
#include "server/change_counts.h"
#include "server/data_folder.h"
#include "server/home_registry.h"
#include "server/legacy_verifiers.h"
#include "server/listener.h"
#include "server/login_dialog.h"
#include "server/login_throttle.h"
#include "server/saved_session.h"
#include "server/session_maker.h"
#include "server/session_registry.h"
#include "server/session_store.h"
#include "server/state_db.h"

namespace homefs {

/// How long a stop waits for requests in flight; systemd's own deadline is 90 s.
inline constexpr std::chrono::seconds kStopDeadline{10};

class Server final : public SessionOwner {
 public:
  /// Takes the data folder, makes what is missing in it (key, certificate, database), reads the
  /// accounts. Errors: kBusy (another server has the folder), kConfigError, those of the disk.
  static Result<std::unique_ptr<Server>> make(ServerConfig config);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Listens and serves. kConfigError when an address cannot be bound.
  Result<void> start();
  /// Lets nobody in any more, says so to everybody, finishes what is in flight. Idempotent.
  void stop();
  /// Applies those settings of `config` that can change: login, session, and the accounts.
  void reload(const ServerConfig& config);

  /// Of the server's key, "SHA256:...".
  [[nodiscard]] const std::string& fingerprint() const { return tls_.fingerprint(); }
  /// The port that is listened on. Precondition: start() succeeded.
  [[nodiscard]] std::uint16_t port() const { return listener_->port(); }
  /// Whether the io threads still run what is posted to them, found out by doing it: the sign of
  /// life for the watchdog.
  [[nodiscard]] bool is_alive();
  /// Writes to the log what this process has done so far. Thread-safe.
  void log_figures() const { change_counts_.log(); }
  [[nodiscard]] SessionRegistry& sessions() { return sessions_; }

  // ---- SessionOwner ----
  void end_session(Session& session, Error why) override;
  void note_change(Op op, Status status) override { change_counts_.add(op, status); }
  Reply handle_token(Session& session, const InFrame& request) override;
  void answered_revocation() override;

 private:
  struct Made;
  Server(ServerConfig config, Made made);

  [[nodiscard]] LoginParts login_parts();
  void take_socket(UniqueFd socket, LoginSlots::Slot slot);
  // The housekeeper: once a second, on a thread of its own, since it waits for the disk.
  void keep_house();
  void apply_accounts();
  void prepare_legacy_verifier();
  void open_home_to_sweep();
  void take_up_changes();
  void end_sessions_without_access();
  void carry_out_orders();
  void tell_quota(const std::string& account);
  Result<void> make_durable();
  void wait_until_answered();
  void wait_until_disconnected();

  // Handlers that have not run are dropped with io_, and may be the last owners of sessions, whose
  // homes write to the database then: what these use stands before io_, what uses io_ behind it.
  const ServerConfig config_;
  const DataFolder folder_;
  const TlsContext tls_;
  const std::vector<std::byte> secret_;                          // of names that no account has
  const std::uint64_t incarnation_;                              // of this process
  const std::shared_ptr<BufferPool> buffers_;                    // owners: this, and the buffers
  const std::shared_ptr<std::atomic<std::size_t>> connections_;  // of sessions; owners: they too
  const std::unique_ptr<StateDb> state_;
  SessionStore store_;
  AccountsFile accounts_;
  LoginThrottle throttle_;
  LegacyVerifiers legacy_;
  ChangeCounts change_counts_;
  const IoThreads::Counts thread_counts_;
  IoThreads io_;
  boost::asio::thread_pool digests_;  // reads whole files: io_ has its threads for what is brief
  const boost::asio::any_io_executor slow_executor_;  // a strand: what computes long, one by one
  Guarded<LoginSettings> settings_;
  SessionRegistry sessions_;
  SavedSessions saved_;
  HomeRegistry homes_;
  SessionMaker maker_;
  std::shared_ptr<Listener> listener_;  // owners: this, and handlers on its strand

  std::shared_ptr<const Accounts> accounts_applied_;  // of the housekeeper
  std::int64_t state_change_ = 0;                     // of the housekeeper
  std::vector<std::string> homes_to_sweep_;           // of the housekeeper
  std::atomic<bool> must_check_access_{false};        // of some session it could not be done
  std::shared_ptr<std::atomic<bool>> has_answered_;   // of is_alive()

  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  bool is_stopping_ = false;  // guarded by stop_mutex_
  std::jthread housekeeper_;
};

}  // namespace homefs
