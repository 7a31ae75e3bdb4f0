// Sizes as people write them: "10GiB", "500M", "1.5TiB", "4096".
//
// The letters mean what they mean to GNU coreutils: K, KiB = 1024; KB = 1000; likewise M, G, T, P
// and E; nothing or B = bytes. Case does not matter. A fraction of a byte is cut off.
//
// Executor: thread-safe (pure functions). Blocks: never.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "protocol/result.h"

namespace homefs {

/// The largest size there is: file sizes are signed 64-bit numbers to the kernel.
inline constexpr std::uint64_t kSizeMax = std::numeric_limits<std::int64_t>::max();

/// The number of bytes that `text` says. Spaces around the number and before the unit are allowed.
/// Errors: kInvalid, whose context is a whole sentence part: `expected a size such as 10GiB, 500M
/// or 0, found "ten"`, or `"9EiB" is more than 9223372036854775807 bytes`.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

/// The shortest exact form: parse_size(format_size(n)) == n. 10737418240 is "10GiB", 1000 is
/// "1000".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// The same for people's eyes: one digit after the point, rounded. 1610612736 is "1.5GiB".
[[nodiscard]] std::string describe_size(std::uint64_t bytes);

}  // namespace homefs
