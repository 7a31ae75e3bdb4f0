#include "protocol/name.h"

#include <cstddef>

#include "protocol/limits.h"

namespace homefs {
namespace {

// The length of the valid UTF-8 sequence at the start of `text`, or 0. Overlong forms, surrogates
// and code points over U+10FFFF are not valid (RFC 3629 section 4).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if (first == 0xe0 && second < 0xa0) return 0;
  if (first == 0xed && second > 0x9f) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second > 0x8f) return 0;
  // C1 controls (U+0080-U+009F) drive terminals as the C0 ones do.
  if (first == 0xc2 && second < 0xa0) return 0;
  return length;
}

}  // namespace

Result<Name> Name::make(std::string_view text) {
  if (text.empty()) return fail(Status::kInvalid, "empty name");
  if (text.size() > kNameBytesMax) return fail(Status::kNameTooLong, quoted(text.substr(0, 32)));
  if (text == "." || text == "..") return fail(Status::kInvalid, "name " + quoted(text));
  if (text.find('/') != std::string_view::npos || text.find('\0') != std::string_view::npos) {
    return fail(Status::kInvalid, "name " + quoted(text));
  }
  return Name(text);
}

std::string quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t length = utf8_length(text);
    const bool is_plain =
        length > 0 && first >= 0x20 && first != 0x7f && first != '"' && first != '\\';
    if (is_plain) {
      out += text.substr(0, length);
      text.remove_prefix(length);
    } else {
      out += "\\x";
      out += kHex[first >> 4];
      out += kHex[first & 15];
      text.remove_prefix(1);
    }
  }
  return out + "\"";
}

}  // namespace homefs
