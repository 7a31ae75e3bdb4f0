#include "fusefs/server_link.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace homefs {
namespace {

// Connections that gave so many answers, or moved so much, were good for something: after them the
// next is tried at once, however soon they broke. With less, it may be us who break the server.
constexpr std::uint64_t kAnswersEnough = 16;
constexpr std::uint64_t kBytesEnough = 1024 * 1024;

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

ServerLink::ServerLink(IoThreads& io, TlsContext tls, LinkOptions options)
    : options_(std::move(options)),
      io_(io),
      dialer_(io, std::move(tls), options_, *this),
      reconnector_({options_.times.backoff_first, options_.times.backoff_max},
                   [this] { return connect_missing(); }) {
  state_.lock()->bulk_connections_max = options_.bulk_connections;
}

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
  ticker_ = std::make_unique<Ticker>(io_.executor(), options_.times.tick,
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
  const std::lock_guard closing(close_mutex_);
  ticker_.reset();
  dialer_.shut_down();
  reconnector_.stop();
  std::vector<Done> unanswered;
  std::vector<ConnectionPtr> connections;
  ConnectionPtr control;
  {
    auto state = state_.lock();
    if (state->is_closed) return;
    state->is_closed = true;
    control = std::exchange(state->control, nullptr);
    connections = std::exchange(state->bulk, {});
    unanswered = state->window.clear();
  }
  std::erase(connections, nullptr);
  if (control != nullptr) connections.push_back(control);
  for (Done& done : unanswered) done(fail(Status::kDisconnected, "the link was closed"));
  const Error why{Status::kDisconnected, "the link was closed"};
  for (const ConnectionPtr& connection : connections) {
    if (end_session && connection == control) {
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
    status.refusal = state->refusal;
    status.calls_under_way = state->window.under_way();
    status.calls_waiting = state->window.waiting();
    status.queued_bytes = state->window.waiting_payload_bytes();
    if (state->session) {
      status.incarnation = state->session->incarnation;
      status.session = short_name(state->session->id);
    }
    connections = state->bulk;
    std::erase(connections, nullptr);
    status.bulk_connections = connections.size();
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
    const bool has_moved = connection.bytes_received() + connection.bytes_sent() >= kBytesEnough;
    if (has_moved || state_.lock()->answers >= kAnswersEnough) reconnector_.forget_failures();
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
  for (ConnectionPtr& each : state->bulk) {
    if (each.get() == &connection) each = nullptr;
  }
  state->window.on_break(connection.id());
  return was_tended && !state->is_closed;
}

Result<> ServerLink::connect_missing() {
  dialer_.reset_interrupt();
  for (;;) {
    bool needs_control = false;
    std::size_t place = 0;
    {
      auto state = state_.lock();
      if (state->is_closed) return {};
      needs_control = state->control == nullptr;
      const auto missing = std::ranges::find(state->bulk, nullptr);
      if (!needs_control && missing == state->bulk.end()) return {};
      place = static_cast<std::size_t>(missing - state->bulk.begin());
    }
    const Result<> connected = needs_control ? connect_control() : connect_bulk(place);
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
    note_failure(dialed.error());
    return std::unexpected(dialed.error());
  }
  spdlog::info("connected again: server={}:{} same_session={}", options_.server.host,
               options_.server.port, dialed->is_same_session);
  adopt_control(std::move(*dialed), /*is_first=*/false);
  counters_.count_reconnect();
  if (options_.on_reconnected) options_.on_reconnected();
  return {};
}

void ServerLink::note_failure(const Error& why) {
  spdlog::warn("no connection, trying again: server={}:{} why=\"{}\"", options_.server.host,
               options_.server.port, why.message());
  counters_.note_trouble(why.message());
  auto state = state_.lock();
  if (!is_login_refusal(why.status)) {
    state->refusal.reset();
    return;
  }
  const bool is_another = !state->refusal || state->refusal->status != why.status;
  const auto since = is_another ? std::chrono::system_clock::now() : state->refusal->since;
  state->refusal = LinkRefusal{.status = why.status, .text = why.message(), .since = since};
}

Result<> ServerLink::connect_bulk(std::size_t place) {
  const std::optional<LinkSession> session = state_.lock()->session;
  auto connection = dialer_.dial_bulk(*session, static_cast<std::uint32_t>(place + 1));
  if (!connection) return on_no_bulk(place, connection.error());
  start_tending(*connection);
  {
    auto state = state_.lock();
    const bool is_current = state->session->id == session->id && place < state->bulk.size();
    if (state->is_closed || !is_current) {
      (*connection)->close({Status::kDisconnected, "the session has ended"});
      return {};
    }
    state->bulk[place] = *connection;
    state->is_bulk_over_control = false;
  }
  (*connection)->adopt();
  if ((*connection)->is_closed()) (void)drop_connection(**connection);
  pump(Lane::kBulk);
  return {};
}

// Without a bulk connection its calls go over the control connection; but not those that a broken
// one has carried: the network may still hold some of its writes, which the server would do after
// what is written there next. A resume of the place, or of the control connection, rules that out.
Result<> ServerLink::on_no_bulk(std::size_t place, const Error& why) {
  const bool is_refusal = why.status == Status::kInvalid || why.status == Status::kTooManySessions;
  ConnectionPtr control_to_resume;
  {
    auto state = state_.lock();
    const bool has_resends = state->window.has_resends(Lane::kBulk);
    const bool is_none =
        std::ranges::all_of(state->bulk, [](const ConnectionPtr& each) { return !each; });
    if (is_refusal) {
      state->bulk_connections_max = static_cast<unsigned>(place);
      state->bulk.resize(place);  // the places behind it were not dialed yet, or are refused too
      if (has_resends) control_to_resume = state->control;
    }
    state->is_bulk_over_control = (is_none || state->bulk.empty()) && !has_resends;
  }
  pump(Lane::kBulk);
  if (!is_refusal) return std::unexpected(why);
  spdlog::warn("the server refuses bulk connections, going on with {}: why=\"{}\"", place,
               why.message());
  if (control_to_resume != nullptr) control_to_resume->close(why);
  return {};
}

// Whatever the connections of before carried waits to be sent again: the server closes them when
// the control connection is resumed, and so do we.
std::vector<PendingPtr> ServerLink::break_all(bool is_same_session) {
  std::vector<ConnectionPtr> before;
  std::vector<PendingPtr> doubtful;
  {
    auto state = state_.lock();
    before.swap(state->bulk);
    state->window.on_break_all();
    if (!is_same_session) {
      doubtful = state->window.on_new_session();
      state->bulk_connections_max = options_.bulk_connections;
    }
  }
  std::erase(before, nullptr);
  for (const ConnectionPtr& bulk : before) {
    (void)tended_.lock()->erase(bulk->id());  // it does not break, it is replaced
    bulk->close({Status::kDisconnected, "the control connection was resumed"});
  }
  return doubtful;
}

// An answer of an earlier run of the server must not meet caches that count in orders of the next.
void ServerLink::drop_late_frames(std::uint64_t first_connection) {
  const std::unique_lock none_is_worked_on(frames_mutex_);
  first_connection_ = first_connection;
}

void ServerLink::adopt_control(LinkDialer::Dialed dialed, bool is_first) {
  const ConnectionPtr& connection = dialed.connection;
  std::vector<PendingPtr> doubtful;
  if (!is_first) {
    drop_late_frames(connection->id());
    if (dialed.has_lost_power) relay_.on_power_lost();
    relay_.on_session(dialed.is_same_session);
    doubtful = break_all(dialed.is_same_session);
    // Before anything is sent, and before the first event is read.
    relay_.on_reconnected(dialed.caches);
  }
  start_tending(connection);
  {
    auto state = state_.lock();
    state->session = std::move(dialed.session);
    state->refusal.reset();
    const std::size_t bulk =
        std::min(state->bulk_connections_max, state->session->bulk_connections);
    if (!state->is_closed) state->bulk.resize(bulk);
    state->is_bulk_over_control = bulk == 0;
    state->connected_since = std::chrono::steady_clock::now();
    state->answers = 0;
    if (!state->is_closed) state->control = connection;
  }
  connection->adopt();
  // It may have been closed before the state knew of it; then nobody has taken it out yet.
  if (connection->is_closed() && drop_connection(*connection)) reconnector_.wake();
  for (const PendingPtr& call : doubtful) {
    call->done(
        fail(Status::kIoError, "the server has lost the session: unknown whether it was done"));
  }
  pump_all();
}

}  // namespace homefs
