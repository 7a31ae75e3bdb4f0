// Multi-lane MD5 for AVX-512, which has rotations, and any function of three words, as one
// instruction each. Runs only where the processor was asked for it, so only the functions below,
// and nothing else of this file, are compiled for it.
#include <cstring>
#include <utility>

#include "protocol/block_md5_kernel.h"

#if defined(__x86_64__)

// VL gives those instructions, and all 32 registers, to registers of 256 bits too.
#define HOMEFS_MD5_TARGET gnu::target("avx512f,avx512vl")
#define HOMEFS_MD5_INLINE [[gnu::always_inline, HOMEFS_MD5_TARGET]] inline
#define HOMEFS_MD5_REGISTER "v"

namespace homefs::md5 {
namespace {

constexpr bool kHasTernaryLogic = true;

// For few messages: where 512 bits are computed in two halves (Zen 4), this is a quarter faster.
namespace bits256 {
constexpr std::size_t kSetLanes = 8;
#include "protocol/block_md5_kernel.inc"
}  // namespace bits256

namespace bits512 {
constexpr std::size_t kSetLanes = 16;
#include "protocol/block_md5_kernel.inc"
}  // namespace bits512

}  // namespace

[[HOMEFS_MD5_TARGET]]
void avx512_x8(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  bits256::run<1>(states, inputs, chunks);
}

[[HOMEFS_MD5_TARGET]]
void avx512_x16(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  bits512::run<1>(states, inputs, chunks);
}

[[HOMEFS_MD5_TARGET]]
void avx512_x32(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  bits512::run<2>(states, inputs, chunks);
}

}  // namespace homefs::md5

#endif
