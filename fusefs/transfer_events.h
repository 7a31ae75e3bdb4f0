// TransferEvents: what the client core tells about files on their way; the side log listens.
// Thread-safe, never blocks, never fails a transfer.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/ids.h"
#include "protocol/result.h"

namespace homefs {

enum class TransferDirection { kUp, kDown };

class TransferEvents {
 public:
  virtual ~TransferEvents() = default;
  /// A file gets its first write, or a stream of reads begins. `path` is within the mount.
  virtual void on_started(NodeId node, TransferDirection direction, const std::string& path,
                          std::uint64_t bytes_total) = 0;
  /// Blocks that the other end has verified.
  virtual void on_verified(NodeId node, TransferDirection direction, std::uint64_t bytes) = 0;
  /// The last handle is closed, or the transfer has failed.
  virtual void on_finished(NodeId node, TransferDirection direction, const Result<>& result) = 0;
  /// A block arrived damaged; `attempt` from 1.
  virtual void on_block_mismatch(const std::string& path, TransferDirection direction,
                                 std::uint64_t offset, int attempt) = 0;
};

}  // namespace homefs
