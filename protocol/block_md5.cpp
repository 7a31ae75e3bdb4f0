#include "protocol/block_md5.h"

#include <algorithm>
#include <array>

#include "protocol/block_md5_lanes.h"
#include "protocol/block_md5_variant.h"
#include "protocol/result.h"

namespace homefs {
namespace {

const md5::Kernels& kernels_of(Md5Variant variant) {
  static constexpr md5::Kernels kScalar{};
  static constexpr md5::Kernels kVector128{
      .lanes_max = 8, .widths = {{{4, md5::vector128_x4}, {8, md5::vector128_x8}}}};
#if defined(__x86_64__)
  static constexpr md5::Kernels kAvx2{.lanes_max = 16,
                                      .widths = {{{8, md5::avx2_x8}, {16, md5::avx2_x16}}}};
  static constexpr md5::Kernels kAvx512{
      .lanes_max = 32,
      .widths = {{{8, md5::avx512_x8}, {16, md5::avx512_x16}, {32, md5::avx512_x32}}}};
#endif
  switch (variant) {
    case Md5Variant::kScalar:
      return kScalar;
    case Md5Variant::kVector128:
      return kVector128;
#if defined(__x86_64__)
    case Md5Variant::kAvx2:
      return kAvx2;
    case Md5Variant::kAvx512:
      return kAvx512;
#endif
    default:
      break;
  }
  HOMEFS_CHECK(!"an MD5 variant of another architecture");
  return kScalar;
}

/// Found once: asking the processor takes longer than a small block.
const md5::Kernels& best_kernels() {
  static const md5::Kernels& kernels = kernels_of(available_md5_variants().back());
  return kernels;
}

template <class Source>
void hash_all(const md5::Kernels& kernels, Source source, std::size_t blocks) {
  md5::Lanes<Source>(kernels, source, blocks).run();
}

/// Blocks that lie anywhere.
struct ScatteredBlocks {
  std::span<const std::span<const std::byte>> blocks;
  std::span<Md5Digest> digests;

  [[nodiscard]] std::span<const std::byte> block(std::size_t index) const { return blocks[index]; }
  void done(std::size_t index, const Md5Digest& digest) const { digests[index] = digest; }
};

/// The pieces of consecutive bytes of a file.
struct Pieces {
  std::uint64_t file_offset;
  std::span<const std::byte> data;

  [[nodiscard]] std::span<const std::byte> block(std::size_t index) const {
    // Where the piece would begin and end in data if none were cut short.
    const std::size_t end = bytes_to_block_end(file_offset) + index * kBlockBytes;
    const std::size_t begin = index == 0 ? 0 : end - kBlockBytes;
    return data.subspan(begin, std::min(end, data.size()) - begin);
  }
};

struct PiecesToHash : Pieces {
  std::span<Md5Digest> digests;

  void done(std::size_t index, const Md5Digest& digest) const { digests[index] = digest; }
};

struct PiecesToCheck : Pieces {
  std::span<const Md5Digest> digests;
  std::size_t* first_bad;  // the number of pieces as long as none is bad

  void done(std::size_t index, const Md5Digest& digest) const {
    if (digest != digests[index]) *first_bad = std::min(*first_bad, index);
  }
};

}  // namespace

std::string_view name_of(Md5Variant variant) {
  switch (variant) {
    case Md5Variant::kScalar:
      return "scalar";
    case Md5Variant::kVector128:
      return "vector128";
    case Md5Variant::kAvx2:
      return "avx2";
    case Md5Variant::kAvx512:
      return "avx512";
  }
  return "unknown";
}

std::span<const Md5Variant> available_md5_variants() {
  static constexpr std::array kAll{Md5Variant::kScalar, Md5Variant::kVector128, Md5Variant::kAvx2,
                                   Md5Variant::kAvx512};
  std::size_t count = 2;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) {
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    count = has_avx512 ? 4 : 3;
  }
#endif
  return std::span(kAll).first(count);
}

void md5_blocks_with(Md5Variant variant, std::span<const std::span<const std::byte>> blocks,
                     std::span<Md5Digest> digests) {
  HOMEFS_CHECK(blocks.size() == digests.size());
  hash_all(kernels_of(variant), ScatteredBlocks{blocks, digests}, blocks.size());
}

void md5_blocks(std::span<const std::span<const std::byte>> blocks, std::span<Md5Digest> digests) {
  HOMEFS_CHECK(blocks.size() == digests.size());
  hash_all(best_kernels(), ScatteredBlocks{blocks, digests}, blocks.size());
}

void md5_pieces(std::uint64_t file_offset, std::span<const std::byte> data,
                std::span<Md5Digest> digests) {
  HOMEFS_CHECK(digests.size() == piece_count(file_offset, data.size()));
  hash_all(best_kernels(), PiecesToHash{{file_offset, data}, digests}, digests.size());
}

bool md5_pieces_equal(std::uint64_t file_offset, std::span<const std::byte> data,
                      std::span<const Md5Digest> digests, std::size_t* first_bad) {
  HOMEFS_CHECK(digests.size() == piece_count(file_offset, data.size()));
  std::size_t bad = digests.size();
  hash_all(best_kernels(), PiecesToCheck{{file_offset, data}, digests, &bad}, digests.size());
  if (bad == digests.size()) return true;
  if (first_bad != nullptr) *first_bad = bad;
  return false;
}

}  // namespace homefs
