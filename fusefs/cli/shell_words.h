// How a line of `homefs shell` is read: words, quotes, patterns.
//
//   put "my file" other\ file 'x*y'      quotes as in sh; what is quoted is no pattern
//   -rm nothing                          a "-" in front: a failure is no failure
//   # a comment
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs {

struct ShellWord {
  std::string text;     ///< without quotes
  std::string pattern;  ///< for glob_matches(): quoted characters escaped; empty: no pattern
  bool operator==(const ShellWord&) const = default;
};

/// Errors: kInvalid for a quote that is not closed.
[[nodiscard]] Result<std::vector<ShellWord>> split_words(std::string_view line);

/// The word that ends where the cursor is.
struct WordAtCursor {
  std::size_t index = 0;  ///< 0: the command
  std::string command;    ///< the first word, if it is before
  std::string text;       ///< what of the word is there, without quotes
  char quote = 0;         ///< it is inside of these; 0: of none
};
[[nodiscard]] WordAtCursor word_at_cursor(std::string_view line);

/// `text` as it has to be typed, inside of `quote` or outside of quotes (0).
[[nodiscard]] std::string quoted_for_shell(std::string_view text, char quote);

/// What all of `candidates` begin with.
[[nodiscard]] std::string common_prefix(std::span<const std::string> candidates);

}  // namespace homefs
