// What a put and a get are asked for, and what both of them know.
//
// Executor: values. Blocks: never.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "protocol/result.h"
#include "protocol/status.h"

namespace homefs {

struct TransferOptions {
  bool compares_contents = false;
  unsigned jobs = 2;                   ///< large files at a time
  std::uint64_t bytes_per_second = 0;  ///< 0: without a limit
  std::string client_key;              ///< of this process among those of the user: ClientSlot
  const std::atomic<bool>* is_stopped = nullptr;  ///< somebody has asked for the end; or null

  [[nodiscard]] bool has_to_stop() const { return is_stopped != nullptr && *is_stopped; }
};

/// Up to here a file travels in one request, beside many others; its parts are verified on arrival
/// and it is there as a whole or not at all. Above, by blocks, which can be resumed.
inline constexpr std::uint64_t kSmallFileBytes = std::uint64_t{256} * 1024;

/// How often a file is begun anew when the server was restarted or the file changed meanwhile.
inline constexpr int kFileAttemptsMax = 3;

/// Whether a further attempt may end better.
[[nodiscard]] inline bool is_worth_another_try(const Error& error) {
  return error.status == Status::kStale || error.status == Status::kIoError;
}

}  // namespace homefs
