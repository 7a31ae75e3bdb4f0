// AbsentSessions: whether sessions of before a restart of the server may have files of a home open
// of which nobody has told yet: those that are not back, and those that are back and still
// introduce what they have open.
//
// Owner: Home. Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <set>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"

namespace homefs {

/// How long a client that is back may take to introduce what it has open. It does so before it
/// acknowledges the mode, as fast as the network carries it.
inline constexpr std::chrono::seconds kIntroductionTime{10};

class AbsentSessions {
 public:
  using Clock = std::chrono::steady_clock;
  /// Names a session; not looked at.
  using Key = const void*;

  /// One is not back. Harmless for one that is expected already.
  void expect(const SessionId& id) { state_.lock()->expected.insert(id); }
  /// It will not come back, or is. Harmless for one that was not expected.
  void expect_no_longer(const SessionId& id) { state_.lock()->expected.erase(id); }
  /// One is back. To be called before it is expected no longer.
  void begin_introduction(Key session, Clock::time_point now) {
    const auto state = state_.lock();
    state->introducing.insert(session);
    state->introduced_by = now + kIntroductionTime;
  }
  /// It has introduced what it has open, or is over. Harmless for others.
  void end_introduction(Key session) { state_.lock()->introducing.erase(session); }

  /// Whether there are such sessions, other than `asking`.
  [[nodiscard]] bool are_there(Clock::time_point now, Key asking = nullptr) const {
    const auto state = state_.lock();
    if (!state->expected.empty()) return true;
    const std::size_t itself = state->introducing.contains(asking) ? 1 : 0;
    return state->introducing.size() > itself && now < state->introduced_by;
  }

 private:
  struct State {
    std::set<SessionId> expected;
    std::set<Key> introducing;
    Clock::time_point introduced_by;
  };
  mutable Guarded<State> state_;
};

}  // namespace homefs
