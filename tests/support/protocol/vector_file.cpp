#include "tests/support/protocol/vector_file.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include "protocol/result.h"

namespace homefs::testing {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  HOMEFS_CHECK(c >= 'a' && c <= 'f');
  return c - 'a' + 10;
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return "";
  std::string result(text.substr(first, text.find_last_not_of(' ') - first + 1));
  std::erase(result, '`');
  return result;
}

std::vector<std::string> cells_of(std::string_view row) {
  std::vector<std::string> cells;
  row.remove_prefix(1);
  while (!row.empty()) {
    const std::size_t end = row.find('|');
    HOMEFS_CHECK(end != std::string_view::npos);
    cells.push_back(trimmed(row.substr(0, end)));
    row.remove_prefix(end + 1);
  }
  return cells;
}

}  // namespace

std::string read_source(std::string_view path) {
  std::ifstream file(std::string(HOMEFS_SOURCE_DIR "/") + std::string(path));
  HOMEFS_CHECK(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<VectorLine> read_vectors(std::string_view name) {
  std::istringstream file(read_source("protocol/vectors/" + std::string(name) + ".txt"));
  std::vector<VectorLine> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<std::string>(words),
                       std::istream_iterator<std::string>());
  }
  HOMEFS_CHECK(!lines.empty());
  return lines;
}

std::string from_hex_text(std::string_view text) {
  if (text == "-") return "";
  HOMEFS_CHECK(text.size() % 2 == 0);
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes += static_cast<char>(digit_of(text[i]) * 16 + digit_of(text[i + 1]));
  }
  return bytes;
}

std::string to_hex_text(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (bytes.empty()) return "-";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string text_of_bytes(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += std::to_integer<char>(byte);
  return text;
}

std::vector<std::vector<std::string>> table_of_document(std::string_view title) {
  std::istringstream file(read_source("protocol/PROTOCOL.md"));
  std::vector<std::vector<std::string>> rows;
  bool is_below_title = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) {
      is_below_title = line.substr(std::min(line.size(), line.find(' ') + 1)) == title;
    } else if (is_below_title && line.starts_with("|")) {
      rows.push_back(cells_of(line));
    } else if (!rows.empty()) {
      break;
    }
  }
  HOMEFS_CHECK(rows.size() > 2);  // the head, the line below it, and what the table says
  rows.erase(rows.begin(), rows.begin() + 2);
  return rows;
}

}  // namespace homefs::testing
