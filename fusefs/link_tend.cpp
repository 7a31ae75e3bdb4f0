// ServerLink's clockwork: pings, connections that are given up, calls whose time is over.
#include <algorithm>
#include <utility>
#include <vector>

#include "fusefs/server_link.h"

namespace homefs {
namespace {

// A connection that has held so long is no sign of a server that breaks what it accepts.
constexpr std::chrono::seconds kHeldLongEnough{10};

}  // namespace

void ServerLink::start_tending(const ConnectionPtr& connection) {
  tended_.lock()->emplace(connection->id(),
                          Tended{.connection = connection,
                                 .health = ConnectionHealth(std::chrono::steady_clock::now())});
}

void ServerLink::on_tick(bool was_suspended) {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (was_suspended) {
    // Whatever the dialing thread waits for was meant for the time before the sleep.
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
    tend(connection, was_suspended, keepalive());
  }
  if (options_.times.timeo) fail_expired(now - *options_.times.timeo);
  bool has_held = false;
  {
    auto state = state_.lock();
    has_held = state->control != nullptr && now - state->connected_since > kHeldLongEnough;
  }
  if (has_held) reconnector_.forget_failures();
}

SteadyTime ServerLink::last_sign_of_life() {
  SteadyTime last{};
  const auto tended = tended_.lock();
  for (const auto& [id, each] : *tended) {
    last = std::max({last, each.health.last_alive(), each.connection->last_received()});
  }
  return last;
}

// The shorter of what the user and what the server asks for.
std::chrono::milliseconds ServerLink::keepalive() {
  const auto state = state_.lock();
  if (!state->session || state->session->keepalive.count() == 0) return options_.times.keepalive;
  return std::min<std::chrono::milliseconds>(options_.times.keepalive, state->session->keepalive);
}

void ServerLink::tend(const ConnectionPtr& connection, bool was_suspended,
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
    if (was_suspended) found->second.health.on_suspend();
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

void ServerLink::fail_expired(SteadyTime limit) {
  std::vector<Done> expired = state_.lock()->window.abandon_older_than(limit);
  for (Done& done : expired) done(fail(Status::kTimedOut));
}

}  // namespace homefs
