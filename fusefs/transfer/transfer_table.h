// The transfers that are under way, as numbers: who reports adds to them, and the side log makes
// records of what has changed.
//
// A transfer is told of by itself only when it is not small, or takes long; the others are summed
// up. So a copy of 100,000 small files is a handful of lines, and costs each of them nothing.
//
// Owner: SideLog, inside its Guarded state. Executor: under that lock. Blocks: never.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fusefs/transfer/transfer_record.h"
#include "protocol/ids.h"

namespace homefs {

class TransferTable {
 public:
  using Time = std::chrono::system_clock::time_point;

  /// A file below this that is done within kShownAfter is summed up.
  static constexpr std::uint64_t kSmallBytes = std::uint64_t{1} * 1024 * 1024;
  static constexpr std::chrono::milliseconds kShownAfter{1000};
  static constexpr std::chrono::milliseconds kProgressEvery{250};
  /// A transfer that stands still says so from time to time.
  static constexpr std::chrono::seconds kStandsStillEvery{5};
  /// A file that is being read and that nobody has read on from is done.
  static constexpr std::chrono::seconds kReadIdle{5};
  /// Beyond this, transfers are only summed up.
  static constexpr std::size_t kTransfersMax = 4096;
  /// Records of ends that wait to be written; beyond it they are counted as dropped.
  static constexpr std::size_t kEndsMax = 1024;

  /// Whether a read that stands still for kReadIdle is done: through a mount nobody says so. Where
  /// each transfer is finished it is not; it may wait for the network.
  explicit TransferTable(bool ends_idle_reads = true) : ends_idle_reads_(ends_idle_reads) {}

  /// Begins a transfer, or says more of one that is under way: `total` only grows.
  void start(NodeId node, TransferDirection direction, const std::string& path, std::uint64_t total,
             Time now);
  /// `bytes` more have arrived and are verified. Of a file that was not started: summed up.
  void move(NodeId node, TransferDirection direction, std::uint64_t bytes, Time now);
  void set_md5(NodeId node, TransferDirection direction, const Md5Digest& md5);
  void finish(NodeId node, TransferDirection direction, const Result<>& result, Time now);
  void note_mismatch(const std::string& path, TransferDirection direction, std::uint64_t offset,
                     int attempt, Time now);
  /// What is under way goes on after a break.
  void note_resumed();

  /// What is to be written now; with `is_end` also what is cut off.
  [[nodiscard]] std::vector<TransferRecord> take_records(Time now, bool is_end);
  /// The path of a transfer under way; empty when there is none.
  [[nodiscard]] std::string path_of(NodeId node, TransferDirection direction) const;
  [[nodiscard]] std::size_t under_way() const { return transfers_.size(); }
  /// Nothing to record, now or later, unless more is reported.
  [[nodiscard]] bool is_idle() const;

 private:
  using Key = std::pair<NodeId, TransferDirection>;
  struct Transfer {
    std::uint64_t id = 0;
    std::string path;
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    std::optional<Md5Digest> md5;
    Time started;
    Time moved;
    Time told;
    std::uint64_t bytes_told = 0;
    double rate = 0;
    bool is_told = false;
    bool is_resumed = false;
  };
  struct Batch {
    std::uint64_t files = 0;
    std::uint64_t failed = 0;
    std::uint64_t bytes = 0;
  };

  [[nodiscard]] Batch& batch_of(TransferDirection direction) {
    return batches_[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] static bool is_shown(const Transfer& transfer, Time now);
  [[nodiscard]] TransferRecord record_of(TransferEvent event, TransferDirection direction,
                                         const Transfer& transfer, Time now) const;
  void add_end(TransferRecord record);
  void end_idle_reads(Time now);
  void tell(const Key& key, Transfer& transfer, Time now, std::vector<TransferRecord>& records);

  const bool ends_idle_reads_;
  std::map<Key, Transfer> transfers_;
  std::vector<TransferRecord> ends_;
  std::array<Batch, 2> batches_;
  std::uint64_t last_id_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace homefs
