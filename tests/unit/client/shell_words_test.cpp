#include "fusefs/cli/shell_words.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

std::vector<std::string> texts(std::string_view line) {
  std::vector<std::string> list;
  const auto words = split_words(line);
  if (!words) return {"(error)"};
  for (const ShellWord& word : *words) list.push_back(word.text);
  return list;
}

using Strings = std::vector<std::string>;

TEST(ShellWords, AreQuotedAsInAShell) {
  EXPECT_EQ(texts("  put a\tb "), (Strings{"put", "a", "b"}));
  EXPECT_EQ(texts("put 'a b' \"c d\" e\\ f"), (Strings{"put", "a b", "c d", "e f"}));
  EXPECT_EQ(texts("x'y z'\"w\"v"), (Strings{"xy zwv"}));
  EXPECT_EQ(texts("\"a\\\"b\" 'a\\b' ''"), (Strings{"a\"b", "a\\b", ""}));
  EXPECT_EQ(texts("ls # all of it"), (Strings{"ls"}));
  EXPECT_EQ(texts("ls a#b"), (Strings{"ls", "a#b"}));
  EXPECT_EQ(texts(""), Strings{});
  EXPECT_EQ(texts("put 'open"), Strings{"(error)"});
}

TEST(ShellWords, ArePatternsWhereStarsAreNotQuoted) {
  const auto words = split_words("ls *.c '*.c' a\\*b* plain [x]");
  ASSERT_TRUE(words);
  EXPECT_EQ((*words)[1].pattern, "*.c");
  EXPECT_EQ((*words)[2].pattern, "");
  EXPECT_EQ((*words)[2].text, "*.c");
  EXPECT_EQ((*words)[3].pattern, "a\\*b*");
  EXPECT_EQ((*words)[4].pattern, "");
  EXPECT_EQ((*words)[5].pattern, "[x]");
}

TEST(ShellWords, TellTheWordAtTheCursor) {
  EXPECT_EQ(word_at_cursor("pu").index, 0u);
  EXPECT_EQ(word_at_cursor("pu").text, "pu");
  EXPECT_EQ(word_at_cursor("put ").index, 1u);
  EXPECT_EQ(word_at_cursor("put ").text, "");
  EXPECT_EQ(word_at_cursor("-put a b/c\\ d").command, "put");
  EXPECT_EQ(word_at_cursor("-put a b/c\\ d").text, "b/c d");
  EXPECT_EQ(word_at_cursor("put 'a b").quote, '\'');
  EXPECT_EQ(word_at_cursor("put 'a b").text, "a b");
}

TEST(ShellWords, WriteNamesAsTheyHaveToBeTyped) {
  for (const char* name : {"plain", "two words", "a'b", "a\"b", "back\\slash", "*?[", "#x"}) {
    EXPECT_EQ(texts(quoted_for_shell(name, 0)), Strings{name});
    EXPECT_EQ(texts("\"" + quoted_for_shell(name, '"') + "\""), Strings{name});
  }
}

TEST(ShellWords, FindWhatCandidatesHaveInCommon) {
  EXPECT_EQ(common_prefix(Strings{"abc", "abd", "ab"}), "ab");
  EXPECT_EQ(common_prefix(Strings{"x"}), "x");
  EXPECT_EQ(common_prefix(Strings{}), "");
  EXPECT_EQ(common_prefix(Strings{"\xc3\xa4", "\xc3\xb6"}), "") << "half a character";
}

}  // namespace
}  // namespace homefs
