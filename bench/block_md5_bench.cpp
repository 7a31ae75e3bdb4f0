// How fast blocks are hashed: each form of the multi-lane MD5, the whole-file stream, and OpenSSL.
// bytes_per_second is of one core. Run: block_md5_bench --benchmark_counters_tabular=true
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <cstddef>
#include <span>
#include <string>
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

  void report(benchmark::State& state) const {
    benchmark::DoNotOptimize(digests_.data());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes_.size()));
  }

 private:
  std::vector<std::byte> bytes_;
  std::vector<std::span<const std::byte>> spans_;
  std::vector<Md5Digest> digests_;
};

void hash_blocks(benchmark::State& state, Md5Variant variant) {
  Blocks blocks(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) md5_blocks_with(variant, blocks.spans(), blocks.digests());
  blocks.report(state);
}

void hash_stream(benchmark::State& state) {
  Blocks blocks(1);
  for (auto _ : state) blocks.digests()[0] = homefs::md5_of(blocks.spans()[0]);
  blocks.report(state);
}

void hash_openssl(benchmark::State& state) {
  Blocks blocks(static_cast<std::size_t>(state.range(0)));
  EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  for (auto _ : state) {
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

}  // namespace

int main(int argc, char** argv) {
  for (const Md5Variant variant : homefs::available_md5_variants()) {
    // 1 block: a small file. 2 and 3: where lanes begin to pay. 16: a request of 1 MiB, and 17 one
    // that is not aligned. 32: all lanes of AVX-512. 1024: from memory, not from the cache.
    benchmark::RegisterBenchmark(("blocks/" + std::string(name_of(variant))).c_str(), hash_blocks,
                                 variant)
        ->ArgName("blocks")
        ->ArgsProduct({{1, 2, 3, 4, 8, 16, 17, 32, 1024}});
  }
  benchmark::RegisterBenchmark("stream", hash_stream);
  benchmark::RegisterBenchmark("openssl", hash_openssl)->ArgName("blocks")->Arg(1)->Arg(16);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
