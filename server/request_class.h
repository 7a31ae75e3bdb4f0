// How each operation of a session is run: the network side's half of the attack surface, on one
// screen. The other half is the table of file operations (dispatch.h).
//
// Executor: immutable data, thread-safe. Blocks: never.
#pragma once

#include "protocol/op.h"

namespace homefs {

enum class RequestClass {
  kRefused,  ///< no request of a session: the connection is closed
  kChange,   ///< in sequence, one at a time; control connection only
  kQuick,    ///< answered on the thread that received it
  kData,     ///< beside others
  kSlow,     ///< beside others, and never on all threads of a session
  kSession,  ///< about the session itself; control connection only, but for ping
};

RequestClass class_of(Op op);

/// Changes that may take long: they leave the thread that receives, so that lookups pass them.
bool is_long_change(Op op);

}  // namespace homefs
