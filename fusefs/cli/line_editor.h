// LineEditor: lines that a person types, with history and completion; or that a pipe brings.
//
// Owner: the shell. Executor: the main thread. Blocks: read(), until there is a line.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace homefs {

/// What Tab does to a line: what to insert, or what to show.
struct LineCompletion {
  std::string insert;
  std::vector<std::string> choices;
};

class LineEditor {
 public:
  /// `line`: what is before the cursor.
  using Complete = std::function<LineCompletion(const std::string& line)>;

  /// On a terminal; nothing when the standard input is none.
  static std::unique_ptr<LineEditor> make(const std::filesystem::path& history, Complete complete);
  virtual ~LineEditor() = default;

  /// A line without its end; nothing at the end of the input. Ctrl-C gives an empty line.
  virtual std::optional<std::string> read(const std::string& prompt) = 0;
};

}  // namespace homefs
