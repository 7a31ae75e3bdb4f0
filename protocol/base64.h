// Base64 with padding, and hex in lower case, as they stand in JSON, SCRAM and fingerprints.
// Decoding takes exactly what encoding makes: no white space, no missing padding, no stray bits.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace homefs {

std::string to_base64(std::span<const std::byte> bytes);
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

std::string to_hex(std::span<const std::byte> bytes);
std::optional<std::vector<std::byte>> from_hex(std::string_view text);

}  // namespace homefs
