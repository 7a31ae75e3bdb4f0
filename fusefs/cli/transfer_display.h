// TransferDisplay: what a person sees of a put or get, while it runs and at its end; and the signal
// that ends it.
//
// Owner: the command, for one transfer. Executor: thread-safe; a thread of its own draws.
// Blocks: the destructor, until what is being drawn is drawn.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "fusefs/cli/end_watch.h"
#include "fusefs/transfer/transfer_monitor.h"

namespace homefs {

class TransferDisplay {
 public:
  struct Options {
    bool is_quiet = false;  ///< failures only
    bool is_json = false;   ///< the sum as JSON, nothing else on stdout
  };

  /// `on_stop`: as in EndWatch, when what was under way is not over soon after the signal.
  TransferDisplay(Options options, std::function<void()> on_stop);
  ~TransferDisplay();
  TransferDisplay(const TransferDisplay&) = delete;
  TransferDisplay& operator=(const TransferDisplay&) = delete;

  /// For TransferMonitor.
  [[nodiscard]] TransferMonitor::Note note();
  /// Draws `monitor` from now on, on a terminal.
  void start(TransferMonitor& monitor);
  /// Draws no more, and prints the sum.
  void finish(TransferMonitor& monitor, TransferDirection direction, int exit_status,
              const std::string& again);

  [[nodiscard]] const std::atomic<bool>& is_stopped() const { return watch_.has_ended(); }

 private:
  void on_line(TransferMonitor::Line line, const std::string& path, const std::string& text);
  void run(const std::stop_token& stop);
  void draw();
  void erase();
  void print_sum(const TransferFigures& figures, TransferDirection direction,
                 const std::string& again) const;

  const Options options_;
  const bool has_bars_;
  const std::chrono::steady_clock::time_point began_;
  EndWatch watch_;

  std::mutex mutex_;  // the terminal's
  TransferMonitor* monitor_ = nullptr;
  std::size_t lines_drawn_ = 0;
  double rate_ = 0;
  std::uint64_t bytes_before_ = 0;
  std::chrono::steady_clock::time_point drawn_;
  std::vector<std::pair<std::string, std::string>> failures_;
  std::jthread thread_;
};

/// All figures of a transfer, for `--json`.
[[nodiscard]] nlohmann::ordered_json figures_json(const TransferFigures& figures);

}  // namespace homefs
