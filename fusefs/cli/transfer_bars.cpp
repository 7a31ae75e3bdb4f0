#include "fusefs/cli/transfer_bars.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "config/size.h"
#include "fusefs/cli/list_format.h"

namespace homefs {
namespace {

// Files below are drawn only in the sum: they come and go too fast to be read.
constexpr std::uint64_t kShownBytes = std::uint64_t{1024} * 1024;
constexpr int kBarColumnsMin = 8;
constexpr int kNameColumnsMin = 12;

struct Range {
  char32_t first;
  char32_t last;
};
// East Asian wide characters and pictures, which take two columns; a terminal's own idea may differ
// for a few of them.
constexpr Range kWide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                           {0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                           {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
constexpr Range kZero[] = {{0x0300, 0x036f}, {0x200b, 0x200f}, {0xfe00, 0xfe0f}};

// One character of valid UTF-8 at the front of `text`.
struct Character {
  std::size_t bytes = 1;
  int columns = 1;
};

Character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  bytes = std::min(bytes, text.size());
  char32_t code = bytes == 1 ? lead : lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3fU);
  }
  const auto is_in = [code](const Range& range) {
    return range.first <= code && code <= range.last;
  };
  if (std::ranges::any_of(kZero, is_in)) return {bytes, 0};
  return {bytes, std::ranges::any_of(kWide, is_in) ? 2 : 1};
}

std::string bar_of(double share, int columns) {
  const int inner = columns - 2;
  const int filled = std::clamp(static_cast<int>(share * inner), 0, inner);
  return "[" + std::string(static_cast<std::size_t>(filled), '#') +
         std::string(static_cast<std::size_t>(inner - filled), '.') + "]";
}

double share_of(std::uint64_t bytes, std::uint64_t total) {
  return total == 0 ? 1.0 : std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total));
}

std::string percent_of(double share) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%3d%%", static_cast<int>(share * 100));
  return text.data();
}

// NAME [bar] FIGURES in `columns`: the bar goes first when it is narrow, then the figures.
std::string line_of(const std::string& name, double share, const std::string& figures,
                    int columns) {
  const std::string percent = percent_of(share);
  const std::string long_end = " " + percent + "  " + figures;
  const std::string end =
      columns_of(long_end) + kNameColumnsMin <= columns ? long_end : " " + percent;
  int room = columns - columns_of(end);
  if (room <= 0) return fit_columns(percent, columns);
  const int bar = std::min(30, room - kNameColumnsMin - 1);
  if (bar < kBarColumnsMin) {
    std::string line = fit_columns(name, room);
    line.append(static_cast<std::size_t>(room - columns_of(line)), ' ');
    return line + end;
  }
  room -= bar + 1;
  std::string line = fit_columns(name, room);
  line.append(static_cast<std::size_t>(room - columns_of(line)), ' ');
  return line + " " + bar_of(share, bar) + end;
}

std::string total_line(const BarsView& view, int columns) {
  const TransferFigures& figures = view.figures;
  const std::uint64_t ended = figures.files_sent + figures.files_failed;
  const std::uint64_t done = std::min(figures.bytes_finished, figures.bytes);
  const std::uint64_t left = figures.bytes - done;
  const std::string time =
      left == 0 ? "0:00"
                : (view.bytes_per_second < 1
                       ? "-"
                       : duration_text(static_cast<double>(left) / view.bytes_per_second));
  const std::string name =
      std::to_string(ended) + " of " + std::to_string(std::max(figures.files, ended)) + " files";
  const std::string text = describe_size(done) + " of " + describe_size(figures.bytes) + "  " +
                           describe_size(static_cast<std::uint64_t>(view.bytes_per_second)) +
                           "/s  " + time;
  return line_of(name, share_of(done, figures.bytes), text, columns);
}

}  // namespace

int columns_of(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Character character = first_of(text);
    columns += character.columns;
    text.remove_prefix(character.bytes);
  }
  return columns;
}

std::string fit_columns(std::string_view text, int columns) {
  int over = columns_of(text) - columns;
  if (over <= 0) return std::string(text);
  if (columns <= 0) return {};
  constexpr std::string_view kCut = "...";
  const bool has_mark = columns > static_cast<int>(kCut.size());
  if (has_mark) over += static_cast<int>(kCut.size());
  while (over > 0 && !text.empty()) {
    const Character character = first_of(text);
    over -= character.columns;
    text.remove_prefix(character.bytes);
  }
  return (has_mark ? std::string(kCut) : "") + std::string(text);
}

std::string duration_text(double seconds) {
  constexpr unsigned kHour = 3600;
  if (!(seconds < 100.0 * kHour)) return "-";
  const auto whole = static_cast<unsigned>(seconds);
  std::array<char, 32> text{};
  if (whole >= kHour) {
    std::snprintf(text.data(), text.size(), "%u:%02u:%02u", whole / kHour, whole / 60 % 60,
                  whole % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%u:%02u", whole / 60, whole % 60);
  }
  return text.data();
}

std::vector<std::string> draw_bars(const BarsView& view, int columns, std::size_t lines_max) {
  std::vector<std::string> lines;
  const auto now = std::chrono::steady_clock::now();
  for (const FileUnderWay& file : view.files) {
    if (file.total < kShownBytes || lines.size() + 1 >= lines_max) continue;
    const double seconds = std::chrono::duration<double>(now - file.began).count();
    const double rate = seconds > 0 ? static_cast<double>(file.bytes) / seconds : 0;
    const std::uint64_t left = file.total - std::min(file.total, file.bytes);
    const std::string time = rate < 1 ? "-" : duration_text(static_cast<double>(left) / rate);
    const std::string text = describe_size(file.bytes) + " of " + describe_size(file.total) + "  " +
                             describe_size(static_cast<std::uint64_t>(rate)) + "/s  " + time;
    lines.push_back(line_of(escaped(file.path), share_of(file.bytes, file.total), text, columns));
  }
  lines.push_back(total_line(view, columns));
  return lines;
}

}  // namespace homefs
