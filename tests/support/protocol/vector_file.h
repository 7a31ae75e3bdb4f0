// The files of protocol/vectors/, and tables of PROTOCOL.md, as the tests read them.
//
// Executor: thread-safe. Blocks: on the disk.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace homefs::testing {

/// A line of a vector file: its words.
using VectorLine = std::vector<std::string>;

/// The lines of protocol/vectors/NAME.txt without empty ones and comments. Aborts without the file.
std::vector<VectorLine> read_vectors(std::string_view name);

/// The whole of a file of the repository. Aborts without it.
std::string read_source(std::string_view path);

/// The bytes of hexadecimal digits; none for "-". Aborts for anything else.
std::string from_hex_text(std::string_view text);
std::string to_hex_text(std::string_view bytes);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}
std::string text_of_bytes(std::span<const std::byte> bytes);

/// The rows of the first table under the heading `title` of PROTOCOL.md, as cells without blanks
/// around them and without backquotes. Aborts when there is none.
std::vector<std::vector<std::string>> table_of_document(std::string_view title);

}  // namespace homefs::testing
