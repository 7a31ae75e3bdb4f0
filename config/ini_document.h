// An ini file as its lines: what is not changed stays as it was, byte for byte.
//
//   # a comment            a line that starts with # or ;
//   [section]
//   key = value            or key: value; spaces around both are not part of them
//
// The form that the configuration parser of Python reads and writes, without its continued lines
// and [DEFAULT]. Line ends may be LF or CRLF, also mixed; a byte order mark is kept.
//
// Owner: whoever edits the file. Executor: one thread. Blocks: never.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs {

/// A line as it stands in the file, end included. `key` is empty for comments and blank lines.
struct IniLine {
  std::string raw;
  int number = 0;   ///< In the file that was parsed; 0 for a line added since.
  std::string key;  ///< In lower case: keys are compared without regard to case.
  std::size_t value_at = 0;
  std::size_t value_bytes = 0;

  [[nodiscard]] std::string_view value() const {
    return std::string_view(raw).substr(value_at, value_bytes);
  }
};

struct IniSection {
  std::string name;
  IniLine header;
  std::vector<IniLine> lines;

  [[nodiscard]] const IniLine* find(std::string_view key) const;
};

class IniDocument {
 public:
  /// Errors: kConfigError with `file_name` and the line. Contents of lines are never quoted: in a
  /// broken line of this file stands, as a rule, a password.
  [[nodiscard]] static Result<IniDocument> parse(std::string_view text, std::string_view file_name);

  [[nodiscard]] const std::vector<IniSection>& sections() const { return sections_; }
  [[nodiscard]] const IniSection* find(std::string_view section) const;
  /// The whole file. text() of a freshly parsed document is what was parsed.
  [[nodiscard]] std::string text() const;

  /// Sets a value in place, or adds the key behind the last one of its section.
  /// Errors: kInvalid if key or value cannot stand in a line; kNoSuchFile: no such section.
  Result<> set(std::string_view section, std::string_view key, std::string_view value);
  /// Removes a key if it is there. Errors: kNoSuchFile: no such section.
  Result<> unset(std::string_view section, std::string_view key);
  /// Adds an empty section at the end. Errors: kExists; kInvalid for a name no header can hold.
  Result<> add_section(std::string_view section);
  /// Removes a section up to its last key. Comments and blank lines behind that, which mostly
  /// belong to the next section, stay. Errors: kNoSuchFile.
  Result<> remove_section(std::string_view section);

 private:
  [[nodiscard]] IniSection* find_mutable(std::string_view section);
  [[nodiscard]] std::string line_end() const;
  void end_last_line();

  std::vector<IniLine> preamble_;  // Comments and blank lines before the first section.
  std::vector<IniSection> sections_;
};

}  // namespace homefs
