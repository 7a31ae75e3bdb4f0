#include "fusefs/cli/progress_view.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <tuple>
#include <utility>

#include "config/size.h"
#include "fusefs/cli/transfer_bars.h"
#include "protocol/name.h"

namespace homefs {
namespace {

using Records = std::vector<TransferRecord>;

constexpr int kColumnsMin = 64;  // of a line with all figures
constexpr int kPercentColumns = 6;
constexpr int kNameColumnsMax = 60;
constexpr int kFiguresColumns = 49;  // of figures_of()

Records records_of_tail(const std::filesystem::path& path) {
  Records records;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return records;
  const auto size = static_cast<std::uint64_t>(file.tellg());
  const std::uint64_t start = size > kTailBytes ? size - kTailBytes : 0;
  file.seekg(static_cast<std::streamoff>(start));
  std::string line;
  if (start > 0) std::getline(file, line);  // cut in two
  while (std::getline(file, line)) {
    if (auto record = parse_transfer_record(line)) records.push_back(std::move(*record));
  }
  return records;
}

// The end of a path says more than its beginning.
std::string fit(const std::string& text, int columns) {
  std::string line = fit_columns(text, columns);
  line.append(static_cast<std::size_t>(columns - columns_of(line)), ' ');
  return line;
}

// The beginning of a line of figures says more than its end. They are ASCII.
std::string beginning_of(std::string line, int columns) {
  return line.substr(0, static_cast<std::size_t>(columns));
}

std::string time_text(std::uint64_t seconds) {
  std::array<char, 32> text{};
  constexpr std::uint64_t kHour = 3600;
  if (seconds >= 100 * kHour) return "-";
  const auto hours = static_cast<unsigned>(seconds / kHour);
  const auto minutes = static_cast<unsigned>(seconds / 60 % 60);
  const auto rest = static_cast<unsigned>(seconds % 60);
  if (hours > 0) {
    std::snprintf(text.data(), text.size(), "%u:%02u:%02u", hours, minutes, rest);
  } else {
    std::snprintf(text.data(), text.size(), "%u:%02u", minutes, rest);
  }
  return text.data();
}

std::string bar_of(std::uint64_t bytes, std::uint64_t total, int columns) {
  const int inner = columns - 2;
  const auto share = total == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(total);
  const int filled = std::clamp(static_cast<int>(share * inner), 0, inner);
  return "[" + std::string(static_cast<std::size_t>(filled), '#') +
         std::string(static_cast<std::size_t>(inner - filled), '.') + "]";
}

// A program that writes into a mount does not say how much is still to come.
bool is_total_known(const TransferRecord& record) {
  return record.mount.empty() || record.direction != TransferDirection::kUp;
}

std::string figures_so_far(const TransferRecord& record) {
  const std::string moved = describe_size(record.bytes) + " so far";
  const std::string rate = describe_size(record.rate) + "/s";
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), " %4s %22s %11s %8s", "", moved.c_str(), rate.c_str(),
                "-");
  return text.data();
}

std::string figures_of(const TransferRecord& record) {
  if (!is_total_known(record)) return figures_so_far(record);
  const std::uint64_t total = record.total.value_or(record.bytes);
  const auto percent = static_cast<unsigned>(
      total == 0 ? 100 : 100.0 * static_cast<double>(record.bytes) / static_cast<double>(total));
  const std::uint64_t left = total - std::min(total, record.bytes);
  const std::string time = record.rate == 0 ? (left == 0 ? "0:00" : "-")
                                            : time_text((left + record.rate - 1) / record.rate);
  const std::string moved = describe_size(record.bytes) + " of " + describe_size(total);
  const std::string rate = describe_size(record.rate) + "/s";
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), " %3u%% %22s %11s %8s", percent, moved.c_str(),
                rate.c_str(), time.c_str());
  return text.data();
}

std::string name_of(const TransferRecord& record) {
  return homefs::quoted(record.path.empty() ? "?" : record.path);
}

std::string arrow(TransferDirection direction) {
  return direction == TransferDirection::kUp ? "-> " : "<- ";
}

// A line too narrow for the figures has the name and how much of it is there.
std::string draw_narrow(const TransferRecord& record, int columns) {
  const std::string figures = figures_of(record).substr(0, kPercentColumns);
  const int name = columns - kPercentColumns;
  if (name <= 0) return beginning_of(figures, columns);
  return fit(name_of(record), name) + figures;
}

std::string draw_transfer(const TransferRecord& record, int columns) {
  if (columns < kColumnsMin) return draw_narrow(record, columns);
  const int rest = columns - kFiguresColumns - 3;
  const int name = std::clamp(rest * 3 / 5, 12, kNameColumnsMax);
  const int bar = rest - name - 1;
  std::string line = arrow(record.direction);
  line += fit(name_of(record), name);
  constexpr int kBarColumnsMin = 6;
  if (bar >= kBarColumnsMin) {
    const auto columns_of_bar = static_cast<std::size_t>(bar);
    line += " ";
    line += is_total_known(record) ? bar_of(record.bytes, record.total.value_or(record.bytes), bar)
                                   : std::string(columns_of_bar, ' ');
  }
  return line + figures_of(record);
}

std::string draw_small(const SmallFiles& small, TransferDirection direction) {
  std::string line = arrow(direction);
  line += std::to_string(small.files) + " small files, " + describe_size(small.bytes) +
          " in the last " + std::to_string(kLately.count()) + " s";
  if (small.files_failed > 0) line += ", " + std::to_string(small.files_failed) + " failed";
  return line;
}

