#include "server/session_maker.h"

#include <optional>
#include <utility>

namespace homefs {

Result<std::shared_ptr<Session>> SessionMaker::make(const SessionRequest& request) {
  if (!request.client_id.empty()) {
    parts_.sessions.end_idle_of_client(request.account.name, request.client_id);
    parts_.saved.drop_of_client(request.account.name, request.client_id);
  }
  SessionSetup setup;
  fill_random(setup.id);
  fill_random(setup.secret);
  return make_session(request, std::move(setup));
}

Result<std::shared_ptr<Session>> SessionMaker::make_session(const SessionRequest& request,
                                                            SessionSetup setup) {
  Result<std::shared_ptr<LiveHome>> home = parts_.homes.acquire(request.account);
  if (!home) return std::unexpected(home.error());
  Result<std::unique_ptr<SessionHome>> files = SessionHome::open((*home)->files, request.subdir);
  if (!files) return std::unexpected(files.error());
  setup.account = request.account.name;
  setup.client_id = request.client_id;
  setup.token_id = request.token_id;
  setup.subdir = request.subdir;
  setup.home = std::move(*home);
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
  std::optional<SavedSession> saved = parts_.saved.take(id);
  if (!saved) return unknown;
  const Result<std::shared_ptr<const Accounts>> accounts = parts_.accounts.current();
  if (!accounts) return unknown;
  const Account* account = (*accounts)->find(saved->account);
  if (account == nullptr || account->disabled || !is_token_valid(*saved)) return unknown;

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
                                                          std::move(setup));
  // A home that cannot be had now may be had later; the client asks for a new session then.
  if (!session) return unknown;
  return session;
}

bool SessionMaker::is_token_valid(const SavedSession& saved) {
  if (saved.token_id.empty()) return true;
  const auto token = parts_.state.find_token(saved.token_id);
  return token && *token && (*token)->account == saved.account;
}

}  // namespace homefs
