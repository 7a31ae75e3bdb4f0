// ServerLink's clockwork: pings, connections that are given up, calls whose time is over.
#include <algorithm>
#include <utility>
#include <vector>

#include "fusefs/server_link.h"

namespace homefs {
namespace {

// A connection that has held so long is no sign of a server that breaks what it accepts.
constexpr std::chrono::seconds kHeldLongEnough{10};
// A network that changes all the time must not break each attempt to connect before it is done.
constexpr std::chrono::seconds kHurriesApart{3};

}  // namespace

void ServerLink::start_tending(const ConnectionPtr& connection) {
  tended_.lock()->emplace(connection->id(),
                          Tended{.connection = connection,
                                 .health = ConnectionHealth(std::chrono::steady_clock::now())});
}

void ServerLink::on_tick(bool was_suspended) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const bool has_network_changed = network_.has_changed();
  if (was_suspended ||
      (has_network_changed && !is_connected() && now - last_hurry_ > kHurriesApart)) {
    // Whatever the dialing thread waits for was meant for the time or the network before.
    last_hurry_ = now;
    dialer_.interrupt();
    reconnector_.hurry();
  }
  std::vector<ConnectionPtr> connections;
  {
    // Named: the lock of a temporary would be given back before the loop.
    const auto tended = tended_.lock();
    for (const auto& [id, each] : *tended) connections.push_back(each.connection);
  }
  for (const ConnectionPtr& connection : connections) {
    const ConnectionWay way = has_network_changed ? connection->way() : ConnectionWay::kSame;
    if (way == ConnectionWay::kNoAddress) {
      connection->close({Status::kDisconnected, "this machine has another address now"});
    } else {
      tend(connection, was_suspended || way == ConnectionWay::kOther, keepalive());
    }
  }
  if (options_.times.timeo) fail_expired(now - *options_.times.timeo);
  bool has_held = false;
  {
    auto state = state_.lock();
    has_held = state->control != nullptr && now - state->connected_since > kHeldLongEnough;
  }
  if (has_held) reconnector_.forget_failures();
}

bool ServerLink::is_connected() { return state_.lock()->control != nullptr; }

SteadyTime ServerLink::last_sign_of_life() {
  SteadyTime last{};
  const auto tended = tended_.lock();
  for (const auto& [id, each] : *tended) {
    last = std::max({last, each.health.last_alive(), each.connection->last_received()});
  }
  return last;
}

std::optional<SteadyTime> ServerLink::oldest_change() {
  auto state = state_.lock();
  state->window.note_progress(std::chrono::steady_clock::now());
  return state->window.oldest_change();
}

// The shorter of what the user and what the server asks for.
std::chrono::milliseconds ServerLink::keepalive() {
  const auto state = state_.lock();
  if (!state->session || state->session->keepalive.count() == 0) return options_.times.keepalive;
  return std::min<std::chrono::milliseconds>(options_.times.keepalive, state->session->keepalive);
}

void ServerLink::tend(const ConnectionPtr& connection, bool is_in_doubt,
                      std::chrono::milliseconds keepalive) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const ConnectionHealth::Signs signs{.last_received = connection->last_received(),
                                      .bytes_acknowledged = connection->bytes_acknowledged()};
  auto verdict = ConnectionHealth::Verdict::kFine;
  OutFrame ping;
  ping.header.op = Op::kPing;
  {
    auto tended = tended_.lock();
    const auto found = tended->find(connection->id());
    if (found == tended->end()) return;
    if (is_in_doubt) found->second.health.doubt();
    verdict = found->second.health.check(now, signs, keepalive);
    if (verdict == ConnectionHealth::Verdict::kPing) {
      // Never below kPingTagFirst: the highest bit stays set.
      ping.header.tag = kPingTagFirst | last_ping_tag_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (verdict == ConnectionHealth::Verdict::kPing) {
    (void)connection->send(std::move(ping), /*is_bulk=*/false);  // not taken: a missed one
  } else if (verdict == ConnectionHealth::Verdict::kBroken) {
    connection->close({Status::kTimedOut, "the server does not answer"});
  }
}

// A change is never given up: it may be done later, and the caches have to follow.
void ServerLink::fail_expired(SteadyTime limit) {
  std::vector<Done> expired;
  {
    auto state = state_.lock();
    state->window.note_progress(std::chrono::steady_clock::now());
    expired = state->window.abandon_older_than(limit);
  }
  for (Done& done : expired) done(fail(Status::kTimedOut));
}

}  // namespace homefs
