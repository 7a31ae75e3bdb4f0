#include "config/size.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <optional>

#include "config/config_error.h"

namespace homefs {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::string_view kUnitLetters = "kmgtpe";
constexpr std::array<std::string_view, 7> kUnitNames = {"",    "KiB", "MiB", "GiB",
                                                        "TiB", "PiB", "EiB"};
// More digits after the point than a unit has bytes say nothing; 9 keeps Wide from overflowing.
constexpr std::size_t kFractionDigitsMax = 9;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Bytes of a unit: "" and "b" are 1, "k" and "kib" 1024, "kb" 1000.
std::optional<std::uint64_t> unit_bytes(std::string_view unit) {
  std::string lower;
  for (const char c : unit) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower.empty() || lower == "b") return 1;
  const std::size_t power = kUnitLetters.find(lower.front());
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = std::string_view(lower).substr(1);
  if (!rest.empty() && rest != "ib" && rest != "b") return std::nullopt;
  const std::uint64_t base = rest == "b" ? 1000 : 1024;
  std::uint64_t bytes = base;
  for (std::size_t i = 0; i < power; ++i) bytes *= base;
  return bytes;
}

struct Parts {
  std::string_view whole;
  std::string_view fraction;  // digits after the point
  std::string_view unit;
};

// "1.5 TiB" in its parts; nothing if it does not have that shape.
std::optional<Parts> split(std::string_view text) {
  Parts parts;
  std::size_t at = 0;
  while (at < text.size() && is_digit(text[at])) ++at;
  parts.whole = text.substr(0, at);
  if (parts.whole.empty()) return std::nullopt;
  if (at < text.size() && text[at] == '.') {
    const std::size_t start = ++at;
    while (at < text.size() && is_digit(text[at])) ++at;
    parts.fraction = text.substr(start, at - start);
    if (parts.fraction.empty() || parts.fraction.size() > kFractionDigitsMax) return std::nullopt;
  }
  parts.unit = trimmed(text.substr(at));
  return parts;
}

std::unexpected<Error> malformed(std::string_view text) {
  return fail(Status::kInvalid, "expected a size such as 10GiB, 500M or 0, found " + shown(text));
}

std::unexpected<Error> too_large(std::string_view text) {
  return fail(Status::kInvalid,
              shown(text) + " is more than " + std::to_string(kSizeMax) + " bytes");
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const std::optional<Parts> parts = split(trimmed(text));
  if (!parts) return malformed(text);
  const std::optional<std::uint64_t> unit = unit_bytes(parts->unit);
  if (!unit || (*unit == 1 && !parts->fraction.empty())) return malformed(text);

  std::uint64_t whole = 0;
  const std::string_view digits = parts->whole;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
  if (read.ec != std::errc{}) return too_large(text);
  Wide total = static_cast<Wide>(whole) * *unit;
  if (total > kSizeMax) return too_large(text);

  Wide fraction = 0;
  Wide scale = 1;
  for (const char digit : parts->fraction) {
    fraction = fraction * 10 + static_cast<unsigned>(digit - '0');
    scale *= 10;
  }
  total += fraction * *unit / scale;
  if (total > kSizeMax) return too_large(text);
  return static_cast<std::uint64_t>(total);
}

std::string format_size(std::uint64_t bytes) {
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnitNames.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + std::string(kUnitNames[unit]);
}

std::string describe_size(std::uint64_t bytes) {
  // Rounded tenths, so that 1023.96 KiB is shown as 1.0MiB and not as 1024.0KiB.
  std::size_t unit = 0;
  Wide unit_size = 1;
  const auto tenths = [&] { return (Wide{bytes} * 10 + unit_size / 2) / unit_size; };
  while (tenths() >= 10240 && unit + 1 < kUnitNames.size()) {
    unit_size *= 1024;
    ++unit;
  }
  if (unit == 0) return std::to_string(bytes) + "B";
  const auto shown = static_cast<std::uint64_t>(tenths());
  return std::to_string(shown / 10) + "." + std::to_string(shown % 10) +
         std::string(kUnitNames[unit]);
}

}  // namespace homefs
