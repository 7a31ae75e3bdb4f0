// Names and how they are shown: what Name takes has no way out of its folder, and what quoted()
// gives holds nothing that a terminal would act on.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/name.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_name(std::string_view text) {
  const auto name = homefs::Name::make(text);
  if (!name) {
    const auto status = name.error().status;
    require(status == homefs::Status::kInvalid || status == homefs::Status::kNameTooLong);
    return;
  }
  require(name->text() == text);
  require(!text.empty() && text.size() <= homefs::kNameBytesMax);
  require(text != "." && text != "..");
  require(std::ranges::none_of(text, [](char c) { return c == '/' || c == '\0'; }));
}

/// The text that quoted() was given, from what it shows.
std::string unquoted(std::string_view shown) {
  require(shown.size() >= 2 && shown.front() == '"' && shown.back() == '"');
  shown = shown.substr(1, shown.size() - 2);
  std::string text;
  while (!shown.empty()) {
    require(shown[0] != '"');
    if (shown[0] != '\\') {
      text += shown[0];
      shown.remove_prefix(1);
      continue;
    }
    require(shown.size() >= 4 && shown[1] == 'x');
    text += static_cast<char>(std::stoi(std::string(shown.substr(2, 2)), nullptr, 16));
    shown.remove_prefix(4);
  }
  return text;
}

void check_quoted(std::string_view text) {
  const std::string shown = homefs::quoted(text);
  require(unquoted(shown) == text);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto byte = static_cast<unsigned char>(shown[i]);
    require(byte >= 0x20 && byte != 0x7f);
    const bool is_c1 = byte == 0xc2 && static_cast<unsigned char>(shown[i + 1]) < 0xa0;
    require(!is_c1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  check_name(text);
  check_quoted(text);
  return 0;
}
