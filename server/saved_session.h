// Sessions of an earlier run of the server, until their clients are back. Node numbers and the
// grant are gone then, as the protocol says; what counts is that no change is applied twice, and
// none is lost.
//
// Owner: SavedSessions: the server. Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"
#include "server/lock_log.h"
#include "server/lock_table.h"
#include "server/session_record.h"

namespace homefs {

struct LiveHome;

struct SavedSession {
  SessionIdentity identity;
  std::vector<SavedLock> locks;
  std::unique_ptr<LockLog> lock_log;
  std::unique_ptr<SessionRecord> record;
};

/// One that waits for its client.
struct KeptSession : SavedSession {
  explicit KeptSession(SavedSession session) : SavedSession(std::move(session)) {}

  std::mutex mutex;  ///< held while `record` is used, or moved to who takes the session up
  /// Where it is expected: not the account's any more when that has got another folder. Guarded by
  /// the SessionMaker's mutex.
  std::weak_ptr<LiveHome> expected_in;
};

/// Owners: SavedSessions, and whoever works with it.
using SavedSessionRef = std::shared_ptr<KeptSession>;

class SavedSessions {
 public:
  using Clock = std::chrono::steady_clock;

  void put(SavedSession session, Clock::time_point expires);
  /// Null when there is no such session, or its time is over.
  [[nodiscard]] SavedSessionRef find(const SessionId& id);
  /// The same, and it is not there any more: for the one who takes it up.
  [[nodiscard]] SavedSessionRef take(const SessionId& id);
  /// Returns what was dropped; so does the next one.
  std::vector<SavedSessionRef> drop_expired(Clock::time_point now);
  /// A client has logged in without its session: it will not come back for it.
  std::vector<SavedSessionRef> drop_of_client(const std::string& account,
                                              const std::string& client_id);
  /// Those of an account, which may still be taken up.
  [[nodiscard]] std::vector<SavedSessionRef> of_account(const std::string& account);
  /// Accounts of sessions with a change that may have been done or not.
  [[nodiscard]] std::vector<std::string> accounts_in_doubt();
  [[nodiscard]] std::size_t size() { return entries_.lock()->size(); }

 private:
  struct Entry {
    SavedSessionRef session;
    Clock::time_point expires;
  };

  template <class IsOver>
  std::vector<SavedSessionRef> drop_if(IsOver is_over);

  Guarded<std::unordered_map<std::string, Entry>> entries_;  // by the hex of the id
};

}  // namespace homefs
