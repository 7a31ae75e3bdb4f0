// The name that a file has while it is being transferred: hidden, next to where it will appear, and
// the same in every process, so that a later one finds what an earlier one has begun.
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <string>
#include <string_view>

namespace homefs {

/// ".NAME.homefs-part-XXXXXXXX", the digits being of the MD5 of `name` and `key`; of a long name
/// only the beginning is in it. `key`: empty for what any process may go on with.
[[nodiscard]] std::string partial_name(std::string_view name, std::string_view key = {});

/// Whether it looks like one. What does is no content of a tree: it is not got, put or compared.
[[nodiscard]] bool is_partial_name(std::string_view name);

}  // namespace homefs
