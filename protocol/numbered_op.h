// Requests that are outside of the sequence, and must not be done twice: they carry a number of
// their own (PROTOCOL.md, "Writes").
#pragma once

#include "protocol/op.h"

namespace homefs {

/// Whether requests of this operation carry a write number.
constexpr bool is_numbered(Op op) { return op == Op::kWrite || op == Op::kFsync; }

}  // namespace homefs
