// The transfers under way, found in side logs, and how they are drawn.
//
// Executor: pure functions but for read_transfers(), which reads files. Blocks: that one.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "fusefs/transfer/transfer_record.h"

namespace homefs {

struct TransferView {
  TransferRecord last;  ///< the newest record of it
  std::chrono::system_clock::time_point started;
};

/// Small files, of which only sums are told.
struct SmallFiles {
  std::uint64_t files = 0;
  std::uint64_t files_failed = 0;
  std::uint64_t bytes = 0;
};

struct ProgressView {
  std::vector<TransferView> transfers;  ///< oldest first
  SmallFiles small[2];                  ///< lately, by direction
};

/// What is under way after `records`, oldest first: transfers that were not ended, of processes
/// that `is_running`. Small files count when they are younger than kLately.
[[nodiscard]] ProgressView progress_of(const std::vector<TransferRecord>& records,
                                       std::chrono::system_clock::time_point now,
                                       const std::function<bool(const std::string&)>& is_running);

inline constexpr std::chrono::seconds kLately{10};

/// The records at the end of a side log (of the last kTailBytes), and of the one before it when it
/// was rotated lately. Lines that are no records are left out. A missing file has none.
[[nodiscard]] std::vector<TransferRecord> read_transfers(const std::filesystem::path& file);

inline constexpr std::uint64_t kTailBytes = std::uint64_t{1} * 1024 * 1024;

/// One line a transfer, and a line of the sums, each at most `columns` wide (at least 60).
/// Nothing is under way: one line that says so.
[[nodiscard]] std::vector<std::string> draw_progress(const ProgressView& view, int columns);

}  // namespace homefs
