#include "protocol/md5_digest.h"

namespace homefs {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

/// The value of a hexadecimal digit, or -1.
int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::string md5_to_hex(const Md5Digest& digest) {
  std::string text;
  text.reserve(2 * digest.size());
  for (const std::byte byte : digest) {
    text += kHexDigits[std::to_integer<std::size_t>(byte >> 4)];
    text += kHexDigits[std::to_integer<std::size_t>(byte & std::byte{0xf})];
  }
  return text;
}

Result<Md5Digest> md5_from_hex(std::string_view text) {
  Md5Digest digest{};
  if (text.size() != 2 * digest.size()) {
    return fail(Status::kInvalid, "an MD5 is 32 hexadecimal digits");
  }
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = value_of(text[2 * i]);
    const int low = value_of(text[2 * i + 1]);
    if (high < 0 || low < 0) return fail(Status::kInvalid, "an MD5 is 32 hexadecimal digits");
    digest[i] = static_cast<std::byte>(high << 4 | low);
  }
  return digest;
}

}  // namespace homefs
