// The multi-lane MD5 kernels: several widths for each instruction set, all made from
// block_md5_kernel.inc. Which of them runs is chosen in block_md5.cpp and block_md5_lanes.h.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/md5_steps.h"

namespace homefs::md5 {

/// The widest kernel has two registers of 16 lanes.
inline constexpr std::size_t kLanesMax = 32;

/// How far the message in each lane is: word w of lane l's state is words[w][l], so that a register
/// holds the same word of neighbouring lanes.
struct LaneStates {
  alignas(64) std::array<std::array<std::uint32_t, kLanesMax>, 4> words;
};

/// Where each lane's next chunk is; any alignment.
using LaneInputs = std::array<const std::byte*, kLanesMax>;

/// Adds `chunks` * 64 bytes from each input to its lane's state. A kernel always computes all of
/// its lanes, from 0 on: each of their inputs must be readable, also that of a lane nobody needs.
using Kernel = void (*)(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);

void vector128_x4(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
void vector128_x8(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
#if defined(__x86_64__)
void avx2_x8(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
void avx2_x16(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
void avx512_x8(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
void avx512_x16(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
void avx512_x32(LaneStates& states, const LaneInputs& inputs, std::size_t chunks);
#endif

}  // namespace homefs::md5
