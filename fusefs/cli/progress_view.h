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
  std::vector<TransferRecord> cut;      ///< that ended before they were done, the oldest first
  SmallFiles small[2];                  ///< lately, by direction
};

/// What is under way after `records`, oldest first: transfers that were not ended, of processes
/// that `is_running`. Those of others were cut, and are told for kCutsTold, unless the file was
/// transferred again since. Small files count when they are younger than kLately.
[[nodiscard]] ProgressView progress_of(const std::vector<TransferRecord>& records,
                                       std::chrono::system_clock::time_point now,
                                       const std::function<bool(const std::string&)>& is_running);

inline constexpr std::chrono::seconds kLately{10};
inline constexpr std::chrono::hours kCutsTold{24};
/// How many of them are drawn: the last.
inline constexpr std::size_t kCutsDrawn = 10;

/// The records at the end of a side log (of the last kTailBytes), and of the one before it when it
/// was rotated lately. Lines that are no records are left out. A missing file has none.
[[nodiscard]] std::vector<TransferRecord> read_transfers(const std::filesystem::path& file);

inline constexpr std::uint64_t kTailBytes = std::uint64_t{1} * 1024 * 1024;

/// One line a transfer, a line of the sums, and one for each that was cut, each at most `columns`
/// wide. Nothing is under way: one line that says so.
[[nodiscard]] std::vector<std::string> draw_progress(const ProgressView& view, int columns);

/// The first and last of `lines`, and how many are left out, when there are more than `rows`.
[[nodiscard]] std::vector<std::string> fit_rows(std::vector<std::string> lines, std::size_t rows);

}  // namespace homefs
