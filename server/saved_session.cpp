#include "server/saved_session.h"

#include <set>
#include <utility>

#include "protocol/base64.h"

namespace homefs {

void SavedSessions::put(SavedSession session, Clock::time_point expires) {
  const std::string key = to_hex(session.identity.id);
  (*entries_.lock())[key] = Entry{std::make_shared<KeptSession>(std::move(session)), expires};
}

SavedSessionRef SavedSessions::find(const SessionId& id) {
  const auto entries = entries_.lock();
  const auto found = entries->find(to_hex(id));
  if (found == entries->end() || found->second.expires <= Clock::now()) return nullptr;
  return found->second.session;
}

SavedSessionRef SavedSessions::take(const SessionId& id) {
  const auto entries = entries_.lock();
  const auto found = entries->find(to_hex(id));
  if (found == entries->end()) return nullptr;  // its time may be over: find() was in time
  SavedSessionRef session = std::move(found->second.session);
  entries->erase(found);
  return session;
}

template <class IsOver>
std::vector<SavedSessionRef> SavedSessions::drop_if(IsOver is_over) {
  std::vector<SavedSessionRef> dropped;
  const auto entries = entries_.lock();
  std::erase_if(*entries, [&](auto& entry) {
    if (!is_over(entry.second)) return false;
    dropped.push_back(std::move(entry.second.session));
    return true;
  });
  return dropped;
}

std::vector<SavedSessionRef> SavedSessions::drop_expired(Clock::time_point now) {
  return drop_if([now](const Entry& entry) { return entry.expires <= now; });
}

std::vector<SavedSessionRef> SavedSessions::drop_of_client(const std::string& account,
                                                           const std::string& client_id) {
  return drop_if([&](const Entry& entry) {
    const SessionIdentity& identity = entry.session->identity;
    return identity.account == account && identity.client_id == client_id;
  });
}

std::vector<SavedSessionRef> SavedSessions::of_account(const std::string& account) {
  std::vector<SavedSessionRef> sessions;
  const auto entries = entries_.lock();
  for (const auto& [key, entry] : *entries) {
    if (entry.session->identity.account == account) sessions.push_back(entry.session);
  }
  return sessions;
}

std::vector<std::string> SavedSessions::accounts_in_doubt() {
  std::set<std::string> accounts;
  const auto entries = entries_.lock();
  for (const auto& [key, entry] : *entries) {
    const std::lock_guard lock(entry.session->mutex);
    if (entry.session->record && entry.session->record->doubt())
      accounts.insert(entry.session->identity.account);
  }
  return {accounts.begin(), accounts.end()};
}

}  // namespace homefs
