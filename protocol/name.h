// Name: one component of a path, checked once where it enters, and never again.
//
// Executor: a value. Blocks: never.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "protocol/result.h"

namespace homefs {

/// 1 to 255 bytes without '/' and NUL, and neither "." nor "..". Any other byte is allowed.
class Name {
 public:
  /// kNameTooLong over 255 bytes; kInvalid for the other rules.
  static Result<Name> make(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const char* c_str() const { return text_.c_str(); }

  bool operator==(const Name&) const = default;
  std::strong_ordering operator<=>(const Name&) const = default;

 private:
  explicit Name(std::string_view text) : text_(text) {}

  std::string text_;
};

/// `text` for a log or a terminal: in double quotes; control bytes, quotes, backslashes and bytes
/// that are not UTF-8 as \xHH.
std::string quoted(std::string_view text);

}  // namespace homefs
