#include "fusefs/remote/partial_name.h"

#include <algorithm>
#include <span>

#include "protocol/limits.h"
#include "protocol/md5_stream.h"

namespace homefs {
namespace {

constexpr std::string_view kMark = ".homefs-part-";
constexpr std::size_t kDigits = 8;
constexpr std::size_t kNameKept = kNameBytesMax - 1 - kMark.size() - kDigits;

}  // namespace

std::string partial_name(std::string_view name, std::string_view key) {
  Md5Stream stream;
  stream.update(std::as_bytes(std::span(name)));
  stream.update(std::as_bytes(std::span("\0", 1)));  // which no name contains
  stream.update(std::as_bytes(std::span(key)));
  std::string result = ".";
  result += name.substr(0, kNameKept);
  result += kMark;
  return result + md5_to_hex(stream.finish()).substr(0, kDigits);
}

bool is_partial_name(std::string_view name) {
  if (!name.starts_with('.') || name.size() < 1 + kMark.size() + kDigits) return false;
  const std::string_view tail = name.substr(name.size() - kMark.size() - kDigits);
  return tail.starts_with(kMark) && std::ranges::all_of(tail.substr(kMark.size()), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace homefs
