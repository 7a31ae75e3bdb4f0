// What a Link has counted since it was made, for `homefs status`.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/op.h"
#include "protocol/result.h"

namespace homefs {

/// Something that went wrong on a link, and when.
struct LinkTrouble {
  std::chrono::system_clock::time_point when;
  std::string text;
};

class LinkCounters {
 public:
  void count_call(Op op) { calls_[index_of(op)].fetch_add(1, std::memory_order_relaxed); }
  void count_reconnect() { reconnects_.fetch_add(1, std::memory_order_relaxed); }
  void count_block_mismatch() { block_mismatches_.fetch_add(1, std::memory_order_relaxed); }
  void count_stale() { stale_retries_.fetch_add(1, std::memory_order_relaxed); }
  /// Of connections that are closed.
  void add_bytes(std::uint64_t in, std::uint64_t out);
  /// Keeps the last kTroublesMax.
  void note_trouble(std::string text);

  [[nodiscard]] std::uint64_t reconnects() const { return reconnects_.load(); }
  [[nodiscard]] std::uint64_t block_mismatches() const { return block_mismatches_.load(); }
  [[nodiscard]] std::uint64_t stale_retries() const { return stale_retries_.load(); }
  [[nodiscard]] std::uint64_t bytes_in() const { return bytes_in_.load(); }
  [[nodiscard]] std::uint64_t bytes_out() const { return bytes_out_.load(); }
  /// Operations that were called at least once, by name.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> calls() const;
  [[nodiscard]] std::vector<LinkTrouble> troubles();

  static constexpr std::size_t kTroublesMax = 16;

 private:
  static constexpr std::size_t kOpsMax = 128;
  [[nodiscard]] static std::size_t index_of(Op op) {
    return static_cast<std::size_t>(op) % kOpsMax;
  }

  std::array<std::atomic<std::uint64_t>, kOpsMax> calls_{};
  std::atomic<std::uint64_t> reconnects_{0};
  std::atomic<std::uint64_t> block_mismatches_{0};
  std::atomic<std::uint64_t> stale_retries_{0};
  std::atomic<std::uint64_t> bytes_in_{0};
  std::atomic<std::uint64_t> bytes_out_{0};
  Guarded<std::deque<LinkTrouble>> troubles_;
};

}  // namespace homefs
