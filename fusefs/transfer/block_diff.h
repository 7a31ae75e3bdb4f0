// Which blocks of a file are where they should be already: the one engine of put and get.
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/block.h"
#include "protocol/md5_digest.h"

namespace homefs {

enum class BlockSource {
  kHave,  ///< the partial file has it
  kCopy,  ///< the older file under the name has it, at the same place
  kSend,  ///< it has to cross the network
};

/// Blocks of one source, next to each other.
struct BlockRun {
  BlockSource source = BlockSource::kSend;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const BlockRun&) const = default;
};

/// The runs of `length` bytes at `offset`, a multiple of kBlockBytes. The lists hold the MD5 of the
/// blocks from there on: `wanted` of all of them, `have` and `basis` of as many as those files have
/// there. A digest of a block that is cut short at its file's end is only equal when both are.
[[nodiscard]] std::vector<BlockRun> diff_blocks(std::uint64_t offset, std::uint64_t length,
                                                std::span<const Md5Digest> wanted,
                                                std::span<const Md5Digest> have,
                                                std::span<const Md5Digest> basis);

/// The part of `digests`, which begin with a file's first block, from `offset` on.
[[nodiscard]] std::span<const Md5Digest> blocks_from(std::span<const Md5Digest> digests,
                                                     std::uint64_t offset);

}  // namespace homefs
