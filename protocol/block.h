// How a file is cut into blocks: the unit that is hashed, verified, resent and resumed.
//
// Executor: thread-safe (pure functions). Blocks: never.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace homefs {

/// A block is 64 KiB of a file, aligned to the file. Small enough that a resend after a bad block,
/// or the rest of a broken transfer, costs little; large enough that its 16 byte digest is 0.02 %
/// of the traffic, and that a 1 MiB request gives 16 of them, which are then hashed side by side.
inline constexpr std::size_t kBlockBytes = std::size_t{64} * 1024;

/// Bytes from `file_offset` to the end of its block: 1 to kBlockBytes.
[[nodiscard]] constexpr std::size_t bytes_to_block_end(std::uint64_t file_offset) {
  return kBlockBytes - static_cast<std::size_t>(file_offset % kBlockBytes);
}

/// How many pieces `length` bytes at `file_offset` fall into when cut at the multiples of
/// kBlockBytes. The first and the last may be short. No bytes are no pieces.
[[nodiscard]] constexpr std::size_t piece_count(std::uint64_t file_offset, std::size_t length) {
  if (length == 0) return 0;
  const std::size_t first = std::min(length, bytes_to_block_end(file_offset));
  const std::size_t rest = length - first;
  return 1 + rest / kBlockBytes + (rest % kBlockBytes != 0 ? 1 : 0);
}

}  // namespace homefs