std::string draw_cut(const TransferRecord& record, int columns) {
  std::string end = " cut at " + describe_size(record.bytes);
  if (is_total_known(record)) end += " of " + describe_size(record.total.value_or(record.bytes));
  const int name = columns - columns_of(end) - 3;
  if (name < 4) return beginning_of(end.substr(1), columns);
  return arrow(record.direction) + fit_columns(name_of(record), name) + end;
}

std::string draw_sum(const ProgressView& view) {
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t rate = 0;
  bool is_known = true;
  for (const TransferView& transfer : view.transfers) {
    is_known &= is_total_known(transfer.last);
    bytes += transfer.last.bytes;
    total += transfer.last.total.value_or(transfer.last.bytes);
    rate += transfer.last.rate;
  }
  const std::size_t count = view.transfers.size();
  std::string line =
      std::to_string(count) + (count == 1 ? " transfer: " : " transfers: ") + describe_size(bytes);
  if (is_known) line += " of " + describe_size(total);
  line += is_known ? " verified, " + describe_size(total - bytes) + " to go, "
                   : std::string(" verified so far, ");
  return line + describe_size(rate) + "/s";
}

using TransferKey = std::pair<std::string, std::uint64_t>;  // process, id
using FileKey = std::tuple<std::string, std::string, TransferDirection>;

FileKey file_of(const TransferRecord& record) {
  return {record.mount, record.path, record.direction};
}

void add_small(ProgressView& view, const TransferRecord& record) {
  SmallFiles& small = view.small[static_cast<std::size_t>(record.direction)];
  small.files += record.files;
  small.files_failed += record.files_failed;
  small.bytes += record.bytes;
}

}  // namespace

ProgressView progress_of(const Records& records, std::chrono::system_clock::time_point now,
                         const std::function<bool(const std::string&)>& is_running) {
  std::map<TransferKey, TransferView> open;  // also those that say that they were cut
  std::map<FileKey, TransferKey> last_of;    // the last transfer of a file
  ProgressView view;
  for (const TransferRecord& record : records) {
    const TransferKey key{record.process, record.id};
    switch (record.event) {
      case TransferEvent::kStarted:
      case TransferEvent::kProgress:
      case TransferEvent::kResumed:
      case TransferEvent::kCut: {
        last_of[file_of(record)] = key;
        const auto [place, is_new] = open.try_emplace(key, TransferView{record, record.time});
        place->second.last = record;
        break;
      }
      case TransferEvent::kDone:
      case TransferEvent::kFailed:
        last_of[file_of(record)] = key;
        open.erase(key);
        break;
      case TransferEvent::kBatch:
        if (now - record.time < kLately) add_small(view, record);
        break;
      case TransferEvent::kVerified:
      case TransferEvent::kBlockMismatch:
        break;
    }
  }
  std::map<std::string, bool> running;
  for (auto& [key, transfer] : open) {
    const auto [known, is_new] = running.try_emplace(key.first, false);
    if (is_new) known->second = is_running(key.first);
    const bool was_cut = !known->second || transfer.last.event == TransferEvent::kCut;
    if (!was_cut) {
      view.transfers.push_back(std::move(transfer));
    } else if (now - transfer.last.time < kCutsTold && last_of[file_of(transfer.last)] == key) {
      transfer.last.event = TransferEvent::kCut;
      view.cut.push_back(std::move(transfer.last));
    }
  }
  std::ranges::stable_sort(view.transfers, {}, &TransferView::started);
  std::ranges::stable_sort(view.cut, {}, &TransferRecord::time);
  return view;
}

Records read_transfers(const std::filesystem::path& file) {
  // A transfer that was begun before the last rotation has told of itself again since, unless that
  // was just now.
  std::filesystem::path before = file;
  before += ".1";
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  Records records;
  if (error || size < kTailBytes / 4) records = records_of_tail(before);
  Records current = records_of_tail(file);
  records.insert(records.end(), std::make_move_iterator(current.begin()),
                 std::make_move_iterator(current.end()));
  return records;
}

std::vector<std::string> draw_progress(const ProgressView& view, int columns) {
  std::vector<std::string> lines;
  lines.reserve(view.transfers.size());
  for (const TransferView& transfer : view.transfers) {
    lines.push_back(draw_transfer(transfer.last, columns));
  }
  for (const TransferDirection direction : {TransferDirection::kUp, TransferDirection::kDown}) {
    const SmallFiles& small = view.small[static_cast<std::size_t>(direction)];
    if (small.files > 0) lines.push_back(beginning_of(draw_small(small, direction), columns));
  }
  if (!view.transfers.empty()) lines.push_back(beginning_of(draw_sum(view), columns));
  if (lines.empty()) lines.push_back(beginning_of("Nothing is under way.", columns));
  const std::size_t left_out = view.cut.size() - std::min(view.cut.size(), kCutsDrawn);
  for (std::size_t i = left_out; i < view.cut.size(); ++i) {
    lines.push_back(draw_cut(view.cut[i], columns));
  }
  return lines;
}

std::vector<std::string> fit_rows(std::vector<std::string> lines, std::size_t rows) {
  constexpr std::size_t kRowsMin = 3;
  rows = std::max(rows, kRowsMin);
  if (lines.size() <= rows) return lines;
  const std::size_t left_out = lines.size() - rows + 1;
  const auto from = lines.begin() + static_cast<std::ptrdiff_t>(rows) - 2;
  lines.erase(from + 1, from + static_cast<std::ptrdiff_t>(left_out));
  *from = "... and " + std::to_string(left_out) + " more";
  return lines;
}

}  // namespace homefs
