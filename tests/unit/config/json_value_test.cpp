#include "config/json_value.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

TEST(JsonValue, KnowsTheLineOfEveryKeyAndValue) {
  const Result<JsonValue> root = parse_json(
      "// a comment\n"
      "{\n"
      "  \"a\": 1\n"
      "  , /* two\n"
      "       lines */ \"b\": [10,\n"
      "    20\n"
      "    , {\"c\":\n"
      "       30}]}\n",
      "f");
  ASSERT_TRUE(root) << root.error().context;
  EXPECT_EQ(root->line, 2);
  EXPECT_EQ(root->find("a")->line, 3);
  EXPECT_EQ(root->find("a")->value.line, 3);
  const JsonMember* b = root->find("b");
  EXPECT_EQ(b->line, 5);
  EXPECT_EQ(b->value.elements[0].line, 5);
  EXPECT_EQ(b->value.elements[1].line, 6);
  EXPECT_EQ(b->value.elements[2].line, 7);
  EXPECT_EQ(b->value.elements[2].find("c")->line, 7);
  EXPECT_EQ(b->value.elements[2].find("c")->value.line, 8);
}

TEST(JsonValue, KeepsValuesOfEveryKind) {
  const Result<JsonValue> root = parse_json(
      R"({"n": null, "t": true, "f": false, "i": -5, "r": 1.50, "u": 18446744073709551615,
          "s": "aé\n", "l": [], "o": {}})",
      "f");
  ASSERT_TRUE(root) << root.error().context;
  EXPECT_EQ(root->find("n")->value.describe(), "null");
  EXPECT_EQ(root->find("t")->value.describe(), "true");
  EXPECT_EQ(root->find("f")->value.describe(), "false");
  EXPECT_EQ(root->find("i")->value.integer, -5);
  EXPECT_EQ(root->find("r")->value.integer, std::nullopt);
  EXPECT_EQ(root->find("r")->value.describe(), "1.50");
  EXPECT_EQ(root->find("u")->value.integer, std::nullopt);
  EXPECT_EQ(root->find("u")->value.describe(), "18446744073709551615");
  EXPECT_EQ(root->find("s")->value.text, "aé\n");
  EXPECT_EQ(root->find("l")->value.describe(), "a list");
  EXPECT_EQ(root->find("o")->value.describe(), "an object");
  EXPECT_EQ(root->find("missing"), nullptr);
}

struct Row {
  const char* text;
  const char* error;
};

TEST(JsonValue, TellsWhereTheFormIsBroken) {
  constexpr Row kRows[] = {
      {"",
       "f:1: syntax error while parsing value - unexpected end of input; expected '[', '{', or "
       "a literal"},
      {"{\n\"a\": 1,\n}",
       "f:3: syntax error while parsing object key - unexpected '}'; expected "
       "string literal"},
      {"{\n\"a\": 1\n\"b\": 2}",
       "f:3: syntax error while parsing object - unexpected string literal; expected '}'"},
      {"{\"a\": nul}",
       "f:1: syntax error while parsing value - invalid literal; last read: "
       "'\"a\": nul}'"},
      {"{} \n {}", "f:2: syntax error while parsing value - unexpected '{'; expected end of input"},
      {"{\"a\": \"\x01\"}",
       "f:1: syntax error while parsing value - invalid string: control character U+0001 (SOH) "
       "must be escaped to \\u0001; last read: '\"<U+0001>'"},
      {"{\"a\": 1e999}", "f:1: number overflow parsing '1e999'"},
      {"{\"a\": 1,\n \"b\": {\"c\": 2,\n \"c\": 3}}", "f:3: b.c: given twice, first in line 2"},
  };
  for (const Row& row : kRows) {
    const Result<JsonValue> root = parse_json(row.text, "f");
    ASSERT_FALSE(root) << row.text;
    EXPECT_EQ(root.error().status, Status::kConfigError);
    EXPECT_EQ(root.error().context, row.error) << row.text;
  }
}

TEST(JsonValue, BoundsDepthMembersAndSize) {
  const std::string deep(kJsonDepthMax, '[');
  EXPECT_TRUE(parse_json(deep + std::string(kJsonDepthMax, ']'), "f"));
  EXPECT_EQ(parse_json("[" + deep, "f").error().context, "f:1: nested more than 16 levels deep");
  EXPECT_EQ(parse_json(std::string(200'000, '['), "f").error().context,
            "f:1: nested more than 16 levels deep");

  std::string wide = "{";
  for (std::size_t i = 0; i <= kJsonMembersMax; ++i) wide += "\"" + std::to_string(i) + "\":0,\n";
  EXPECT_EQ(parse_json(wide, "f").error().context,
            "f:1025: 1024: more than 1024 keys in one object");

  EXPECT_EQ(parse_json(std::string(kJsonBytesMax + 1, ' '), "f").error().context,
            "f: larger than 262144 bytes");
}

TEST(JsonValue, QuotesNoControlBytesOfABrokenFile) {
  const Result<JsonValue> root = parse_json("{\"a\": \x1b[31m\xff}", "f");
  ASSERT_FALSE(root);
  for (const char c : root.error().context) EXPECT_TRUE(c >= ' ' && c < 0x7f) << +c;
}

}  // namespace
}  // namespace homefs
