// Where a new password comes from: asked for twice on the terminal without an echo, or the first
// line of standard input.
//
// Executor: the main thread. Blocks: until it was given.
#pragma once

#include <string>

#include "protocol/result.h"

namespace homefs {

/// kInvalid with a text for the user: no terminal, two different answers, or a password that
/// check_password() refuses.
Result<std::string> read_new_password(bool from_stdin);

}  // namespace homefs
