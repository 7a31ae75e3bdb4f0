#include "server/session_maker.h"

#include <optional>
#include <utility>

#include "protocol/base64.h"
#include "server/home_locks.h"
#include "server/log.h"
#include "server/outcome_reply.h"
#include "server/quota.h"

namespace homefs {
namespace {

/// Whether the folder of a session cannot be had any more, and not only now.
bool is_final(Status status) {
  return status == Status::kNoSuchDirectory || status == Status::kNotDirectory ||
         status == Status::kInvalid || status == Status::kNameTooLong;
}

}  // namespace

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

Result<void> SessionMaker::settle_doubts(const std::string& account, Home& home) {
  for (const SavedSessionRef& session : parts_.saved.of_account(account)) {
    const std::lock_guard lock(session->mutex);
    SessionRecord* const record = session->record.get();
    if (record == nullptr || !record->doubt()) continue;
    const SessionRecord::Doubt& doubt = *record->doubt();
    std::optional<ChangeOutcome> outcome = doubt.outcome;
    if (!outcome) {
      auto resolved = home.resolve(doubt.facts);
      if (!resolved) {
        log_error(
            "change-unsettled",
            {{"user", account}, {"op", name_of(doubt.op)}, {"why", resolved.error().message()}});
        return std::unexpected(resolved.error());
      }
      outcome = std::move(*resolved);
    }
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
  return {};
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
    expect_saved(request.account.name, *home);
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

/// Whoever gets into the home finds it shared with those that are not back yet, and their locks.
void SessionMaker::expect_saved(const std::string& account, const std::shared_ptr<LiveHome>& home) {
  for (const SavedSessionRef& saved : parts_.saved.of_account(account)) {
    // The account has got another folder: the session comes back to that one.
    if (saved->expected_in.lock() != home) expect_no_longer(*saved);
    saved->expected_in = home;
    home->files->locks().reserve(saved->identity.id, saved->locks);
    home->coherence->expect(saved->identity.id);
    home->files->expect_session(saved->identity.id);
    begin_late(saved, *home);
  }
}

/// Nothing of the home refers to it any more. Precondition: its record is still there.
void SessionMaker::expect_no_longer(KeptSession& saved) {
  const auto home = saved.expected_in.lock();
  if (!home) return;
  home->files->locks().drop_reserved(saved.identity.id);
  home->coherence->expect_no_longer(saved.identity.id);
  home->files->late_sessions().remove(saved.record->foreign_changes());
  home->files->expect_session_no_longer(saved.identity.id);
}

/// Whoever gets in changes files that it may have unsent writes for.
void SessionMaker::begin_late(const SavedSessionRef& saved, LiveHome& home) {
  ForeignChanges& changes = saved->record->foreign_changes();
  changes.begin(disk::next_order());
  home.files->late_sessions().add({saved, &changes});
}

/// They are over.
void SessionMaker::drop(const std::vector<SavedSessionRef>& sessions) {
  for (const SavedSessionRef& session : sessions) {
    expect_no_longer(*session);
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
  add_files(setup);
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
  setup.files = std::move(*files);
  auto session = session_of(std::move(home), std::move(setup));
  if (Result<void> added = parts_.sessions.add(session, parts_.saved.size()); !added) {
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

std::shared_ptr<Session> SessionMaker::session_of(std::shared_ptr<LiveHome> home,
                                                  SessionSetup setup) {
  setup.home = std::move(home);
  setup.limits = parts_.settings.lock()->limits;
  setup.digest_executor = parts_.digest_executor;
  return Session::make(parts_.executor, parts_.owner, std::move(setup));
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

// ---- Coming back -----------------------------------------------------------------------------

std::optional<SessionMaker::Known> SessionMaker::find(const SessionId& id) {
  const auto as_known = [](std::shared_ptr<Session> session) {
    const SessionSecret secret = session->secret();
    return Known{.session = std::move(session), .secret = secret};
  };
  if (auto session = parts_.sessions.find(id)) return as_known(std::move(session));
  if (const SavedSessionRef saved = parts_.saved.find(id)) {
    return Known{.session = nullptr, .secret = saved->identity.secret};
  }
  // Another resume may have taken it up between the two looks: it is in the one before it is not in
  // the other any more.
  if (auto session = parts_.sessions.find(id)) return as_known(std::move(session));
  return std::nullopt;
}

/// kSessionUnknown: there is none for the session any more.
Result<Account> SessionMaker::account_of_saved(const SessionIdentity& identity) {
  const Result<std::shared_ptr<const Accounts>> accounts = parts_.accounts.current();
  if (!accounts) return fail(Status::kIoError, "the server cannot read its accounts");
  const Account* account = (*accounts)->find(identity.account);
  if (account == nullptr || account->disabled) return fail(Status::kSessionUnknown, "no account");
  const Result<bool> has = has_access(identity);
  if (!has) return fail(Status::kIoError, "the server cannot read its device tokens");
  if (!*has) return fail(Status::kSessionUnknown, "its device token was revoked");
  return *account;
}

Result<std::shared_ptr<Session>> SessionMaker::restore(const SessionId& id) {
  const SavedSessionRef looked_at = parts_.saved.find(id);
  std::shared_ptr<LiveHome> home;
  if (looked_at) {
    const Result<Account> account = account_of_saved(looked_at->identity);
    if (!account) return std::unexpected(account.error());
    auto opened = parts_.homes.acquire(*account);
    if (!opened) return std::unexpected(opened.error());
    home = std::move(*opened);
  }
  const std::lock_guard lock(saved_mutex_);
  if (auto session = parts_.sessions.find(id)) return session;
  const SavedSessionRef saved = parts_.saved.find(id);
  if (!saved || !home) return fail(Status::kSessionUnknown, "the session is over");
  expect_saved(saved->identity.account, home);
  return take_up(saved, std::move(home));
}

/// Precondition: saved_mutex_ is held.
Result<std::shared_ptr<Session>> SessionMaker::take_up(const SavedSessionRef& saved,
                                                       std::shared_ptr<LiveHome> home) {
  const SessionId id = saved->identity.id;
  // Its locks are its own from here on: those that are reserved.
  Result<std::unique_ptr<SessionHome>> files =
      SessionHome::open(home->files, saved->identity.subdir, id, saved->lock_log.get());
  if (!files && !is_final(files.error().status)) return std::unexpected(files.error());
  if (!files) {
    (void)parts_.saved.take(id);
    drop({saved});
    return fail(Status::kSessionUnknown, "its folder is gone");
  }
  SessionSetup setup;
  setup.identity = saved->identity;
  setup.files = std::move(*files);
  setup.files->begin_introduction();
  {
    const std::lock_guard settling(saved->mutex);
    setup.record = std::move(saved->record);
    setup.lock_log = std::move(saved->lock_log);
  }
  // Others may have changed the home since it had its last connection.
  setup.has_missed_events = true;
  setup.files->owe_all_syncs();
  const std::shared_ptr<Home> its_home = home->files;
  auto session = session_of(std::move(home), std::move(setup));
  const Result<void> added = parts_.sessions.add_saved(session);
  (void)parts_.saved.take(id);
  its_home->expect_session_no_longer(id);
  if (!added) {
    // The server stops: it is for the next run.
    session->keep_for_next_run();
    session->close(added.error());
    return std::unexpected(added.error());
  }
  const Result<void> allowed = check_access(session->identity());
  if (allowed) return session;
  if (allowed.error().status == Status::kLoginRefused ||
      allowed.error().status == Status::kAccountDisabled) {
    parts_.sessions.end(*session, allowed.error());
    return fail(Status::kSessionUnknown, "its access was taken away");
  }
  has_unchecked_ = true;
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
