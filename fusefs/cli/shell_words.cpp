#include "fusefs/cli/shell_words.h"

#include <algorithm>

namespace homefs {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kGlobs = "*?[";

bool is_one_of(char c, std::string_view set) { return set.find(c) != set.npos; }

// Reads words one after the other; the end of the line may be inside of one.
class WordReader {
 public:
  explicit WordReader(std::string_view line) : line_(line) {}

  // False when there is no further word.
  bool next() {
    while (at_ < line_.size() && is_one_of(line_[at_], kBlanks)) ++at_;
    if (at_ == line_.size() || line_[at_] == '#') return false;
    word_ = {};
    is_pattern_ = false;
    quote_ = 0;
    while (at_ < line_.size() && (quote_ != 0 || !is_one_of(line_[at_], kBlanks))) take();
    if (!is_pattern_) word_.pattern.clear();
    return true;
  }

  [[nodiscard]] const ShellWord& word() const { return word_; }
  [[nodiscard]] char open_quote() const { return quote_; }
  [[nodiscard]] bool is_at_end() const { return at_ == line_.size(); }

 private:
  void take() {
    const char c = line_[at_++];
    if (quote_ == 0 && (c == '\'' || c == '"')) {
      quote_ = c;
    } else if (c == quote_) {
      quote_ = 0;
    } else if (c == '\\' && quote_ != '\'' && at_ < line_.size()) {
      add(line_[at_++], /*is_quoted=*/true);
    } else {
      add(c, quote_ != 0);
    }
  }

  void add(char c, bool is_quoted) {
    word_.text += c;
    const bool is_special = is_one_of(c, kGlobs);
    if ((is_special && is_quoted) || c == '\\') word_.pattern += '\\';
    word_.pattern += c;
    is_pattern_ = is_pattern_ || (is_special && !is_quoted);
  }

  const std::string_view line_;
  std::size_t at_ = 0;
  ShellWord word_;
  bool is_pattern_ = false;
  char quote_ = 0;
};

}  // namespace

Result<std::vector<ShellWord>> split_words(std::string_view line) {
  std::vector<ShellWord> words;
  WordReader reader(line);
  while (reader.next()) {
    if (reader.open_quote() != 0) return fail(Status::kInvalid, "a quote is not closed");
    words.push_back(reader.word());
  }
  return words;
}

WordAtCursor word_at_cursor(std::string_view line) {
  WordAtCursor word;
  WordReader reader(line);
  while (reader.next()) {
    const bool is_last = reader.is_at_end();
    if (is_last) {
      word.text = reader.word().text;
      word.quote = reader.open_quote();
      break;
    }
    if (word.index++ == 0) word.command = reader.word().text;
  }
  if (word.command.starts_with('-')) word.command.erase(0, 1);
  return word;
}

std::string quoted_for_shell(std::string_view text, char quote) {
  constexpr std::string_view kSpecial = " \t\"'\\*?[#";
  std::string result;
  for (const char c : text) {
    const bool is_escaped =
        quote == 0 ? is_one_of(c, kSpecial) : quote == '"' && (c == '"' || c == '\\');
    if (is_escaped) result += '\\';
    result += c;
  }
  return result;
}

std::string common_prefix(std::span<const std::string> candidates) {
  if (candidates.empty()) return {};
  std::string prefix = candidates[0];
  for (const std::string& each : candidates) {
    const auto [end, other] = std::ranges::mismatch(prefix, each);
    prefix.erase(end, prefix.end());
  }
  // Not within a character of UTF-8.
  while (!prefix.empty() && prefix.size() < candidates[0].size() &&
         (candidates[0][prefix.size()] & 0xc0) == 0x80) {
    prefix.pop_back();
  }
  return prefix;
}

}  // namespace homefs
