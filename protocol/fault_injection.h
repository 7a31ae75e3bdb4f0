// Flipped bits for the tests: one bit of the data of every Nth large frame, so that they can prove
// that the MD5 of the blocks catches it. Compiled in with HOMEFS_FAULTS only; chosen by
//
//   HOMEFS_FAULT_FLIP=send:7     every 7th frame sent, before it is encrypted
//   HOMEFS_FAULT_FLIP=recv:7     every 7th frame received, after it is decrypted
//
// Only frames of at least kFaultBodyBytesMin count. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/frame.h"

namespace homefs {

/// Frames below carry no file data worth the name; their corruption would be a protocol error.
inline constexpr std::size_t kFaultBodyBytesMin = 2048;

#ifdef HOMEFS_FAULTS

/// Maybe flips a bit of the payload, in a copy: the payload may be shared.
void inject_send_fault(OutFrame& frame);
/// Maybe flips a bit in the last third of the body, where the payload is.
void inject_receive_fault(InFrame& frame);

/// For the tests of this file: as the environment variable would, from now on; "" for none.
/// False when `rule` cannot be read.
bool set_fault_rule(const char* rule);

#else

inline void inject_send_fault(OutFrame&) {}
inline void inject_receive_fault(InFrame&) {}

#endif

}  // namespace homefs
