#include "server/session.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <limits>
#include <utility>

#include "protocol/base64.h"
#include "protocol/codec.h"
#include "server/connection.h"

namespace homefs {
namespace {

constexpr Session::Clock::rep kNotIdle = std::numeric_limits<Session::Clock::rep>::max();

Session::Clock::rep now() { return Session::Clock::now().time_since_epoch().count(); }

void close_replaced(const std::vector<std::shared_ptr<Connection>>& connections) {
  for (const auto& connection : connections) {
    if (connection) connection->close({Status::kDisconnected, "replaced by a newer connection"});
  }
}

}  // namespace

std::shared_ptr<Session> Session::make(boost::asio::any_io_executor executor, SessionOwner& owner,
                                       SessionSetup setup) {
  std::shared_ptr<Session> session(new Session(std::move(executor), owner, std::move(setup)));
  session->self_ = session;
  session->files().listen_for_locks([weak = session->self_](std::uint64_t id) {
    if (const auto told = weak.lock()) {
      told->tell(Op::kLockGranted, encode_fields(LockGrantedEvent{id}));
    }
  });
  return session;
}

Session::Session(boost::asio::any_io_executor executor, SessionOwner& owner, SessionSetup setup)
    : executor_(std::move(executor)),
      owner_(owner),
      setup_(std::move(setup)),
      outbox_(EventOutbox::make(executor_, setup_.has_missed_events, setup_.limits.event_deadline)),
      idle_since_(now()),
      state_(std::move(setup_.record), DataQueue::Limits{.running_max = setup_.limits.running_max,
                                                         .slow_max = setup_.limits.slow_max}),
      journal_(state_.lock()->sequencer.journal()),
      writes_(state_.lock()->sequencer.writes()),
      syncs_(state_.lock()->sequencer.syncs()) {
  setup_.files->keep_foreign_changes(state_.lock()->sequencer.foreign_changes());
  state_.lock()->bulk.resize(setup_.limits.bulk_connections_max);
  if (!setup_.digest_executor) setup_.digest_executor = executor_;
}

// Its files leave the home before its record goes, in which others note what they change.
Session::~Session() { setup_.files.reset(); }

// Enough to find its lines in a log.
std::string Session::short_id() const { return to_hex(id()).substr(0, 8); }

bool Session::State::owns(const Connection& connection) const {
  if (control.get() == &connection) return true;
  return std::ranges::any_of(bulk,
                             [&](const Bulk& one) { return one.connection.get() == &connection; });
}

bool Session::State::has_connection() const {
  return control != nullptr ||
         std::ranges::any_of(bulk, [](const Bulk& one) { return one.connection != nullptr; });
}

Result<Session::Attached> Session::attach_control(std::shared_ptr<Connection> connection,
                                                  bool is_shared) {
  // One that is late has to send what is from before, whoever is in the home now.
  is_shared = is_shared || is_late();
  std::vector<ConnectionRef> replaced;
  Attached attached;
  EventOutbox::Connected connected;
  EventOutbox::FirstEvent mode{
      .op = Op::kMode, .fields = encode_fields(ModeEvent{is_shared}), .acknowledged = nullptr};
  if (is_shared) mode.acknowledged = when_shared_is_obeyed();
  if (setup_.has_missed_events) {
    // With it a client that is back after a restart has introduced what it has open.
    mode.acknowledged = [weak = self_, next = std::move(mode.acknowledged)]() mutable {
      if (const auto session = weak.lock()) session->post_end_introduction();
      if (next) next();
    };
  }
  {
    // One step with the outbox: of two that come at once, the same one has to win in both.
    const auto state = state_.lock();
    if (state->has_ended) return fail(Status::kSessionUnknown, "the session has ended");
    replaced.push_back(std::exchange(state->control, connection));
    for (Bulk& bulk : state->bulk) replaced.push_back(std::exchange(bulk, {}).connection);
    connected = outbox_->connect(std::move(connection), std::move(mode));
    attached.last_applied = state->sequencer.last_applied();
    idle_since_ = kNotIdle;
  }
  attached.has_missed_events = connected.has_missed;
  for (EventOutbox::Done& done : connected.given_up) done(false);
  close_replaced(replaced);
  return attached;
}

/// It deletes files, so it does not run on the thread that received the acknowledgement.
void Session::post_end_introduction() {
  boost::asio::post(executor_, [weak = self_] {
    if (const auto session = weak.lock()) session->files().end_introduction();
  });
}

Result<void> Session::attach_bulk(std::shared_ptr<Connection> connection, std::uint32_t place) {
  std::vector<ConnectionRef> replaced;
  {
    const auto state = state_.lock();
    if (state->has_ended) return fail(Status::kSessionUnknown, "the session has ended");
    if (state->bulk.empty() || place > state->bulk.size()) {
      return fail(Status::kInvalid, "more bulk connections than the server takes");
    }
    // Free ones have order 0; else the oldest.
    const auto chosen = place != 0 ? state->bulk.begin() + (place - 1)
                                   : std::ranges::min_element(state->bulk, {}, &Bulk::order);
    replaced.push_back(std::exchange(chosen->connection, std::move(connection)));
    chosen->order = ++state->bulk_attached;
    idle_since_ = kNotIdle;
  }
  close_replaced(replaced);
  return {};
}

void Session::tell_quota() {
  tell(Op::kQuotaChanged, encode_fields(QuotaEvent{setup_.files->grant_state()}));
}

void Session::greet() {
  if (!setup_.has_missed_events || has_returned_.exchange(true)) return tell_quota();
  outbox_->send(Op::kQuotaChanged, encode_fields(QuotaEvent{setup_.files->grant_state()}),
                [home = setup_.home, id = id()](bool) { home->coherence->returned(id); });
}

Result<void> Session::acknowledge(std::uint64_t seq_done) {
  return state_.lock()->sequencer.acknowledge(seq_done);
}

void Session::detach(const Connection& connection) {
  outbox_->disconnect(&connection);
  const auto state = state_.lock();
  if (!state->owns(connection)) return;
  if (state->control.get() == &connection) state->control.reset();
  for (Bulk& bulk : state->bulk) {
    if (bulk.connection.get() == &connection) bulk = {};
  }
  if (!state->has_connection()) idle_since_ = now();
}

void Session::on_connection_closed(const Connection& connection, const Error& why) {
  detach(connection);
  if (why.status == Status::kProtocolError) owner_.end_session(*this, why);
}

std::optional<Session::Clock::time_point> Session::idle_since() const {
  const Clock::rep since = idle_since_;
  if (since == kNotIdle) return std::nullopt;
  return Clock::time_point(Clock::duration(since));
}

std::vector<Session::ConnectionRef> Session::connections_of(const State& state) {
  std::vector<ConnectionRef> connections{state.control};
  for (const Bulk& bulk : state.bulk) connections.push_back(bulk.connection);
  std::erase(connections, nullptr);
  return connections;
}

void Session::stop_reading() {
  const auto connections = connections_of(*state_.lock());
  for (const ConnectionRef& connection : connections) connection->stop_reading();
}

void Session::disconnect(const Error& why) {
  const auto connections = connections_of(*state_.lock());
  for (const ConnectionRef& connection : connections) connection->close_after_flush(why);
}

void Session::keep_for_next_run() {
  is_kept_ = true;
  setup_.files->keep_locks();
}

void Session::close(const Error& why) {
  std::vector<ConnectionRef> connections;
  {
    const auto state = state_.lock();
    if (std::exchange(state->has_ended, true)) return;
    connections = connections_of(*state);
    state->control = nullptr;
    for (Bulk& bulk : state->bulk) bulk.connection = nullptr;
  }
  for (const ConnectionRef& connection : connections) {
    connection->close_after_flush(why);
    outbox_->disconnect(connection.get());
  }
  coherence().leave(self_.lock());
  setup_.files->drop_locks();
  if (is_kept_) return;
  state_.lock()->sequencer.remove_record();
  if (setup_.lock_log) setup_.lock_log->remove();
}

bool Session::has_unanswered() {
  std::vector<ConnectionRef> connections;
  {
    const auto state = state_.lock();
    if (state->sequencer.unsettled() + state->data.unfinished() > 0) return true;
    connections = connections_of(*state);
  }
  // Those that have not got as far as the sequencer.
  return std::ranges::any_of(
      connections, [](const ConnectionRef& connection) { return connection->has_unanswered(); });
}

void Session::set_shared(bool is_shared) {
  if (!is_shared) ++soles_;
  setup_.files->set_shared(is_shared);
}

void Session::send_mode(bool is_shared, std::move_only_function<void(bool)> done) {
  // What it was told last may be of a grant that was taken back meanwhile.
  if (!is_shared) tell_quota();
  outbox_->send(Op::kMode, encode_fields(ModeEvent{is_shared}), std::move(done),
                is_shared ? when_shared_is_obeyed() : nullptr);
}

/// Nothing is on its way any more that the client has answered early.
EventOutbox::Acknowledged Session::when_shared_is_obeyed() {
  return [weak = self_, mode = soles_] {
    if (const auto session = weak.lock()) session->coherence().obeyed(session, mode);
  };
}

bool Session::obeys(std::uint64_t mode) {
  if (mode != soles_) return false;
  setup_.files->end_late();
  return true;
}

std::uint64_t Session::progress() {
  std::uint64_t bytes = 0;
  for (const ConnectionRef& connection : connections_of(*state_.lock())) {
    bytes += connection->received_bytes();
  }
  return bytes;
}

void Session::send_changes(const std::vector<std::byte>& fields,
                           std::move_only_function<void()> done) {
  outbox_->send(Op::kChanged, fields, [done = std::move(done)](bool) mutable { done(); });
}

}  // namespace homefs
