#include "server/home_locks.h"

#include <utility>

namespace homefs {

std::uint64_t HomeLocks::State::find_reserved(const SessionId& id) const {
  for (const auto& [number, member] : members) {
    if (member.id == id && !member.has_joined) return number;
  }
  return 0;
}

void HomeLocks::reserve(const SessionId& id, const std::vector<SavedLock>& locks) {
  if (locks.empty()) return;
  const auto state = state_.lock();
  for (const auto& [number, member] : state->members) {
    if (member.id == id) return;
  }
  const std::uint64_t number = ++state->last_number;
  state->members.emplace(number, Member{.id = id, .has_joined = false, .listener = nullptr});
  for (const SavedLock& lock : locks) state->table.restore(number, lock);
}

void HomeLocks::drop_reserved(const SessionId& id) {
  LockGrants grants;
  {
    // One step: it may be about to join.
    const auto state = state_.lock();
    const std::uint64_t number = state->find_reserved(id);
    if (number == 0) return;
    state->members.erase(number);
    state->table.drop_session(number, grants);
  }
  tell(grants);
}

std::uint64_t HomeLocks::join(const SessionId& id, LockJournal* journal) {
  const auto state = state_.lock();
  std::uint64_t number = state->find_reserved(id);
  if (number == 0) {
    number = ++state->last_number;
    state->members.emplace(number, Member{.id = id, .has_joined = true, .listener = nullptr});
  }
  state->members.at(number).has_joined = true;
  state->table.set_journal(number, journal);
  return number;
}

void HomeLocks::listen(std::uint64_t session, Listener listener) {
  const auto state = state_.lock();
  const auto member = state->members.find(session);
  if (member != state->members.end()) member->second.listener = std::move(listener);
}

void HomeLocks::leave(std::uint64_t session) {
  LockGrants grants;
  {
    const auto state = state_.lock();
    if (state->members.erase(session) == 0) return;
    state->table.drop_session(session, grants);
  }
  tell(grants);
}

void HomeLocks::keep(std::uint64_t session) {
  const auto state = state_.lock();
  if (state->members.erase(session) != 0) state->table.set_journal(session, nullptr);
}

LockOutcome HomeLocks::set(const LockWish& wish) {
  LockGrants grants;
  LockOutcome outcome = LockOutcome::kNoLocks;
  {
    const auto state = state_.lock();
    if (!state->members.contains(wish.owner.session)) return outcome;
    outcome = state->table.set(wish, grants);
  }
  tell(grants);
  return outcome;
}

void HomeLocks::cancel(std::uint64_t session, std::uint64_t id) {
  LockGrants grants;
  {
    const auto state = state_.lock();
    state->table.cancel(session, id, grants);
  }
  tell(grants);
}

std::optional<HeldLock> HomeLocks::find_conflict(const LockWish& wish) const {
  return state_.lock()->table.find_conflict(wish);
}

std::vector<SavedLock> HomeLocks::locks_of(std::uint64_t session) const {
  return state_.lock()->table.locks_of(session);
}

void HomeLocks::tell(const LockGrants& grants) {
  for (const LockGrant& grant : grants) {
    Listener listener;
    {
      const auto state = state_.lock();
      const auto member = state->members.find(grant.session);
      if (member != state->members.end()) listener = member->second.listener;
    }
    if (listener) listener(grant.id);
  }
}

}  // namespace homefs
