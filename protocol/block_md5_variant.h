// The forms in which the multi-lane MD5 exists, one per instruction set. Programs call
// md5_blocks(), which takes the best one; tests and the benchmark run each of them.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <span>
#include <string_view>

#include "protocol/block_md5.h"

namespace homefs {

enum class Md5Variant {
  kScalar,     ///< One message at a time.
  kVector128,  ///< 4 lanes a register: SSE2, NEON.
  kAvx2,       ///< 8 lanes a register.
  kAvx512,     ///< 16 lanes a register.
};

/// "scalar", "vector128", "avx2", "avx512".
[[nodiscard]] std::string_view name_of(Md5Variant variant);

/// Those that this processor can run, the best one last.
[[nodiscard]] std::span<const Md5Variant> available_md5_variants();

/// md5_blocks() with `variant`, which must be an available one.
void md5_blocks_with(Md5Variant variant, std::span<const std::span<const std::byte>> blocks,
                     std::span<Md5Digest> digests);

}  // namespace homefs
