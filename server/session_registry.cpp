#include "server/session_registry.h"

#include <cstring>
#include <utility>

namespace homefs {

// Ids are random: any part of one is a hash. Nobody but the server chooses them.
std::size_t SessionRegistry::IdHash::operator()(const SessionId& id) const {
  std::size_t hash = 0;
  static_assert(sizeof(hash) <= sizeof(SessionId));
  std::memcpy(&hash, id.data(), sizeof(hash));
  return hash;
}

Result<void> SessionRegistry::add(SessionRef session, std::size_t saved) {
  const auto state = state_.lock();
  if (!state->refuses_new && state->sessions.size() + saved >= state->sessions_max) {
    return fail(Status::kTooManySessions, "the server has as many sessions as it may");
  }
  return insert(*state, std::move(session));
}

Result<void> SessionRegistry::add_saved(SessionRef session) {
  return insert(*state_.lock(), std::move(session));
}

Result<void> SessionRegistry::insert(State& state, SessionRef session) {
  if (state.refuses_new) return fail(Status::kGoingAway, "the server shuts down");
  const SessionId id = session->id();
  const bool is_new = state.sessions.emplace(id, std::move(session)).second;
  HOMEFS_CHECK(is_new);  // 128 random bits
  return {};
}

SessionRegistry::SessionRef SessionRegistry::find(const SessionId& id) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  return found == state->sessions.end() ? nullptr : found->second;
}

void SessionRegistry::end(const Session& session, const Error& why) {
  SessionRef ended;
  {
    const auto state = state_.lock();
    const auto found = state->sessions.find(session.id());
    if (found == state->sessions.end()) return;
    ended = std::move(found->second);
    state->sessions.erase(found);
  }
  ended->close(why);
}

std::size_t SessionRegistry::end_if(const std::function<bool(Session&)>& is_over,
                                    const Error& why) {
  std::size_t count = 0;
  for (const SessionRef& session : all()) {
    if (!is_over(*session)) continue;
    end(*session, why);
    ++count;
  }
  return count;
}

void SessionRegistry::end_idle_of_client(const std::string& account, const std::string& client_id) {
  (void)end_if(
      [&](Session& session) {
        if (session.account() != account || session.client_id() != client_id) return false;
        session.supersede();
        return session.idle_since().has_value();
      },
      {Status::kSessionUnknown, "its client has logged in anew"});
}

std::size_t SessionRegistry::end_idle_since_before(Session::Clock::time_point limit) {
  return end_if(
      [limit](const Session& session) {
        const auto since = session.idle_since();
        return since && (*since < limit || session.is_superseded());
      },
      {Status::kSessionUnknown, "its client stayed away"});
}

void SessionRegistry::refuse_new() { state_.lock()->refuses_new = true; }

std::vector<SessionRegistry::SessionRef> SessionRegistry::all() {
  std::vector<SessionRef> sessions;
  const auto state = state_.lock();
  sessions.reserve(state->sessions.size());
  for (const auto& [id, session] : state->sessions) sessions.push_back(session);
  return sessions;
}

std::size_t SessionRegistry::size() { return state_.lock()->sessions.size(); }

}  // namespace homefs
