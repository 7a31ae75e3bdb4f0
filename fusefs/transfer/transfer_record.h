// One line of the side log: what happened to a transfer, as JSON, in both directions.
// man/homefs-transfers.5 is the specification.
//
// Executor: values, thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fusefs/transfer_events.h"
#include "protocol/md5_digest.h"
#include "protocol/result.h"

namespace homefs {

inline constexpr int kTransferSchema = 1;

enum class TransferEvent {
  kStarted,
  kProgress,
  kResumed,        ///< goes on after a break
  kBlockMismatch,  ///< a block arrived damaged
  kVerified,       ///< the MD5 of the whole file agrees
  kDone,
  kFailed,
  kCut,    ///< its process ended before it was done
  kBatch,  ///< small files that were transferred, summed up
};

struct TransferRecord {
  TransferEvent event = TransferEvent::kStarted;
  std::chrono::system_clock::time_point time;
  std::string process;   ///< "PID.START": names a process for ever
  std::uint64_t id = 0;  ///< of the transfer, within its process; 0 in a batch
  TransferDirection direction = TransferDirection::kUp;
  std::string mount;                   ///< the mount point, or empty outside of one
  std::string path;                    ///< below the mount's root, any bytes
  std::uint64_t bytes = 0;             ///< moved and verified
  std::optional<std::uint64_t> total;  ///< bytes to be moved, as far as known by now
  std::uint64_t blocks = 0;            ///< moved and verified
  std::uint64_t rate = 0;              ///< bytes a second, lately
  std::optional<Md5Digest> md5;
  std::string error;               ///< kFailed
  std::uint64_t files = 0;         ///< kBatch
  std::uint64_t files_failed = 0;  ///< kBatch
  std::uint64_t offset = 0;        ///< kBlockMismatch
  int attempt = 0;                 ///< kBlockMismatch
  std::uint64_t dropped = 0;       ///< records that were lost before this one

  bool operator==(const TransferRecord&) const = default;
};

/// One line, with its end.
[[nodiscard]] std::string line_of(const TransferRecord& record);

/// Errors: kInvalid for a line that is none, or of a later schema.
[[nodiscard]] Result<TransferRecord> parse_transfer_record(std::string_view line);

/// "PID.START" of this process, and whether the process of a record is still the same and running.
[[nodiscard]] std::string process_name();
[[nodiscard]] bool is_process_running(std::string_view process);

}  // namespace homefs
