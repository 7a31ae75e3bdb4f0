// The replies to changes that a kill of the server has left without one, and what a reply that is
// older than this run of the server may say.
//
// Executor: pure functions, thread-safe. Blocks: never.
#pragma once

#include "protocol/op.h"
#include "server/change_facts.h"
#include "server/request.h"

namespace homefs {

/// The reply to the change `op` that came to `outcome`, as its handler would have given it.
Reply outcome_reply(Op op, const ChangeOutcome& outcome, const GrantState& grant);

/// Takes out of a reply of an earlier run what is true in its own run only: the orders of its
/// attributes, and what was granted to the session. A reply that cannot be read stays as it is.
void age_reply(Op op, Reply& reply);

}  // namespace homefs
