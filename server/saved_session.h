// Sessions over a restart of the server: saved at an orderly stop, and taken up again when their
// clients resume, with their locks. Node numbers and the grant are gone then, as the protocol says;
// what counts is that no change is applied twice, and none is lost.
//
// They are saved by an orderly stop only, and taken out of the database at the start: a record that
// does not know what was applied since would be worse than none.
//
// Owner: SavedSessions: the server. Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"
#include "protocol/result.h"
#include "server/lock_table.h"
#include "server/replay_record.h"

namespace homefs {

struct SavedSession {
  SessionId id{};
  SessionSecret secret{};
  std::string account;
  std::string client_id;
  std::string token_id;
  std::string subdir;
  std::vector<SavedLock> locks;
  ReplayState replay;

  bool operator==(const SavedSession&) const = default;
};

/// Text for the database.
std::string encode_session(const SavedSession& session);
/// kInvalid for anything that encode_session() does not give.
Result<SavedSession> decode_session(const std::string& text);

class SavedSessions {
 public:
  using Clock = std::chrono::steady_clock;

  void put(SavedSession session, Clock::time_point expires);
  /// Nothing when there is no such session, or its time is over.
  [[nodiscard]] std::optional<SavedSession> find(const SessionId& id);
  /// The same, and it is not there any more: for the one who takes it up.
  [[nodiscard]] std::optional<SavedSession> take(const SessionId& id);
  /// Returns what was dropped; so does the next one.
  std::vector<SavedSession> drop_expired(Clock::time_point now);
  /// A client has logged in without its session: it will not come back for it.
  std::vector<SavedSession> drop_of_client(const std::string& account,
                                           const std::string& client_id);
  /// Those of an account, which may still be taken up.
  [[nodiscard]] std::vector<SavedSession> of_account(const std::string& account);
  /// Those that nobody came back for, for the next restart.
  [[nodiscard]] std::vector<SavedSession> take_all();

 private:
  struct Entry {
    SavedSession session;
    Clock::time_point expires;
  };

  template <class IsOver>
  std::vector<SavedSession> drop_if(IsOver is_over);

  Guarded<std::unordered_map<std::string, Entry>> entries_;  // by the bytes of the id
};

}  // namespace homefs
