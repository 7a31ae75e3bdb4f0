#include "fusefs/cli/transfer_display.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/size.h"
#include "fusefs/cli/list_format.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/cli/transfer_bars.h"

namespace homefs {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};
// For the answers to what is under way: what is then on its way to nobody would cross again.
constexpr std::chrono::seconds kEndGrace{2};
constexpr std::size_t kLinesMax = 8;
constexpr std::size_t kFailuresKept = 1000;

}  // namespace

TransferDisplay::TransferDisplay(Options options, std::function<void()> on_stop)
    : options_(options),
      has_bars_(!options.is_quiet && !options.is_json && ::isatty(STDOUT_FILENO) != 0),
      began_(std::chrono::steady_clock::now()),
      watch_(std::move(on_stop), kEndGrace),
      drawn_(began_) {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

TransferDisplay::~TransferDisplay() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

TransferMonitor::Note TransferDisplay::note() {
  return [this](TransferMonitor::Line line, const std::string& path, const std::string& text) {
    on_line(line, path, text);
  };
}

void TransferDisplay::start(TransferMonitor& monitor) {
  const std::lock_guard lock(mutex_);
  monitor_ = &monitor;
}

void TransferDisplay::run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "display");
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(kLookEvery);
    const std::lock_guard lock(mutex_);
    if (has_bars_ && monitor_ != nullptr) draw();
  }
}

void TransferDisplay::erase() {
  if (lines_drawn_ > 0) std::printf("\033[%zuA\r\033[J", lines_drawn_);
  lines_drawn_ = 0;
}

void TransferDisplay::draw() {
  // What fails because of it counts as over, so that the bars would be full.
  if (is_stopped()) return erase();
  const auto now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - drawn_).count();
  BarsView view{.files = monitor_->under_way(), .figures = monitor_->figures()};
  const std::uint64_t bytes = view.figures.bytes_sent;
  const double rate = static_cast<double>(bytes - bytes_before_) / std::max(seconds, 0.001);
  // Over about two seconds: what a person can follow. Before that, since it began.
  constexpr double kSeconds = 2;
  const double so_far = std::chrono::duration<double>(now - began_).count();
  const double share = std::min(1.0, seconds / std::clamp(so_far, 0.001, kSeconds));
  rate_ += (rate - rate_) * share;
  bytes_before_ = bytes;
  drawn_ = now;
  view.bytes_per_second = rate_;
  const auto lines = draw_bars(view, terminal_columns(STDOUT_FILENO) - 1, kLinesMax);
  erase();
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  (void)std::fflush(stdout);
  lines_drawn_ = lines.size();
}

void TransferDisplay::on_line(TransferMonitor::Line line, const std::string& path,
                              const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (line == TransferMonitor::Line::kDone) {
    // A terminal has the bars, a log wants to know what was done.
    if (!options_.is_quiet && !options_.is_json && !has_bars_) {
      std::printf("%s\n", escaped(path).c_str());
    }
    return;
  }
  if (is_stopped()) return;  // they fail because they were asked to
  if (failures_.size() < kFailuresKept) failures_.emplace_back(path, text);
  if (line == TransferMonitor::Line::kSkipped && options_.is_quiet) return;
  erase();
  (void)std::fflush(stdout);
  const bool is_skipped = line == TransferMonitor::Line::kSkipped;
  print_error(escaped(path) + ": " + (is_skipped ? "skipped: " : "") + text);
}

void TransferDisplay::finish(TransferMonitor& monitor, TransferDirection direction, int exit_status,
                             const std::string& again) {
  const std::lock_guard lock(mutex_);
  if (has_bars_ && monitor_ != nullptr) draw();
  monitor_ = nullptr;
  const TransferFigures figures = monitor.figures();
  if (options_.is_json) {
    nlohmann::ordered_json json = figures_json(figures);
    json["seconds"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
    json["is_interrupted"] = is_stopped().load();
    json["status"] = exit_status;
    json["failures"] = nlohmann::ordered_json::array();
    for (const auto& [path, text] : failures_) {
      json["failures"].push_back({{"path", escaped(path)}, {"error", text}});
    }
    std::printf("%s\n", json.dump().c_str());
  } else if (!options_.is_quiet) {
    print_sum(figures, direction, again);
  }
  (void)std::fflush(stdout);
}

void TransferDisplay::print_sum(const TransferFigures& figures, TransferDirection direction,
                                const std::string& again) const {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  std::string text = std::to_string(figures.files_sent) +
                     (direction == TransferDirection::kUp ? " files put" : " files got");
  const auto add = [&text](std::uint64_t count, const char* what) {
    if (count > 0) text += ", " + std::to_string(count) + " " + what;
  };
  add(figures.files_unchanged, "unchanged");
  add(figures.folders_made, "folders made");
  add(figures.symlinks_made, "symlinks made");
  add(figures.files_skipped, "skipped");
  add(figures.files_failed, "failed");
  text += "; " + describe_size(figures.bytes_sent) + " sent";
  const auto add_bytes = [&text](std::uint64_t bytes, const char* what) {
    if (bytes > 0) text += ", " + describe_size(bytes) + " " + what;
  };
  add_bytes(figures.bytes_resumed, "saved by going on");
  add_bytes(figures.bytes_copied, "saved by what was there");
  text += " in " + duration_text(seconds);
  if (is_stopped()) text += "; interrupted: " + escaped(again) + " goes on where it stopped";
  std::printf("%s\n", text.c_str());
}

nlohmann::ordered_json figures_json(const TransferFigures& figures) {
  return {{"files", figures.files},
          {"files_sent", figures.files_sent},
          {"files_unchanged", figures.files_unchanged},
          {"files_failed", figures.files_failed},
          {"files_skipped", figures.files_skipped},
          {"folders_made", figures.folders_made},
          {"symlinks_made", figures.symlinks_made},
          {"bytes", figures.bytes},
          {"bytes_sent", figures.bytes_sent},
          {"bytes_resumed", figures.bytes_resumed},
          {"bytes_copied", figures.bytes_copied}};
}

}  // namespace homefs
