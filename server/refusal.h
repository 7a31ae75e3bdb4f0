// Which operations are spoken in JSON (login and session), and how one of them is refused.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <cstdint>

#include "protocol/op.h"
#include "protocol/result.h"
#include "server/request.h"

namespace homefs {

/// hello, auth-start, auth-finish, resume.
bool is_login_op(Op op);

/// The reply that refuses a login or session operation.
Reply refusal_reply(const Error& error, std::uint32_t retry_after_seconds = 0);
/// The reply that refuses `op`, in the form that its client expects.
Reply refusal_reply_for(Op op, const Error& error);

}  // namespace homefs
