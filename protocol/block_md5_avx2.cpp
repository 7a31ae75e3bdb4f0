// Multi-lane MD5 for AVX2. Runs only where the processor was asked for it, so only the functions
// below, and nothing else of this file, are compiled for it.
#include <cstring>
#include <utility>

#include "protocol/block_md5_kernel.h"

#if defined(__x86_64__)

#define HOMEFS_MD5_TARGET gnu::target("avx2")
#define HOMEFS_MD5_INLINE [[gnu::always_inline, HOMEFS_MD5_TARGET]] inline
#define HOMEFS_MD5_REGISTER "x"

namespace homefs::md5 {
namespace {

constexpr std::size_t kSetLanes = 8;
constexpr bool kHasTernaryLogic = false;
#include "protocol/block_md5_kernel.inc"

}  // namespace

[[HOMEFS_MD5_TARGET]]
void avx2_x8(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  run<1>(states, inputs, chunks);
}

[[HOMEFS_MD5_TARGET]]
void avx2_x16(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  run<2>(states, inputs, chunks);
}

}  // namespace homefs::md5

#endif
