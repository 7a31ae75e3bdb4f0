// How fast blocks are hashed: each form of the multi-lane MD5, the whole-file stream, and OpenSSL.
// bytes_per_second is of one core. Run: block_md5_bench --benchmark_counters_tabular=true
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/block_md5_variant.h"
#include "protocol/md5_stream.h"

namespace {

using homefs::kBlockBytes;
using homefs::Md5Digest;
using homefs::Md5Variant;

/// `count` blocks of 64 KiB, one behind the other as in a request's buffer.
class Blocks {
 public:
  explicit Blocks(std::size_t count) : bytes_(count * kBlockBytes), digests_(count) {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i * 7 >> 3);
    for (std::size_t i = 0; i < count; ++i) {
      spans_.push_back(std::span<const std::byte>(bytes_).subspan(i * kBlockBytes, kBlockBytes));
    }
  }

  [[nodiscard]] std::span<const std::span<const std::byte>> spans() const { return spans_; }
  [[nodiscard]] std::span<Md5Digest> digests() { return digests_; }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  void report(benchmark::State& state) const {
    benchmark::DoNotOptimize(digests_.data());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes_.size()));
  }

 private:
  std::vector<std::byte> bytes_;
  std::vector<std::span<const std::byte>> spans_;
  std::vector<Md5Digest> digests_;
};

bool is_available(Md5Variant variant) {
  const std::span<const Md5Variant> available = homefs::available_md5_variants();
  return std::ranges::find(available, variant) != available.end();
}

void hash_blocks(benchmark::State& state, Md5Variant variant) {
  if (!is_available(variant)) {
    state.SkipWithError("not on this processor");
    return;
  }
  Blocks blocks(static_cast<std::size_t>(state.range(0)));
  while (state.KeepRunning()) md5_blocks_with(variant, blocks.spans(), blocks.digests());
  blocks.report(state);
}

/// A request of 1 MiB at a file offset, as the client and the server hash it.
void hash_pieces(benchmark::State& state) {
  const auto offset = static_cast<std::uint64_t>(state.range(0));
  Blocks blocks(16);
  std::vector<Md5Digest> digests(homefs::piece_count(offset, blocks.bytes().size()));
  while (state.KeepRunning()) homefs::md5_pieces(offset, blocks.bytes(), digests);
  benchmark::DoNotOptimize(digests.data());
  blocks.report(state);
}

void hash_stream(benchmark::State& state) {
  Blocks blocks(1);
  while (state.KeepRunning()) blocks.digests()[0] = homefs::md5_of(blocks.bytes());
  blocks.report(state);
}

void hash_openssl(benchmark::State& state) {
  Blocks blocks(static_cast<std::size_t>(state.range(0)));
  EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  while (state.KeepRunning()) {
    for (std::size_t i = 0; i < blocks.spans().size(); ++i) {
      const std::span<const std::byte> data = blocks.spans()[i];
      EVP_Digest(data.data(), data.size(),
                 reinterpret_cast<unsigned char*>(blocks.digests()[i].data()), nullptr, md5,
                 nullptr);
    }
  }
  EVP_MD_free(md5);
  blocks.report(state);
}

/// 1 block: a small file. 2 to 8: where lanes begin to pay. 16: a request of 1 MiB. 32: all lanes
/// of AVX-512. 1024: from memory, not from the cache.
void block_counts(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("blocks")->ArgsProduct({{1, 2, 3, 4, 8, 16, 32, 1024}});
}

BENCHMARK_CAPTURE(hash_blocks, scalar, Md5Variant::kScalar)->Apply(block_counts);
BENCHMARK_CAPTURE(hash_blocks, vector128, Md5Variant::kVector128)->Apply(block_counts);
BENCHMARK_CAPTURE(hash_blocks, avx2, Md5Variant::kAvx2)->Apply(block_counts);
BENCHMARK_CAPTURE(hash_blocks, avx512, Md5Variant::kAvx512)->Apply(block_counts);
BENCHMARK(hash_pieces)->ArgName("offset")->Arg(0)->Arg(4096)->Arg(40'000);
BENCHMARK(hash_stream);
BENCHMARK(hash_openssl)->ArgName("blocks")->Arg(1)->Arg(16);

}  // namespace

BENCHMARK_MAIN();
