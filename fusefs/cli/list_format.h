// How `homefs ls` and `df` show things.
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "fusefs/remote/tree_entry.h"

namespace homefs {

/// "drwxr-xr-x"
[[nodiscard]] std::string mode_text(std::uint32_t mode);
/// "2026-11-22 21:04", in the time zone of the process.
[[nodiscard]] std::string moment_text(const Timestamp& time);
/// `name` with control bytes and what is not UTF-8 escaped as \xHH, without quotes around it.
[[nodiscard]] std::string escaped(std::string_view name);

/// One line of `ls -l`. `size_columns`: how wide the size is.
[[nodiscard]] std::string long_line(const TreeEntry& entry, const std::string& shown_name,
                                    int size_columns);
/// One entry of `ls --json`; bytes of names that are not UTF-8 are given as in `escaped`.
[[nodiscard]] nlohmann::ordered_json json_of(const TreeEntry& entry, const std::string& path);

}  // namespace homefs
