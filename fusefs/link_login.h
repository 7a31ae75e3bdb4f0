// The login of a Link, as the client sees it: hello, then SCRAM with the password or a device
// token, or the proof that re-joins a session. PROTOCOL.md sections "Hello" and "Login".
//
// Executor: the dialing thread. Blocks: yes, each exchange for up to LoginStep::deadline, and
// log_in() works for some tenths of a second to make a password expensive to guess.
#pragma once

#include <chrono>
#include <cstdint>

#include "fusefs/link.h"
#include "fusefs/link_connection.h"
#include "fusefs/link_options.h"
#include "protocol/login_messages.h"

namespace homefs {

/// What a login has made.
struct LinkSession {
  SessionId id{};
  SessionSecret secret{};
  std::uint64_t incarnation = 0;     ///< differs when the server does not know our nodes any more
  std::uint64_t boot = 0;            ///< of the server's machine; 0: it does not tell
  std::chrono::seconds keepalive{};  ///< that the server asks for; 0: it does not
  std::uint32_t bulk_connections = 0;
  HomeInfo home;
  std::optional<TokenGrant> token;  ///< when LinkOptions::wants_token
};

struct LoginStep {
  LinkConnection& connection;
  const LinkOptions& options;
  const Credentials& credentials;  ///< in place of those of the options
  std::chrono::milliseconds deadline;
};

/// Agrees on a version; the first thing said on a connection. kVersionMismatch.
Result<> say_hello(const LoginStep& step);

/// A new session. Errors: kLoginRefused, kUnknownUser, kAccountDisabled, kLockedOut,
/// kTooManySessions, kServerKeyChanged (the server does not know the user's verifier), those of the
/// exchange.
Result<LinkSession> log_in(const LoginStep& step);

struct Resumed {
  LinkSession session;             ///< its incarnation may be another one
  bool has_missed_events = false;  ///< what was cached may be untrue
  std::uint64_t order = 0;         ///< the server's of this moment
};

/// Joins `session` with this connection, as its control connection; replies up to `seq_done` have
/// arrived. kSessionUnknown: the server has forgotten it; log_in() on the same connection may
/// follow.
Result<Resumed> resume_control(const LoginStep& step, const LinkSession& session,
                               std::uint64_t seq_done);
/// The same as bulk connection number `place`, from 1 on, instead of the one that was it before.
Result<> resume_bulk(const LoginStep& step, const LinkSession& session, std::uint32_t place);

}  // namespace homefs
