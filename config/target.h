// What a user names on the command line: [USER@]HOST[:PORT][/SUBDIR].
//
//   alice@files.example.org          files.example.org:7071/photos/2024
//   alice@[2001:db8::1]:7070/work    alice@nas:/        (the form of fstab: no port behind the
//   colon)
//
// Executor: a value. Blocks: never.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/result.h"

namespace homefs {

struct Target {
  std::string user;  ///< Empty if not given; else a valid account name.
  std::string host;  ///< Lower case; a name or a numeric address, IPv6 without brackets.
  std::uint16_t port = kDefaultPort;
  std::string subdir;  ///< Within the home, "photos/2024"; empty = the home itself.

  bool operator==(const Target&) const = default;

  /// "host:port", as known_servers has it; IPv6 in brackets.
  [[nodiscard]] std::string server() const;
  /// The shortest text that parse_target() reads back as this: the default port is left out.
  [[nodiscard]] std::string text() const;
};

/// Errors: kInvalid, with a text for the user that names the part that is wrong.
[[nodiscard]] Result<Target> parse_target(std::string_view text);

/// A host name or a numeric address, in lower case. Brackets around IPv6 are not part of it.
/// Errors: kInvalid.
[[nodiscard]] Result<std::string> check_host(std::string_view text);

/// A folder within the home as "a/b/c": no empty parts, no leading or trailing slash.
/// Errors: kInvalid for "." and ".." and zero bytes, kNameTooLong.
[[nodiscard]] Result<std::string> check_subdir(std::string_view text);

/// A port from 1 to 65535. Errors: kInvalid.
[[nodiscard]] Result<std::uint16_t> parse_port(std::string_view text);

}  // namespace homefs
