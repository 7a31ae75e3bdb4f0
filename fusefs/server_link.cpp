#include "fusefs/server_link.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace homefs {
namespace {

// How long an orderly end may take; the server does not need it, it only frees things earlier.
constexpr std::chrono::milliseconds kGoodbyeDeadline{1000};

// The first 8 hex digits: enough to find it in the server's log.
std::string short_name(const SessionId& id) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  for (const std::byte byte : std::span(id).first<4>()) {
    name += kDigits[std::to_integer<unsigned>(byte) >> 4];
    name += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return name;
}

}  // namespace

ServerLink::ServerLink(boost::asio::any_io_executor executor, TlsContext tls, LinkOptions options)
    : options_(std::move(options)),
      executor_(executor),
      dialer_(std::move(executor), std::move(tls), options_, *this),
      reconnector_({options_.times.backoff_first, options_.times.backoff_max},
                   [this] { return connect_missing(); }) {}

ServerLink::~ServerLink() {
  close();
  std::unique_lock lock(open_mutex_);
  all_closed_.wait(lock, [this] { return open_connections_ == 0; });
}

Result<> ServerLink::connect_and_login() {
  HOMEFS_CHECK(!is_started_);
  const auto begin = std::chrono::steady_clock::now();
  auto dialed = dialer_.dial_control(std::nullopt, 0);
  if (!dialed) return std::unexpected(dialed.error());
  spdlog::info("logged in: server={}:{} user={} took_ms={}", options_.server.host,
               options_.server.port, options_.credentials.user,
               std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::steady_clock::now() - begin)
                   .count());
  adopt_control(std::move(*dialed), /*is_first=*/true);
  is_started_ = true;
  ticker_ = std::make_unique<Ticker>(executor_, options_.times.tick,
                                     [this](bool was_suspended) { on_tick(was_suspended); });
  reconnector_.wake();
  return {};
}

void ServerLink::attach(IntroductionSource& introductions, LinkEvents& events) {
  {
    const std::unique_lock lock(attachment_mutex_);
    HOMEFS_CHECK(introductions_ == nullptr);
    introductions_ = &introductions;
  }
  relay_.attach(events);
}

void ServerLink::detach() {
  relay_.detach();
  const std::unique_lock lock(attachment_mutex_);
  introductions_ = nullptr;
}

void ServerLink::close(bool end_session) {
  ticker_.reset();
  dialer_.shut_down();
  reconnector_.stop();
  std::vector<Done> unanswered;
  std::vector<ConnectionPtr> connections;
  {
    auto state = state_.lock();
    if (state->is_closed) return;
    state->is_closed = true;
    if (state->control != nullptr) connections.push_back(std::exchange(state->control, nullptr));
    connections.insert(connections.end(), state->bulk.begin(), state->bulk.end());
    state->bulk.clear();
    unanswered = state->window.clear();
  }
  for (Done& done : unanswered) done(fail(Status::kDisconnected, "the link was closed"));
  const Error why{Status::kDisconnected, "the link was closed"};
  for (const ConnectionPtr& connection : connections) {
    if (end_session && connection == connections.front()) {
      OutFrame goodbye;
      goodbye.header.op = Op::kGoodbye;
      goodbye.fields = encode_json(Goodbye{});
      goodbye.header.tag = kPingTagFirst;
      (void)connection->send(std::move(goodbye), /*is_bulk=*/false);  // a courtesy
    }
    connection->close_after_flush(why);
  }
  std::unique_lock lock(open_mutex_);
  all_closed_.wait_for(lock, kGoodbyeDeadline, [this] { return open_connections_ == 0; });
  lock.unlock();
  for (const ConnectionPtr& connection : connections) connection->close(why);
}

std::optional<LinkSession> ServerLink::session() { return state_.lock()->session; }

LinkStatus ServerLink::status() {
  LinkStatus status;
  status.server = options_.server.host + ":" + std::to_string(options_.server.port);
  status.fingerprint = dialer_.offered_fingerprint();
  status.bytes_in = counters_.bytes_in();
  status.bytes_out = counters_.bytes_out();
  std::vector<ConnectionPtr> connections;
  {
    auto state = state_.lock();
    status.is_connected = state->control != nullptr;
    status.bulk_connections = state->bulk.size();
    status.calls_under_way = state->window.under_way();
    status.calls_waiting = state->window.waiting();
    status.queued_bytes = state->window.waiting_payload_bytes();
    if (state->session) {
      status.incarnation = state->session->incarnation;
      status.session = short_name(state->session->id);
    }
    connections = state->bulk;
    if (state->control != nullptr) connections.push_back(state->control);
  }
  if (status.is_connected) status.round_trip = connections.back()->round_trip();
  for (const ConnectionPtr& connection : connections) {
    status.queued_bytes += connection->channel()->queued_bytes();
    status.bytes_in += connection->bytes_received();
    status.bytes_out += connection->bytes_sent();
  }
  return status;
}

// ---- Connections ----------------------------------------------------------------------------

void ServerLink::on_connection_opening() {
  const std::lock_guard lock(open_mutex_);
  ++open_connections_;
}

