#include "server/session_maker.h"

#include <optional>
#include <utility>

#include "protocol/base64.h"
#include "server/home_locks.h"
#include "server/log.h"
#include "server/outcome_reply.h"
#include "server/quota.h"

namespace homefs {

void SessionMaker::load(std::vector<SavedSession> sessions) {
  const auto expires = SavedSessions::Clock::now() + parts_.settings.lock()->linger;
  for (SavedSession& session : sessions) parts_.saved.put(std::move(session), expires);
  const auto accounts = parts_.accounts.current();
  for (const std::string& name : parts_.saved.accounts_in_doubt()) {
    const Account* account = accounts ? (*accounts)->find(name) : nullptr;
    // To open it is enough. One that cannot be opened now is settled when it can.
    if (account != nullptr) (void)parts_.homes.acquire(*account);
  }
}

void SessionMaker::settle_doubts(const std::string& account, Home& home) {
  for (const SavedSessionRef& session : parts_.saved.of_account(account)) {
    SessionRecord* const record = session->record.get();
    if (record == nullptr || !record->doubt()) continue;
    const SessionRecord::Doubt& doubt = *record->doubt();
    const auto outcome = doubt.outcome ? doubt.outcome : home.resolve(doubt.facts);
    log_info("change-settled", {{"user", account},
                                {"session", to_hex(session->identity.id).substr(0, 8)},
                                {"op", name_of(doubt.op)},
                                {"done", outcome ? "yes" : "no"}});
    std::shared_ptr<const Reply> reply;
    if (outcome) {
      const Usage used = home.usage();
      const GrantState grant{.used = used.bytes, .limit = home.quota().limits().bytes};
      Reply made = outcome_reply(doubt.op, *outcome, grant);
      age_reply(doubt.op, made);
      reply = std::make_shared<const Reply>(std::move(made));
    }
    record->resolve(std::move(reply));
  }
}

Result<std::shared_ptr<Session>> SessionMaker::make(const SessionRequest& request) {
  // Opened first: what a session that ends here has left half done is settled by that.
  Result<std::shared_ptr<LiveHome>> home = parts_.homes.acquire(request.account);
  if (!home) return std::unexpected(home.error());
  Result<std::string> account_id = parts_.state.account_id(request.account.name);
  if (!account_id) return std::unexpected(account_id.error());
  if (!request.client_id.empty()) {
    parts_.sessions.end_idle_of_client(request.account.name, request.client_id);
    const std::lock_guard lock(saved_mutex_);
    drop(parts_.saved.drop_of_client(request.account.name, request.client_id));
  }
  {
    const std::lock_guard lock(saved_mutex_);
    reserve_locks(request.account.name, **home);
  }
  SessionSetup setup;
  SessionIdentity& identity = setup.identity;
  fill_random(identity.id);
  fill_random(identity.secret);
  identity.account = request.account.name;
  identity.account_id = *std::move(account_id);
  identity.client_id = request.client_id;
  identity.token_id = request.token_id;
  identity.subdir = request.subdir;
  return make_session(std::move(*home), std::move(setup));
}

/// Without files of its own the session works, and ends with this run of the server.
void SessionMaker::add_files(SessionSetup& setup) const {
  auto record = parts_.store.make_record(setup.identity);
  if (record) {
    setup.record = *std::move(record);
    setup.lock_log = parts_.store.make_lock_log(setup.identity.id);
    return;
  }
  log_warn("session-not-durable",
           {{"user", setup.identity.account}, {"why", record.error().message()}});
  setup.record = std::make_unique<MemoryReplayRecord>();
}

/// Whoever gets into the home finds the locks of those that are not back yet.
void SessionMaker::reserve_locks(const std::string& account, LiveHome& home) {
  for (const SavedSessionRef& saved : parts_.saved.of_account(account)) {
    home.files->locks().reserve(saved->identity.id, saved->locks);
  }
}

/// They are over.
void SessionMaker::drop(const std::vector<SavedSessionRef>& sessions) {
  for (const SavedSessionRef& session : sessions) {
    const auto home = parts_.homes.find(session->identity.account);
    if (home) home->files->locks().drop_reserved(session->identity.id);
    session->record->remove();
    session->lock_log->remove();
  }
}

void SessionMaker::drop_expired(SavedSessions::Clock::time_point now) {
  const std::lock_guard lock(saved_mutex_);
  drop(parts_.saved.drop_expired(now));
}

Result<std::shared_ptr<Session>> SessionMaker::make_session(std::shared_ptr<LiveHome> home,
                                                            SessionSetup setup) {
  if (setup.record == nullptr) add_files(setup);
  // Until the session is there, what goes wrong leaves nothing behind.
  ReplayRecord& record = *setup.record;
  LockLog* const lock_log = setup.lock_log.get();
  const SessionIdentity& identity = setup.identity;
  Result<std::unique_ptr<SessionHome>> files =
      SessionHome::open(home->files, identity.subdir, identity.id, lock_log);
  if (!files) {
    record.remove();
    if (lock_log != nullptr) lock_log->remove();
    return std::unexpected(files.error());
  }
  setup.home = std::move(home);
  setup.files = std::move(*files);
  if (setup.has_missed_events) setup.files->owe_all_syncs();
  setup.limits = parts_.settings.lock()->limits;
  setup.digest_executor = parts_.digest_executor;
  auto session = Session::make(parts_.executor, parts_.owner, std::move(setup));
  if (Result<void> added = parts_.sessions.add(session); !added) {
    // One that was to be taken up while the server stops is for the next run.
    if (added.error().status == Status::kGoingAway) session->keep_for_next_run();
    session->close(added.error());
    return std::unexpected(added.error());
  }
  // From here on whoever takes the access away ends the session. It may have been before.
  if (const Result<void> allowed = check_access(session->identity()); !allowed) {
    parts_.sessions.end(*session, allowed.error());
    return std::unexpected(allowed.error());
  }
  return session;
}

/// By what the accounts and tokens are now; the quota of now is in force then.
Result<void> SessionMaker::check_access(const SessionIdentity& identity) {
  const Result<std::shared_ptr<const Accounts>> accounts = parts_.accounts.current();
  if (!accounts) return std::unexpected(accounts.error());
  const Account* account = (*accounts)->find(identity.account);
  const auto has = has_access(identity);
  if (!has) return std::unexpected(has.error());
  if (account == nullptr || !*has) return fail(Status::kLoginRefused);
  if (account->disabled) return fail(Status::kAccountDisabled);
  (void)parts_.homes.apply_limits(*account);  // whether they have changed does not matter
  return {};
}

std::optional<SessionSecret> SessionMaker::saved_secret(const SessionId& id) {
  const SavedSessionRef saved = parts_.saved.find(id);
  if (!saved) return std::nullopt;
  return saved->identity.secret;
}

Result<std::shared_ptr<Session>> SessionMaker::restore(const SessionId& id) {
  const auto unknown = fail(Status::kSessionUnknown, "the session is over");
  const std::lock_guard lock(saved_mutex_);
  const SavedSessionRef saved = parts_.saved.find(id);
  if (!saved) return unknown;
  const SessionIdentity& identity = saved->identity;
  const Result<std::shared_ptr<const Accounts>> accounts = parts_.accounts.current();
  if (!accounts) return unknown;
  const Account* account = (*accounts)->find(identity.account);
  if (account == nullptr || account->disabled) return unknown;
  if (const auto has = has_access(identity); !has || !*has) return unknown;

  Result<std::shared_ptr<LiveHome>> home = parts_.homes.acquire(*account);
  // A home that cannot be had now may be had later; the client asks for a new session then.
  if (!home) return unknown;
  // Its locks are in force before it is no saved session any more.
  reserve_locks(identity.account, **home);
  (void)parts_.saved.take(id);
  const std::shared_ptr<Home> files = (*home)->files;

  SessionSetup setup;
  setup.identity = identity;
  setup.record = std::move(saved->record);
  setup.lock_log = std::move(saved->lock_log);
  // Others may have changed the home since it had its last connection.
  setup.has_missed_events = true;
  Result<std::shared_ptr<Session>> session = make_session(std::move(*home), std::move(setup));
  if (!session) {
    files->locks().drop_reserved(id);
    return unknown;
  }
  return session;
}

Result<bool> SessionMaker::has_access(const SessionIdentity& identity) {
  const auto account_id = parts_.state.account_id(identity.account);
  if (!account_id) return std::unexpected(account_id.error());
  if (*account_id != identity.account_id) return false;
  if (identity.token_id.empty()) return true;
  const auto token = parts_.state.find_token(identity.token_id);
  if (!token) return std::unexpected(token.error());
  return *token && (*token)->account == identity.account;
}

}  // namespace homefs
