// How a put or get is drawn on a terminal: a bar for each large file under way and one for all, in
// any width.
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fusefs/transfer/transfer_monitor.h"

namespace homefs {

/// What is drawn.
struct BarsView {
  std::vector<FileUnderWay> files;  ///< the oldest first
  TransferFigures figures;
  double bytes_per_second = 0;  ///< that cross the network, lately
};

/// Lines of at most `columns` columns each; files that have no line of their own are counted.
[[nodiscard]] std::vector<std::string> draw_bars(const BarsView& view, int columns,
                                                 std::size_t lines_max);

/// How many columns a terminal needs for `text`, which is UTF-8 without control characters.
[[nodiscard]] int columns_of(std::string_view text);

/// `text` in at most `columns`, its end kept, where the name of a path is.
[[nodiscard]] std::string fit_columns(std::string_view text, int columns);

/// "1:05", "2:01:09"; "-" for what is longer than 99 hours.
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace homefs
