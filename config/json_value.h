// A parsed JSON file with comments, in which every key and value still knows its line.
//
// The JSON library throws positions away and lets the last of two equal keys win; a config file
// needs the line for its messages, and a key given twice is a mistake. Hence this small tree, built
// from the library's parser events.
//
// Executor: immutable once parsed. Blocks: never.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs {

struct JsonMember;

struct JsonValue {
  enum class Kind { kNull, kBoolean, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  int line = 1;                         ///< Where the value begins (a number, string) or opens.
  bool boolean = false;                 ///< kBoolean.
  std::optional<std::int64_t> integer;  ///< kNumber: its value, if it is whole and fits.
  std::string text;                     ///< kString: its value. kNumber: as it was written.
  std::vector<JsonValue> elements;      ///< kArray.
  std::vector<JsonMember> members;      ///< kObject, in the order of the file.

  /// The member of that name of an object, null if there is none.
  [[nodiscard]] const JsonMember* find(std::string_view key) const;

  /// How the value is named after "found" in an error: `"abc"`, `12`, `true`, `a list`.
  [[nodiscard]] std::string describe() const;
};

struct JsonMember {
  std::string key;
  int line = 1;  ///< Where the key stands.
  JsonValue value;
};

/// Bounds on what a config file may ask of the parser.
inline constexpr std::size_t kJsonBytesMax = 256 * 1024;
inline constexpr std::size_t kJsonDepthMax = 16;
inline constexpr std::size_t kJsonMembersMax = 1024;

/// Parses JSON with // and /* */ comments; a key given twice in one object is refused.
/// Errors: kConfigError, naming `file_name` and the line.
[[nodiscard]] Result<JsonValue> parse_json(std::string_view text, std::string_view file_name);

}  // namespace homefs
