#include "fusefs/transfer/block_diff.h"

#include <algorithm>

#include "protocol/result.h"

namespace homefs {

std::vector<BlockRun> diff_blocks(std::uint64_t offset, std::uint64_t length,
                                  std::span<const Md5Digest> wanted,
                                  std::span<const Md5Digest> have,
                                  std::span<const Md5Digest> basis) {
  HOMEFS_CHECK(offset % kBlockBytes == 0 && wanted.size() == piece_count(offset, length));
  std::vector<BlockRun> runs;
  const std::uint64_t end = offset + length;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    BlockSource source = BlockSource::kSend;
    if (i < have.size() && have[i] == wanted[i]) {
      source = BlockSource::kHave;
    } else if (i < basis.size() && basis[i] == wanted[i]) {
      source = BlockSource::kCopy;
    }
    const std::uint64_t at = offset + i * kBlockBytes;
    const std::uint64_t bytes = std::min<std::uint64_t>(kBlockBytes, end - at);
    if (!runs.empty() && runs.back().source == source) {
      runs.back().length += bytes;
    } else {
      runs.push_back({source, at, bytes});
    }
  }
  return runs;
}

std::span<const Md5Digest> blocks_from(std::span<const Md5Digest> digests, std::uint64_t offset) {
  const std::uint64_t first = offset / kBlockBytes;
  return first < digests.size() ? digests.subspan(first) : std::span<const Md5Digest>();
}

}  // namespace homefs