void ServerLink::on_connection_closed(LinkConnection& connection, const Error& why) {
  counters_.add_bytes(connection.bytes_received(), connection.bytes_sent());
  if (drop_connection(connection)) {
    spdlog::warn("the connection broke, reconnecting: server={}:{} connection={} why=\"{}\"",
                 options_.server.host, options_.server.port, connection.id(), why.message());
    counters_.note_trouble("the connection broke: " + why.message());
    reconnector_.wake();
  }
  // Under the lock: the link may be destroyed as soon as the last one is counted.
  const std::lock_guard lock(open_mutex_);
  if (--open_connections_ == 0) all_closed_.notify_all();
}

// Takes a closed connection out of use. True when the link was using it, and goes on.
bool ServerLink::drop_connection(LinkConnection& connection) {
  const bool was_tended = tended_.lock()->erase(connection.id()) != 0;
  auto state = state_.lock();
  if (state->control.get() == &connection) state->control = nullptr;
  std::erase_if(state->bulk, [&](const ConnectionPtr& each) { return each.get() == &connection; });
  state->window.on_break(connection.id());
  return was_tended && !state->is_closed;
}

Result<> ServerLink::connect_missing() {
  dialer_.reset_interrupt();
  for (;;) {
    bool needs_control = false;
    {
      auto state = state_.lock();
      if (state->is_closed) return {};
      needs_control = state->control == nullptr;
      const bool needs_bulk = !state->is_bulk_refused &&
                              state->bulk.size() < std::min(options_.bulk_connections,
                                                            state->session->bulk_connections);
      if (!needs_control && !needs_bulk) return {};
    }
    const Result<> connected = needs_control ? connect_control() : connect_bulk();
    if (!connected) return connected;
  }
}

Result<> ServerLink::connect_control() {
  std::optional<LinkSession> session;
  std::uint64_t seq_done = 0;
  {
    auto state = state_.lock();
    session = state->session;
    seq_done = state->window.seq_done();
  }
  auto dialed = dialer_.dial_control(session, seq_done);
  if (!dialed) {
    if (dialed.error().status == Status::kInterrupted) return std::unexpected(dialed.error());
    spdlog::warn("no connection, trying again: server={}:{} why=\"{}\"", options_.server.host,
                 options_.server.port, dialed.error().message());
    counters_.note_trouble(dialed.error().message());
    return std::unexpected(dialed.error());
  }
  counters_.count_reconnect();
  spdlog::info("connected again: server={}:{} same_session={}", options_.server.host,
               options_.server.port, dialed->is_same_session);
  adopt_control(std::move(*dialed), /*is_first=*/false);
  if (options_.on_reconnected) options_.on_reconnected();
  return {};
}

Result<> ServerLink::connect_bulk() {
  const std::optional<LinkSession> session = state_.lock()->session;
  if (!session) return fail(Status::kNotLoggedIn);
  auto connection = dialer_.dial_bulk(*session);
  if (!connection) {
    const Status status = connection.error().status;
    const bool is_network = status == Status::kDisconnected || status == Status::kTimedOut ||
                            status == Status::kInterrupted;
    {
      auto state = state_.lock();
      // The control connection notices for itself when the server is gone, or has a new session.
      state->is_bulk_over_control = state->bulk.empty();
      if (!is_network && status != Status::kSessionUnknown) state->is_bulk_refused = true;
    }
    if (!is_network)
      spdlog::warn("no bulk connection, going on without: why=\"{}\"",
                   connection.error().message());
    pump(Lane::kBulk);
    if (is_network || status == Status::kSessionUnknown) return std::unexpected(connection.error());
    return {};
  }
  start_tending(*connection);
  {
    auto state = state_.lock();
    const bool is_current = state->session && state->session->id == session->id;
    if (state->is_closed || !is_current) {
      (*connection)->close({Status::kDisconnected, "the session has ended"});
      return {};
    }
    state->bulk.push_back(*connection);
    state->is_bulk_over_control = false;
  }
  (*connection)->adopt();
  if ((*connection)->is_closed()) (void)drop_connection(**connection);
  pump(Lane::kBulk);
  return {};
}

void ServerLink::adopt_control(LinkDialer::Dialed dialed, bool is_first) {
  const ConnectionPtr& connection = dialed.connection;
  std::vector<ConnectionPtr> orphaned;
  std::vector<PendingPtr> doubtful;
  if (!is_first && !dialed.is_same_session) {
    auto state = state_.lock();
    orphaned.swap(state->bulk);
    for (const ConnectionPtr& bulk : orphaned) state->window.on_break(bulk->id());
    doubtful = state->window.on_new_session();
    state->is_bulk_refused = false;
  }
  for (const ConnectionPtr& bulk : orphaned) {
    bulk->close({Status::kSessionUnknown, "the server has begun a new session"});
  }
  // Before anything is sent in the new session, and before its first event is read.
  if (!is_first) relay_.on_reconnected(dialed.is_same_session);
  start_tending(connection);
  {
    auto state = state_.lock();
    state->session = std::move(dialed.session);
    state->is_bulk_over_control =
        state->bulk.empty() &&
        std::min(options_.bulk_connections, state->session->bulk_connections) == 0;
    state->is_blocked.fill(false);
    state->connected_since = std::chrono::steady_clock::now();
    if (!state->is_closed) state->control = connection;
  }
  connection->adopt();
  // It may have been closed before the state knew of it; then nobody has taken it out yet.
  if (connection->is_closed() && drop_connection(*connection)) reconnector_.wake();
  for (const PendingPtr& call : doubtful) {
    call->done(fail(Status::kIoError, "the server restarted: unknown whether data was appended"));
  }
  pump_all();
}

}  // namespace homefs
