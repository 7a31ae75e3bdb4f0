#include "server/session_maker.h"

#include <optional>
#include <utility>

#include "server/home_locks.h"

namespace homefs {

Result<std::shared_ptr<Session>> SessionMaker::make(const SessionRequest& request) {
  if (!request.client_id.empty()) {
    parts_.sessions.end_idle_of_client(request.account.name, request.client_id);
    const std::lock_guard lock(saved_mutex_);
    drop_locks(parts_.saved.drop_of_client(request.account.name, request.client_id));
  }
  SessionSetup setup;
  fill_random(setup.id);
  fill_random(setup.secret);
  Result<std::shared_ptr<LiveHome>> home = parts_.homes.acquire(request.account);
  if (!home) return std::unexpected(home.error());
  {
    const std::lock_guard lock(saved_mutex_);
    reserve_locks(request.account.name, **home);
  }
  return make_session(request, std::move(*home), std::move(setup));
}

/// Whoever gets into the home finds the locks of those that are not back yet.
void SessionMaker::reserve_locks(const std::string& account, LiveHome& home) {
  for (const SavedSession& saved : parts_.saved.of_account(account)) {
    home.files->locks().reserve(saved.id, saved.locks);
  }
}

void SessionMaker::drop_locks(const std::vector<SavedSession>& sessions) {
  for (const SavedSession& session : sessions) {
    const auto home = parts_.homes.find(session.account);
    if (home) home->files->locks().drop_reserved(session.id);
  }
}

void SessionMaker::drop_expired(SavedSessions::Clock::time_point now) {
  const std::lock_guard lock(saved_mutex_);
  drop_locks(parts_.saved.drop_expired(now));
}

Result<std::shared_ptr<Session>> SessionMaker::make_session(const SessionRequest& request,
                                                            std::shared_ptr<LiveHome> home,
                                                            SessionSetup setup) {
  Result<std::unique_ptr<SessionHome>> files =
      SessionHome::open(home->files, request.subdir, setup.id);
  if (!files) return std::unexpected(files.error());
  setup.account = request.account.name;
  setup.client_id = request.client_id;
  setup.token_id = request.token_id;
  setup.subdir = request.subdir;
  setup.home = std::move(home);
  setup.files = std::move(*files);
  setup.limits = parts_.settings.lock()->limits;
  auto session = Session::make(parts_.executor, parts_.owner, std::move(setup));
  if (Result<void> added = parts_.sessions.add(session); !added) {
    return std::unexpected(added.error());
  }
  return session;
}

std::optional<SessionSecret> SessionMaker::saved_secret(const SessionId& id) {
  const std::optional<SavedSession> saved = parts_.saved.find(id);
  if (!saved) return std::nullopt;
  return saved->secret;
}

Result<std::shared_ptr<Session>> SessionMaker::restore(const SessionId& id) {
  const auto unknown = fail(Status::kSessionUnknown, "the session is over");
  const std::lock_guard lock(saved_mutex_);
  std::optional<SavedSession> saved = parts_.saved.find(id);
  if (!saved) return unknown;
  const Result<std::shared_ptr<const Accounts>> accounts = parts_.accounts.current();
  if (!accounts) return unknown;
  const Account* account = (*accounts)->find(saved->account);
  if (account == nullptr || account->disabled || !is_token_valid(*saved)) return unknown;

  Result<std::shared_ptr<LiveHome>> home = parts_.homes.acquire(*account);
  // A home that cannot be had now may be had later; the client asks for a new session then.
  if (!home) return unknown;
  // Its locks are in force before it is no saved session any more.
  reserve_locks(saved->account, **home);
  (void)parts_.saved.take(id);
  const std::shared_ptr<Home> files = (*home)->files;

  SessionSetup setup;
  setup.id = saved->id;
  setup.secret = saved->secret;
  setup.record = std::make_unique<MemoryReplayRecord>(std::move(saved->replay));
  // Others may have changed the home since it had its last connection.
  setup.has_missed_events = true;
  Result<std::shared_ptr<Session>> session = make_session({.account = *account,
                                                           .client_id = saved->client_id,
                                                           .token_id = saved->token_id,
                                                           .subdir = saved->subdir},
                                                          std::move(*home), std::move(setup));
  if (!session) {
    files->locks().drop_reserved(id);
    return unknown;
  }
  return session;
}

bool SessionMaker::is_token_valid(const SavedSession& saved) {
  if (saved.token_id.empty()) return true;
  const auto token = parts_.state.find_token(saved.token_id);
  return token && *token && (*token)->account == saved.account;
}

}  // namespace homefs
