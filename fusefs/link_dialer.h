// Makes the connections of a Link: finds the server, connects, judges its key, logs in or re-joins
// the session. One step after the other, in a thread that may wait.
//
// Owner: ServerLink. Executor: one thread at a time, but for interrupt() and reset_interrupt().
// Blocks: yes, each step for up to LinkTimes::connect_deadline.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "fusefs/link_connection.h"
#include "fusefs/link_login.h"
#include "fusefs/link_options.h"

namespace homefs {

class LinkDialer {
 public:
  LinkDialer(IoThreads& io, TlsContext tls, const LinkOptions& options, ConnectionOwner& owner);

  struct Dialed {
    std::shared_ptr<LinkConnection> connection;  ///< not adopted yet
    LinkSession session;
    bool is_same_session = false;
    /// The server's machine was off, not in good order, since it was last heard of.
    bool has_lost_power = false;
    Reconnected caches;  ///< what has become of them
  };

  /// The control connection: re-joins `session`, or logs in where there is none or the server has
  /// forgotten it. Errors: kDisconnected, kTimedOut (try again); kServerKeyUnknown,
  /// kServerKeyChanged; those of the login (kLoginRefused, ...).
  /// Replies to the session's seqs up to `seq_done` have arrived.
  Result<Dialed> dial_control(const std::optional<LinkSession>& session, std::uint64_t seq_done);
  /// The bulk connection number `place`, from 1 on, of `session`.
  Result<std::shared_ptr<LinkConnection>> dial_bulk(const LinkSession& session,
                                                    std::uint32_t place);

  /// Breaks what is under way and what comes, until reset_interrupt(). Thread-safe.
  void interrupt();
  void reset_interrupt();
  /// The same for ever.
  void shut_down();

  /// The key that the server showed last; empty before the first handshake.
  [[nodiscard]] std::string offered_fingerprint();

 private:
  Result<std::shared_ptr<LinkConnection>> open();
  void renew();
  Result<> judge_key(const std::string& fingerprint);
  [[nodiscard]] LoginStep step_of(LinkConnection& connection) const;
  void set_current(std::shared_ptr<LinkConnection> connection);

  IoThreads& io_;
  const TlsContext tls_;
  const LinkOptions& options_;
  ConnectionOwner& owner_;
  const std::shared_ptr<BufferPool> pool_;
  BreakSignal broken_;
  std::atomic<bool> is_shut_down_{false};
  std::uint64_t last_id_ = 0;
  Credentials credentials_;  // the dialing thread's

  std::mutex mutex_;
  std::shared_ptr<LinkConnection> current_;  // guarded by mutex_: being opened
  std::string offered_fingerprint_;          // guarded by mutex_
  std::string accepted_fingerprint_;         // the dialing thread's: stays pinned until another is
};

}  // namespace homefs
