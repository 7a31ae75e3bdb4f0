// The frame: a fixed 32-byte little-endian header, then a body of fields and payload.
// PROTOCOL.md section "Frame" is the specification; this file is its only implementation.
//
// Executor: immutable data, thread-safe. Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/buffer.h"
#include "protocol/op.h"
#include "protocol/result.h"

namespace homefs {

enum class FrameKind : std::uint8_t {
  kRequest = 1,   ///< client -> server; is answered by exactly one kReply of the same tag
  kReply = 2,     ///< server -> client
  kEvent = 3,     ///< server -> client, at any time; is answered by one kEventAck of the same tag
  kEventAck = 4,  ///< client -> server
};

struct FrameHeader {
  std::uint32_t body_bytes = 0;  ///< bytes after the header, at most kBodyBytesMax
  Op op{};                       ///< a reply repeats the request's
  FrameKind kind = FrameKind::kRequest;
  std::uint8_t flags = 0;       ///< 0 in version 1
  std::uint32_t tag = 0;        ///< names a request until it is answered, unique per connection
  Status status = Status::kOk;  ///< replies; requests and events carry kOk
  std::uint64_t seq = 0;        ///< place in the session's order of changes; 0 = outside of it
  std::uint64_t seq_done = 0;   ///< client: replies up to this seq have arrived and may be dropped

  bool operator==(const FrameHeader&) const = default;
};

inline constexpr std::size_t kFrameHeaderBytes = 32;
using FrameHeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

/// The header as sent. Precondition: body_bytes <= kBodyBytesMax.
FrameHeaderBytes encode_header(const FrameHeader& header);

/// The header as received. kProtocolError for a length over `body_bytes_max`, an unknown kind, op
/// or status, or reserved bits that are set.
Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes,
                                  std::size_t body_bytes_max);

/// A frame to be sent: fields are small and owned, payload is shared with whoever holds the data.
struct OutFrame {
  FrameHeader header;  ///< body_bytes is filled in by Channel
  std::vector<std::byte> fields;
  std::vector<Slice> payload;

  [[nodiscard]] std::size_t body_bytes() const;
};

/// A frame as received: the whole body in one buffer.
struct InFrame {
  FrameHeader header;
  SharedBuffer body;  ///< never null; empty for an empty body

  [[nodiscard]] std::span<const std::byte> bytes() const { return body->bytes(); }
};

}  // namespace homefs
