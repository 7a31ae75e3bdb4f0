#include "fusefs/cli/progress_view.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <utility>

#include "config/size.h"
#include "protocol/name.h"

namespace homefs {
namespace {

using Records = std::vector<TransferRecord>;

constexpr int kColumnsMin = 60;
constexpr int kNameColumnsMax = 60;
constexpr int kFiguresColumns = 48;  // " 100%  1023.9MiB of 1023.9MiB  1023.9MiB/s  9:59:59"

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

// Code points: good enough for a column where names are not of East Asia.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

// The end of a path says more than its beginning.
std::string fit(const std::string& text, std::size_t columns) {
  if (width_of(text) <= columns) return text + std::string(columns - width_of(text), ' ');
  std::size_t at = text.size();
  for (std::size_t left = columns - 3; left > 0;) {
    --at;
    if ((text[at] & 0xc0) != 0x80) --left;
  }
  return "..." + text.substr(at);
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

std::string figures_of(const TransferRecord& record) {
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

std::string draw_transfer(const TransferRecord& record, int columns) {
  const int rest = columns - kFiguresColumns - 3;
  const int name = std::clamp(rest * 3 / 5, 12, kNameColumnsMax);
  const int bar = rest - name - 1;
  std::string line = record.direction == TransferDirection::kUp ? "-> " : "<- ";
  line +=
      fit(homefs::quoted(record.path.empty() ? "?" : record.path), static_cast<std::size_t>(name));
  constexpr int kBarColumnsMin = 6;
  if (bar >= kBarColumnsMin) {
    line += " " + bar_of(record.bytes, record.total.value_or(record.bytes), bar);
  }
  return line + figures_of(record);
}

std::string draw_small(const SmallFiles& small, TransferDirection direction) {
  std::string line = direction == TransferDirection::kUp ? "-> " : "<- ";
  line += std::to_string(small.files) + " small files, " + describe_size(small.bytes) +
          " in the last " + std::to_string(kLately.count()) + " s";
  if (small.files_failed > 0) line += ", " + std::to_string(small.files_failed) + " failed";
  return line;
}

std::string draw_sum(const ProgressView& view) {
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t rate = 0;
  for (const TransferView& transfer : view.transfers) {
    bytes += transfer.last.bytes;
    total += transfer.last.total.value_or(transfer.last.bytes);
    rate += transfer.last.rate;
  }
  const std::size_t count = view.transfers.size();
  return std::to_string(count) + (count == 1 ? " transfer" : " transfers") + ": " +
         describe_size(bytes) + " of " + describe_size(total) + " verified, " +
         describe_size(total - bytes) + " to go, " + describe_size(rate) + "/s";
}

}  // namespace

ProgressView progress_of(const Records& records, std::chrono::system_clock::time_point now,
                         const std::function<bool(const std::string&)>& is_running) {
  std::map<std::pair<std::string, std::uint64_t>, TransferView> open;
  ProgressView view;
  for (const TransferRecord& record : records) {
    const std::pair key{record.process, record.id};
    switch (record.event) {
      case TransferEvent::kStarted:
      case TransferEvent::kProgress:
      case TransferEvent::kResumed: {
        const auto [place, is_new] = open.try_emplace(key, TransferView{record, record.time});
        place->second.last = record;
        break;
      }
      case TransferEvent::kDone:
      case TransferEvent::kFailed:
      case TransferEvent::kCut:
        open.erase(key);
        break;
      case TransferEvent::kBatch: {
        SmallFiles& small = view.small[static_cast<std::size_t>(record.direction)];
        if (now - record.time >= kLately) break;
        small.files += record.files;
        small.files_failed += record.files_failed;
        small.bytes += record.bytes;
        break;
      }
      case TransferEvent::kVerified:
      case TransferEvent::kBlockMismatch:
        break;
    }
  }
  std::map<std::string, bool> running;
  for (auto& [key, transfer] : open) {
    const auto [known, is_new] = running.try_emplace(key.first, false);
    if (is_new) known->second = is_running(key.first);
    if (known->second) view.transfers.push_back(std::move(transfer));
  }
  std::ranges::stable_sort(view.transfers, {}, &TransferView::started);
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
  columns = std::max(columns, kColumnsMin);
  std::vector<std::string> lines;
  for (const TransferView& transfer : view.transfers) {
    lines.push_back(draw_transfer(transfer.last, columns));
  }
  for (const TransferDirection direction : {TransferDirection::kUp, TransferDirection::kDown}) {
    const SmallFiles& small = view.small[static_cast<std::size_t>(direction)];
    if (small.files > 0) lines.push_back(draw_small(small, direction));
  }
  if (!view.transfers.empty()) lines.push_back(draw_sum(view));
  if (lines.empty()) lines.emplace_back("Nothing is under way.");
  return lines;
}

}  // namespace homefs
