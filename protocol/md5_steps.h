// The numbers of MD5 (RFC 1321, section 3), shared by the scalar core and every vector kernel.
//
// Executor: thread-safe (constants). Blocks: never.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace homefs::md5 {

/// MD5 eats its message in chunks of 64 bytes = 16 words, 64 steps each.
inline constexpr std::size_t kChunkBytes = 64;
inline constexpr std::size_t kChunkWords = 16;
inline constexpr std::size_t kSteps = 64;

/// The end of a message: a 1 bit, zeros, and the length in bits in the last 8 bytes of a chunk.
inline constexpr std::size_t kLengthBytes = 8;

/// A, B, C and D before the first chunk (section 3.3).
inline constexpr std::array<std::uint32_t, 4> kInitialState{0x67452301, 0xefcdab89, 0x98badcfe,
                                                            0x10325476};

/// T[i] of section 3.4: the integer part of 2^32 * abs(sin(i + 1)), i + 1 in radians.
inline constexpr std::array<std::uint32_t, kSteps> kSine{
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

/// By how many bits step `step` rotates: each of the four rounds repeats four numbers.
[[nodiscard]] constexpr int rotation_of(std::size_t step) {
  constexpr int kRotations[4][4] = {
      {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  return kRotations[step / 16][step % 4];
}

/// Which of the chunk's 16 words step `step` adds.
[[nodiscard]] constexpr std::size_t word_of(std::size_t step) {
  switch (step / 16) {
    case 0:
      return step % kChunkWords;
    case 1:
      return (5 * step + 1) % kChunkWords;
    case 2:
      return (3 * step + 5) % kChunkWords;
    default:
      return 7 * step % kChunkWords;
  }
}

// Words are read from, and digests written to, memory as they lie there.
static_assert(std::endian::native == std::endian::little);

}  // namespace homefs::md5
