// Multi-lane MD5 in registers of 128 bits, which every processor we build for has (SSE2, NEON).
#include <cstring>
#include <utility>

#include "protocol/block_md5_kernel.h"

#define HOMEFS_MD5_INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define HOMEFS_MD5_REGISTER "x"
#else
#define HOMEFS_MD5_REGISTER "w"
#endif

namespace homefs::md5 {
namespace {

constexpr std::size_t kSetLanes = 4;
constexpr bool kHasTernaryLogic = false;
#include "protocol/block_md5_kernel.inc"

}  // namespace

void vector128_x4(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  run<1>(states, inputs, chunks);
}

void vector128_x8(LaneStates& states, const LaneInputs& inputs, std::size_t chunks) {
  run<2>(states, inputs, chunks);
}

}  // namespace homefs::md5
