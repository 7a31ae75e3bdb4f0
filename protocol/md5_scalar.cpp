#include "protocol/md5_scalar.h"

#include <cstring>
#include <utility>

namespace homefs::md5 {
namespace {

using Word = std::uint32_t;
constexpr bool kHasTernaryLogic = false;

#define HOMEFS_MD5_INLINE [[gnu::always_inline]] inline
#define HOMEFS_MD5_REGISTER "r"
#include "protocol/md5_steps.inc"

/// The words of a chunk, read where they are used: x86 adds from memory at no cost.
struct ChunkWords {
  const std::byte* chunk;

  HOMEFS_MD5_INLINE Word operator[](std::size_t index) const {
    Word word;
    std::memcpy(&word, chunk + index * sizeof word, sizeof word);
    return word;
  }
};

template <std::size_t... kStep>
HOMEFS_MD5_INLINE void all_steps(State& state, ChunkWords words, std::index_sequence<kStep...>) {
  (step_of<kStep>(state, words, kSine.data()), ...);
}

}  // namespace

void compress(ScalarState& state, const std::byte* data, std::size_t chunks) {
  State now{state[0], state[1], state[2], state[3]};
  for (; chunks != 0; --chunks, data += kChunkBytes) {
    const State before = now;
    all_steps(now, ChunkWords{data}, std::make_index_sequence<kSteps>());
    add(now, before);
  }
  state = {now.a, now.b, now.c, now.d};
}

void make_tail(Tail& tail, const std::byte* rest, std::uint64_t message_bytes) {
  const std::size_t rest_bytes = message_bytes % kChunkBytes;
  // The 1 bit takes a byte; where the length does not fit behind it, a second chunk is begun.
  tail.chunks = rest_bytes + 1 + kLengthBytes <= kChunkBytes ? 1 : 2;
  tail.bytes.fill(std::byte{0});
  if (rest_bytes != 0) std::memcpy(tail.bytes.data(), rest, rest_bytes);
  tail.bytes[rest_bytes] = std::byte{0x80};
  const std::uint64_t message_bits = message_bytes * 8;
  std::memcpy(tail.bytes.data() + tail.chunks * kChunkBytes - kLengthBytes, &message_bits,
              kLengthBytes);
}

Md5Digest digest_of(const ScalarState& state) { return std::bit_cast<Md5Digest>(state); }

}  // namespace homefs::md5
