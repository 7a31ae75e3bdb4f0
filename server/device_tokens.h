// Device tokens: made after a login, listed and revoked by their user.
//
// Executor: thread-safe. Blocks: on the database.
#pragma once

#include <string>

#include "protocol/login_messages.h"
#include "protocol/result.h"
#include "server/state_db.h"

namespace homefs {

/// Rounds of a token's verifier. Its secret is 256 random bits: there is nothing to guess, so the
/// least that the mechanism allows, and a login by token costs no time.
inline constexpr std::uint32_t kTokenIterations = 4096;

/// Makes a token for a device of `account`. The secret is not kept, and told this once.
/// Errors: kTooManyOpen, those of the database.
Result<TokenGrant> make_device_token(StateDb& state, const std::string& account,
                                     const std::string& device);

/// Answers the requests of a session about the tokens of its account.
Result<TokenReply> handle_token_request(StateDb& state, const std::string& account,
                                        const TokenRequest& request);

}  // namespace homefs
