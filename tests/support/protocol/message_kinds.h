// Every message of the protocol by its name, for tests that do the same with each: made of values
// that somebody supplies, and taken apart into values again, in the order of the wire.
//
// A value has a type as in the message tables of PROTOCOL.md ("u32", "node", ...), and there are
// "enum", "count" (of a list) and "present" (before an optional value).
//
// Executor: immutable data, thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs::testing {

class ValueSource {
 public:
  virtual ~ValueSource() = default;
  /// At most `max`. An i64 as its bits.
  virtual std::uint64_t number(std::string_view type, std::uint64_t max) = 0;
  /// A string16 (of at most `bytes_max`), or a digest (of exactly so many).
  virtual std::string bytes(std::string_view type, std::size_t bytes_max) = 0;
};

class ValueSink {
 public:
  virtual ~ValueSink() = default;
  virtual void number(std::string_view type, std::uint64_t value) = 0;
  virtual void bytes(std::string_view type, std::string_view value) = 0;
};

struct MessageKind {
  std::string_view name;  ///< of the struct
  /// A message of these values, encoded.
  std::vector<std::byte> (*encode)(ValueSource& values);
  /// Decodes a message, behind which nothing may be, and tells its values.
  Result<void> (*decode)(std::span<const std::byte> bytes, ValueSink& values);
  /// Whether a message of these values is the same after encoding and decoding.
  bool (*is_kept)(ValueSource& values);
};

/// In the order of PROTOCOL.md.
std::span<const MessageKind> message_kinds();

/// Null when there is none.
const MessageKind* find_message_kind(std::string_view name);

}  // namespace homefs::testing
