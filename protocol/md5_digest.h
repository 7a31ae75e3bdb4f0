// An MD5 digest as bytes, and as the 32 hexadecimal digits that people and `md5sum` read.
// MD5 finds corruption here; what guards against an attacker is TLS.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/result.h"

namespace homefs {

/// The 16 bytes in the order in which RFC 1321 prints them.
using Md5Digest = std::array<std::byte, 16>;

/// 32 lower-case hexadecimal digits, as md5sum prints them.
[[nodiscard]] std::string md5_to_hex(const Md5Digest& digest);

/// The digest written as exactly 32 hexadecimal digits, of either case.
/// Errors: kInvalid for any other length or character.
[[nodiscard]] Result<Md5Digest> md5_from_hex(std::string_view text);

}  // namespace homefs
