// The scalar core of MD5: one message, chunk after chunk. The base of Md5Stream, and what the
// multi-lane code falls back to when too few messages are left to fill its lanes.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/md5_digest.h"
#include "protocol/md5_steps.h"

namespace homefs::md5 {

/// A, B, C and D after the chunks so far.
using ScalarState = std::array<std::uint32_t, 4>;

/// Adds `chunks` * 64 bytes at `data`, of any alignment, to `state`.
void compress(ScalarState& state, const std::byte* data, std::size_t chunks);

/// The last one or two chunks of a message.
struct Tail {
  std::array<std::byte, 2 * kChunkBytes> bytes;
  std::size_t chunks;
};

/// Writes the tail of a message of `message_bytes`, the last `message_bytes` % 64 of which are at
/// `rest`: those, the 1 bit, zeros, and the length.
void make_tail(Tail& tail, const std::byte* rest, std::uint64_t message_bytes);

/// The state after the last chunk, as bytes.
[[nodiscard]] Md5Digest digest_of(const ScalarState& state);

}  // namespace homefs::md5
