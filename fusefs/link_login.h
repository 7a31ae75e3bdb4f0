// The login of a Link, as the client sees it: hello, SCRAM or a device token, or the proof that
// re-joins a session. PROTOCOL.md section "Login".
//
// Executor: the dialing thread. Blocks: yes, each exchange for up to LoginStep::deadline.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fusefs/link.h"
#include "fusefs/link_connection.h"
#include "fusefs/link_options.h"

namespace homefs {

/// What a login has made.
struct LinkSession {
  std::string id;  ///< 128 bits in hex
  std::string secret;
  std::uint64_t incarnation = 0;  ///< differs when the server has lost its nodes
};

struct LoginStep {
  LinkConnection& connection;
  const LinkOptions& options;
  std::chrono::milliseconds deadline;
};

/// A new session. Errors: kLoginRefused, kUnknownUser, kAccountDisabled, kLockedOut,
/// kVersionMismatch, kTooManySessions, kServerKeyChanged (the server does not know the user's
/// verifier), those of the exchange.
Result<LinkSession> log_in(const LoginStep& step);

/// Joins `session` with this connection. kSessionUnknown: the server has forgotten it; log_in() on
/// the same connection may follow.
Result<LinkSession> resume_session(const LoginStep& step, const LinkSession& session, Lane lane);

}  // namespace homefs
