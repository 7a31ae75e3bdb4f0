#include "server/server.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <span>
#include <utility>

#include "protocol/base64.h"
#include "protocol/codec.h"
#include "protocol/scram_crypto.h"
#include "server/change_facts.h"
#include "server/channel_connection.h"
#include "server/descriptor_cache.h"
#include "server/device_tokens.h"
#include "server/log.h"
#include "server/refusal.h"
#include "server/thread_counts.h"

namespace homefs {
namespace {

constexpr std::chrono::seconds kHouseInterval{1};
constexpr int kTidyEvery = 10;  // of these intervals
constexpr std::chrono::milliseconds kStopPoll{20};
constexpr std::chrono::seconds kFlushDeadline{5};
// Large buffers that are kept for further requests: what a few connections at full speed turn over.
constexpr std::size_t kBuffersKeptMax = 64;

LoginSettings login_settings(const ServerConfig& config, std::size_t threads) {
  return {.reveals_unknown_users = config.login.reveal_unknown_users,
          .scram_iterations = config.login.scram_iterations,
          .keepalive = config.keepalive,
          .linger = config.session.linger,
          .limits = session_limits(threads, config.session.bulk_connections_max)};
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  fill_random(std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

/// Null, where the kernel has no inotify left: changes beside the server are seen by `rescan` only.
std::shared_ptr<FolderWatch> start_watch() {
  auto watch = FolderWatch::start();
  if (watch) return *std::move(watch);
  log_warn("folders-not-watched", {{"why", watch.error().message()}});
  return nullptr;
}

/// The secret behind the answers to names that no account has: stays the same over restarts.
Result<std::vector<std::byte>> login_secret(StateDb& state) {
  Sha256Digest fresh{};
  fill_random(fresh);
  const Result<std::string> kept = state.constant("login-secret", to_hex(fresh));
  if (!kept) return std::unexpected(kept.error());
  const auto bytes = std::as_bytes(std::span(*kept));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace

/// What of a server can fail to be made.
struct Server::Made {
  DataFolder folder;
  TlsContext tls;
  std::unique_ptr<StateDb> state;
  SessionStore store;
  std::vector<std::byte> secret;
};

Result<std::unique_ptr<Server>> Server::make(ServerConfig config) {
  Result<DataFolder> folder = DataFolder::open(config.data_dir);
  if (!folder) return std::unexpected(folder.error());
  if (Result<void> made = make_homes_folder(config.homes_dir); !made) {
    return std::unexpected(made.error());
  }
  const auto& [key_file, certificate_file] = config.tls;
  if (Result<void> made = make_server_identity(key_file, certificate_file); !made) {
    return std::unexpected(made.error());
  }
  Result<TlsContext> tls = TlsContext::server(key_file, certificate_file);
  if (!tls) return std::unexpected(tls.error());
  Result<std::unique_ptr<StateDb>> state = StateDb::open(config.data_dir / "state.db");
  if (!state) return std::unexpected(state.error());
  Result<std::vector<std::byte>> secret = login_secret(**state);
  if (!secret) return std::unexpected(secret.error());
  Result<SessionStore> store = SessionStore::open(config.data_dir / "sessions");
  if (!store) return std::unexpected(store.error());
  return std::unique_ptr<Server>(
      new Server(std::move(config), Made{std::move(*folder), std::move(*tls), std::move(*state),
                                         std::move(*store), std::move(*secret)}));
}

Server::Server(ServerConfig config, Made made)
    : config_(std::move(config)),
      folder_(std::move(made.folder)),
      tls_(std::move(made.tls)),
      secret_(std::move(made.secret)),
      incarnation_(random_number()),
      buffers_(BufferPool::make(kBuffersKeptMax)),
      connections_(std::make_shared<std::atomic<std::size_t>>(0)),
      state_(std::move(made.state)),
      store_(std::move(made.store)),
      accounts_(config_.accounts_file,
                {.check_interval = {},  // a stat a login: an edit is seen by the next one
                 .on_problem =
                     [](const std::string& problem) {
                       log_warn("accounts-file", {{"problem", problem}});
                     }}),
      throttle_({.failures_before_lockout = config_.login.failures_before_lockout,
                 .lockout = config_.login.lockout}),
      legacy_(secret_),
      thread_counts_(counts_of_threads(config_.io_threads)),
      io_(thread_counts_),
      digests_(digest_threads(thread_counts_.io)),
      slow_executor_(boost::asio::make_strand(io_.executor())),
      settings_(login_settings(config_, thread_counts_.io)),
      sessions_(config_.session.sessions_max),
      homes_({.executor = io_.executor(),
              .homes_dir = config_.homes_dir,
              .orphan_linger = config_.session.linger,
              .buffers = buffers_,
              .descriptors = std::make_shared<DescriptorCache>(),
              .watch = start_watch(),
              .usage_of =
                  [this](const std::string& home) {
                    return std::make_shared<StateDbUsage>(*state_, home, store_.boot());
                  },
              .on_open = [this](const std::string& name,
                                Home& home) { return maker_.settle_doubts(name, home); }}),
      maker_({.executor = io_.executor(),
              .digest_executor = digests_.get_executor(),
              .owner = *this,
              .accounts = accounts_,
              .state = *state_,
              .sessions = sessions_,
              .saved = saved_,
              .store = store_,
              .homes = homes_,
              .settings = settings_}) {}

Server::~Server() { stop(); }

LoginParts Server::login_parts() {
  return {.slow_executor = slow_executor_,
          .accounts = accounts_,
          .state = *state_,
          .throttle = throttle_,
          .legacy = legacy_,
          .sessions = sessions_,
          .maker = maker_,
          .settings = settings_,
          .secret = secret_,
          .incarnation = incarnation_,
          .boot = hash_of(std::as_bytes(std::span(store_.boot()))) | 1};
}

Result<void> Server::start() {
  Result<std::vector<SavedSession>> sessions = store_.load();
  if (!sessions) return std::unexpected(sessions.error());
  maker_.load(*std::move(sessions));
  if (const auto accounts = accounts_.current(); !accounts) {
    // Not the end: the first account may be made in a moment.
    log_warn("no-accounts", {{"file", config_.accounts_file.string()},
                             {"why", accounts.error().message()},
                             {"hint", "homefsd user add NAME"}});
  }
  ListenerOptions options;
  options.addresses = config_.listen.addresses;
  options.port = config_.listen.port;
  options.logins_max = config_.login.handshakes_max;
  options.keepalive = config_.keepalive;
  listener_ = Listener::make(io_.executor(), std::move(options),
                             [this](UniqueFd socket, LoginSlots::Slot slot) {
                               take_socket(std::move(socket), std::move(slot));
                             });
  if (Result<void> opened = listener_->open(); !opened) return opened;
  io_.start();
  housekeeper_ = std::jthread([this] {
    (void)::pthread_setname_np(::pthread_self(), "housekeeper");  // only for people
    keep_house();
  });
  return {};
}

void Server::take_socket(UniqueFd socket, LoginSlots::Slot slot) {
  ChannelOptions channel;
  channel.pool = buffers_;
  ChannelConnection::start({.io = io_,
                            .tls = tls_,
                            .login = login_parts(),
                            .channel = std::move(channel),
                            .count = connections_},
                           std::move(socket), std::move(slot));
}

// ---- The end ----------------------------------------------------------------------------------

void Server::stop() {
  {
    const std::lock_guard lock(stop_mutex_);
    if (std::exchange(is_stopping_, true)) return;
  }
  stop_changed_.notify_all();
  if (housekeeper_.joinable()) housekeeper_.join();
  if (listener_) listener_->stop();
  sessions_.refuse_new();
  for (const auto& session : sessions_.all()) {
    session->tell(Op::kGoingAway, {});
    session->stop_reading();
  }
  wait_until_answered();
  const auto sessions = sessions_.all();
  for (const auto& session : sessions) session->disconnect({Status::kGoingAway, "a restart"});
  wait_until_disconnected();
  io_.stop();
  digests_.stop();
  digests_.join();  // none goes on when its connection is gone
  // Nothing changes any more. From here on the end of a session is not that of its open files: it
  // may be back soon.
  homes_.stop_all();
  for (const auto& session : sessions) session->keep_for_next_run();
  if (const Result<void> done = make_durable(); !done) {
    log_error("sessions-not-saved", {{"error", done.error().message()}});
  }
  (void)sessions_.end_if([](const Session&) { return true; },
                         {Status::kGoingAway, "the server shuts down"});
  homes_.let_go_of_sessions();
  log_figures();
  log_info("stopped");
}

/// What was answered must not be lost any more when the sessions are to be true in another boot:
/// their clients are not told then.
Result<void> Server::make_durable() {
  if (Result<void> synced = sync_file_system(config_.homes_dir); !synced) return synced;
  if (Result<void> noted = state_->note_usage_durable(store_.boot()); !noted) return noted;
  return store_.note_orderly_stop();
}

void Server::wait_until_answered() {
  const auto deadline = std::chrono::steady_clock::now() + kStopDeadline;
  const auto is_busy = [this] {
    return std::ranges::any_of(sessions_.all(),
                               [](const auto& session) { return session->has_unanswered(); });
  };
  while (is_busy() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kStopPoll);
  }
}

/// What is queued for a client that reads gets there; a client that does not is not waited for.
void Server::wait_until_disconnected() {
  const auto deadline = std::chrono::steady_clock::now() + kFlushDeadline;
  while (*connections_ > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kStopPoll);
  }
}

void Server::reload(const ServerConfig& config) {
  *settings_.lock() = login_settings(config, thread_counts_.io);
  throttle_.set_limits(config.login.failures_before_lockout, config.login.lockout);
  sessions_.set_sessions_max(config.session.sessions_max);
  log_info("reloaded");
}

bool Server::is_alive() {
  if (!has_answered_ || has_answered_->load()) {
    has_answered_ = std::make_shared<std::atomic<bool>>(false);
    boost::asio::post(io_.executor(), [answered = has_answered_] { answered->store(true); });
    return true;
  }
  return false;
}

// ---- Sessions ---------------------------------------------------------------------------------

void Server::end_session(Session& session, Error why) {
  if (is_success(why.status)) {
    log_info("goodbye", {{"user", session.account()}, {"session", session.short_id()}});
  } else {
    log_warn(
        "session-ended",
        {{"user", session.account()}, {"session", session.short_id()}, {"why", why.message()}});
  }
  sessions_.end(session, why);
}

Reply Server::handle_token(Session& session, const InFrame& frame) {
  const Result<TokenRequest> request = decode_json<TokenRequest>(frame.bytes());
  if (!request) return refusal_reply(request.error());
  const Result<TokenReply> reply = handle_token_request(*state_, session.account(), *request);
  if (!reply) return refusal_reply(reply.error());
  return Reply{.status = Status::kOk, .fields = encode_json(*reply)};
}

// ---- Housekeeping -----------------------------------------------------------------------------

void Server::keep_house() {
  homes_to_sweep_ = homes_.names_with_orphans();
  for (int round = 0;; ++round) {
    {
      std::unique_lock lock(stop_mutex_);
      stop_changed_.wait_for(lock, kHouseInterval, [this] { return is_stopping_; });
      if (is_stopping_) return;
    }
    apply_accounts();
    prepare_legacy_verifier();
    open_home_to_sweep();
    take_up_changes();
    const auto linger = settings_.lock()->linger;
    maker_.drop_expired(SavedSessions::Clock::now());
    (void)sessions_.end_idle_since_before(Session::Clock::now() - linger);
    homes_.care_for_usage();
    if (round % kTidyEvery == 0) homes_.tidy();
  }
}

/// accounts.ini may have changed: new quotas are in force, and who may not log in any more is
/// logged out.
void Server::apply_accounts() {
  const Result<std::shared_ptr<const Accounts>> accounts = accounts_.current();
  if (!accounts || *accounts == accounts_applied_) return;
  accounts_applied_ = *accounts;
  (void)sessions_.end_if(
      [&](const Session& session) {
        const Account* account = accounts_applied_->find(session.account());
        return account == nullptr || account->disabled;
      },
      {Status::kAccountDisabled, "the account is switched off"});
  for (const Account& account : accounts_applied_->all()) {
    if (homes_.apply_limits(account)) tell_quota(account.name);
  }
}

/// One a round, since it takes a good part of a second: then no login has to wait for it.
void Server::prepare_legacy_verifier() {
  if (!accounts_applied_) return;
  const std::uint32_t iterations = settings_.lock()->scram_iterations;
  for (const Account& account : accounts_applied_->all()) {
    if (account.password.kind != PasswordKind::kLegacyMd5) continue;
    if (legacy_.find(account.name, account.password.text)) continue;
    (void)legacy_.make(account.name, account.password.text, iterations);  // kept for its login
    return;
  }
}

/// What `homefsd user recount` and `homefsd rescan` have asked for.
void Server::carry_out_orders() {
  const auto orders = state_->orders();
  if (!orders) return;  // at the next change
  for (const StateDb::Order& order : *orders) {
    const Result<void> done = homes_.rescan(order.home, order.kind == kOrderRescan);
    log_info("order", {{"kind", order.kind},
                       {"user", order.home},
                       {"done", done ? "yes" : done.error().message()}});
    (void)state_->end_order(order);  // else it is carried out twice, which does no harm
  }
}

/// Opens homes in which the last run has left orphans, one a round: those that are not asked for
/// go though nobody mounts the home.
void Server::open_home_to_sweep() {
  if (homes_to_sweep_.empty() || !accounts_applied_) return;
  const std::string name = std::move(homes_to_sweep_.back());
  homes_to_sweep_.pop_back();
  const Account* account = accounts_applied_->find(name);
  if (account == nullptr || homes_.acquire(*account)) return;
  homes_to_sweep_.insert(homes_to_sweep_.begin(), name);
}

void Server::tell_quota(const std::string& account) {
  for (const auto& session : sessions_.all()) {
    if (session->account() != account) continue;
    session->tell_quota();
  }
}

void Server::answered_revocation() { end_sessions_without_access(); }

void Server::take_up_changes() {
  bool must_check = must_check_access_.exchange(false);
  if (maker_.take_unchecked()) {
    must_check = true;
    accounts_applied_.reset();
  }
  const Result<std::int64_t> change = state_->change_number();
  if (change && std::exchange(state_change_, *change) != *change) {
    carry_out_orders();
    must_check = true;
  }
  if (must_check) end_sessions_without_access();
}

/// Those of which it cannot be found out stay for now.
void Server::end_sessions_without_access() {
  bool is_all_known = true;
  (void)sessions_.end_if(
      [&](const Session& session) {
        const auto has = maker_.has_access(session.identity());
        is_all_known = is_all_known && has.has_value();
        return has && !*has;
      },
      {Status::kSessionUnknown, "its device token was revoked, or its account removed"});
  if (!is_all_known) must_check_access_ = true;
}

}  // namespace homefs
