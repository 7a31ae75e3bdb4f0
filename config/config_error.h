// How a config file's mistakes are told: file, line, key, what was expected and what stands there.
//
// "homefsd.json:12: listen.port: expected a number from 1 to 65535, found "abc"". All parsers of
// config/ make their errors here, so that all of them read alike.
//
// Executor: thread-safe (pure functions). Blocks: never.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "protocol/result.h"

namespace homefs {

/// Where in a file a mistake is. `line` counts from 1, 0 = the file as a whole; `key` may be empty,
/// and is whatever the file says.
struct ConfigPlace {
  std::string_view file;
  int line = 0;
  std::string_view key;
};

/// "file:line: key: what", as an Error of Status::kConfigError. Parts that are not known are left
/// out.
[[nodiscard]] Error config_error(const ConfigPlace& place, std::string_view what);

/// `text` as quoted() shows it, cut after kShownBytesMax ("..."): a file may say anything.
[[nodiscard]] std::string shown(std::string_view text);

inline constexpr std::size_t kShownBytesMax = 64;

/// The end of a sentence about a name that is not known: `, did you mean "port"?` where one of
/// `known` is near, `; known are "address", "port"` where none is. Empty if `known` is empty.
[[nodiscard]] std::string suggestion(std::string_view name, std::span<const std::string> known);

}  // namespace homefs
