// All sessions of the server, by their ids. A session leaves when its client says goodbye, breaks
// the protocol or stays away for longer than the linger time, and when its account or its device
// token is taken away.
//
// Owner: the server. Executor: thread-safe. Blocks: ending a session may, on the disk (the last
// owner of a session gives its files free).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"
#include "protocol/result.h"
#include "server/session.h"

namespace homefs {

class SessionRegistry {
 public:
  using SessionRef = std::shared_ptr<Session>;

  explicit SessionRegistry(std::size_t sessions_max) { set_sessions_max(sessions_max); }

  /// How many there may be. Those that are there stay.
  void set_sessions_max(std::size_t sessions_max) { state_.lock()->sessions_max = sessions_max; }

  /// kTooManySessions when the server has as many as it may, kGoingAway when it stops. `saved`:
  /// sessions that are to come back, whose places are taken.
  Result<void> add(SessionRef session, std::size_t saved = 0);
  /// One of those that were to come back. kGoingAway.
  Result<void> add_saved(SessionRef session);
  /// Null when there is none (any more).
  SessionRef find(const SessionId& id);

  /// Takes it out and closes it. Idempotent.
  void end(const Session& session, const Error& why);
  /// The client has come back without the sessions that it had: ends those that have no connection,
  /// and the others when they have lost theirs. (A client that was cut off and killed leaves one of
  /// which the server does not know yet that it is dead.)
  void end_idle_of_client(const std::string& account, const std::string& client_id);
  /// Ends all that `is_over` says are. Returns how many.
  std::size_t end_if(const std::function<bool(Session&)>& is_over, const Error& why);
  /// Ends those that have been without a connection since before `limit`, or that are superseded.
  std::size_t end_idle_since_before(Session::Clock::time_point limit);
  /// No more sessions are taken.
  void refuse_new();

  [[nodiscard]] std::vector<SessionRef> all();
  [[nodiscard]] std::size_t size();

 private:
  struct IdHash {
    std::size_t operator()(const SessionId& id) const;
  };
  struct State {
    std::unordered_map<SessionId, SessionRef, IdHash> sessions;
    std::size_t sessions_max = 0;
    bool refuses_new = false;
  };

  static Result<void> insert(State& state, SessionRef session);

  Guarded<State> state_;
};

}  // namespace homefs
