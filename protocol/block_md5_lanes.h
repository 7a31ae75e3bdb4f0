// Keeps the lanes of a multi-lane MD5 kernel busy: gives each lane a message, runs the kernel until
// the first of them ends, and gives that lane the next one. Internal to block_md5.cpp.
//
// Owner: the stack of one call; about 6 KiB. Executor: any one. Blocks: never.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "protocol/block_md5_kernel.h"
#include "protocol/md5_scalar.h"

namespace homefs::md5 {

/// The kernels of one instruction set.
struct Kernels {
  struct Width {
    std::size_t lanes = 0;
    Kernel kernel = nullptr;
  };
  /// How many messages are under way at most. One message alone is left to the scalar core, which
  /// is the fastest with it; two are faster in any kernel.
  std::size_t lanes_max = 1;
  /// Narrow ones first, the last one of lanes_max. A wide one is faster for each message (it has
  /// more registers, which hide each other's latency), but only if most of its lanes are in use.
  std::array<Width, 3> widths{};
};

/// Blocks of a file lie 64 KiB apart in a buffer, and then the lines of all lanes want the same one
/// of the 64 sets of the L1 cache (a set for each line of 4 KiB), which holds 8 or 12 lines: they
/// push each other out, and also what the processor read ahead. So only this many lanes begin at a
/// time; those after them begin a chunk later, and stay that much behind. Makes 32 lanes 30 %
/// faster, 16 lanes 10 to 15 %.
inline constexpr std::size_t kLanesAbreast = 4;

/// Shorter blocks are not worth it: beginning and ending late costs up to 14 chunks (of 256 here).
inline constexpr std::size_t kStaggeredBytesMin = std::size_t{16} * 1024;

/// Hashes all blocks of a `Source`, which has
///   std::span<const std::byte> block(std::size_t index) const, and
///   void done(std::size_t index, const Md5Digest& digest), called once for each, in any order.
template <class Source>
class Lanes {
 public:
  Lanes(const Kernels& kernels, Source& source, std::size_t blocks)
      : kernels_(kernels), source_(source), blocks_(blocks) {
    for (std::size_t i = 0; i < kLanesMax; ++i) lanes_[i].tail = &tails_[i];
  }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  void run() {
    while (active_ < kernels_.lanes_max && next_block_ < blocks_) {
      if (is_staggered()) {
        run_chunks(1);
        if (next_block_ == blocks_) break;  // A lane ended, and took the last one.
      }
      begin(active_++);
    }
    while (active_ != 0) run_chunks(chunks_to_first_end());
  }

 private:
  /// One message under way: first the whole chunks of its block, then its tail.
  struct Lane {
    std::size_t block = 0;
    std::size_t chunks_left = 0;  // of the block, or of the tail
    Tail* tail = nullptr;
    bool is_in_tail = false;
  };

  /// Whether the next lane should begin a chunk later than the lane before it.
  [[nodiscard]] bool is_staggered() const {
    if (active_ == 0 || active_ % kLanesAbreast != 0) return false;
    const std::span<const std::byte> data = source_.block(next_block_);
    const auto place = reinterpret_cast<std::uintptr_t>(data.data());
    const auto place_before = reinterpret_cast<std::uintptr_t>(inputs_[active_ - 1]);
    return data.size() >= kStaggeredBytesMin && (place ^ place_before) % 4096 < kChunkBytes;
  }

  [[nodiscard]] std::size_t chunks_to_first_end() const {
    std::size_t chunks = lanes_[0].chunks_left;
    for (std::size_t i = 1; i < active_; ++i) chunks = std::min(chunks, lanes_[i].chunks_left);
    return chunks;
  }

  /// Advances every lane by `chunks`, which none has less of.
  void run_chunks(std::size_t chunks) {
    if (active_ == 1) {
      ScalarState state = state_of(0);
      compress(state, inputs_[0], chunks);
      set_state(0, state);
    } else {
      run_kernel(chunks);
    }
    // Downwards, as a lane that stops is replaced by the last one, which has had its turn then.
    for (std::size_t i = active_; i-- > 0;) advance(i, chunks);
  }

  void run_kernel(std::size_t chunks) {
    const auto* width = kernels_.widths.begin();
    while (width->lanes < active_) ++width;
    // Idle lanes repeat lane 0, whose data is readable and about to be in the cache.
    for (std::size_t i = active_; i < width->lanes; ++i) inputs_[i] = inputs_[0];
    width->kernel(states_, inputs_, chunks);
  }

  /// Lane `i` takes the next block.
  void begin(std::size_t i) {
    Lane& lane = lanes_[i];
    const std::span<const std::byte> data = source_.block(next_block_);
    lane.block = next_block_++;
    lane.chunks_left = data.size() / kChunkBytes;
    lane.is_in_tail = false;
    inputs_[i] = data.data();
    make_tail(*lane.tail, data.data() + lane.chunks_left * kChunkBytes, data.size());
    set_state(i, kInitialState);
    if (lane.chunks_left == 0) begin_tail(i);
  }

  void begin_tail(std::size_t i) {
    lanes_[i].is_in_tail = true;
    lanes_[i].chunks_left = lanes_[i].tail->chunks;
    inputs_[i] = lanes_[i].tail->bytes.data();
  }

  /// `chunks` more of lane `i` are done; goes on to what comes next where that was the end.
  void advance(std::size_t i, std::size_t chunks) {
    Lane& lane = lanes_[i];
    lane.chunks_left -= chunks;
    inputs_[i] += chunks * kChunkBytes;
    if (lane.chunks_left != 0) return;
    if (!lane.is_in_tail) return begin_tail(i);
    source_.done(lane.block, digest_of(state_of(i)));
    if (next_block_ < blocks_) return begin(i);
    --active_;
    std::swap(lane, lanes_[active_]);
    inputs_[i] = inputs_[active_];
    set_state(i, state_of(active_));
  }

  [[nodiscard]] ScalarState state_of(std::size_t lane) const {
    const auto& words = states_.words;
    return {words[0][lane], words[1][lane], words[2][lane], words[3][lane]};
  }

  void set_state(std::size_t lane, const ScalarState& state) {
    for (std::size_t i = 0; i < state.size(); ++i) states_.words[i][lane] = state[i];
  }

  const Kernels& kernels_;
  Source& source_;
  const std::size_t blocks_;
  std::size_t next_block_ = 0;
  std::size_t active_ = 0;  // The lanes in use are the first ones.
  LaneStates states_{};
  LaneInputs inputs_{};
  std::array<Lane, kLanesMax> lanes_{};
  std::array<Tail, kLanesMax> tails_;  // Written by begin() before it is read.
};

}  // namespace homefs::md5
