#include "config/ini_document.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

IniDocument parse(std::string_view text) {
  Result<IniDocument> document = IniDocument::parse(text, "f.ini");
  EXPECT_TRUE(document) << document.error().context;
  return std::move(*document);
}

constexpr std::string_view kText =
    "# top\n"
    "\n"
    "[alice]\n"
    "  Name = Alice\n"
    "; about the password\n"
    "password:abc=def:ghi\n"
    "\n"
    "# about bob\n"
    "[ bob ]\n"
    "empty =\n"
    "own key_less\n";

TEST(IniDocument, GivesBackWhatItRead) {
  for (const std::string_view text :
       {std::string_view(""), std::string_view("\n\n"), std::string_view("[a]"),
        std::string_view("[a]\r\nk=v\r\n"), std::string_view("\xef\xbb\xbf[a]\nk = v"),
        std::string_view("# \xff\x01 any bytes\n[a]\n\tk\t=\tv\t\n;x")}) {
    EXPECT_EQ(parse(text).text(), text);
  }
}

TEST(IniDocument, FindsSectionsKeysAndValues) {
  const IniDocument document = parse(kText.substr(0, kText.find("own")));
  ASSERT_EQ(document.sections().size(), 2u);
  const IniSection* alice = document.find("alice");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->header.number, 3);
  EXPECT_EQ(alice->find("name")->value(), "Alice");
  EXPECT_EQ(alice->find("NAME")->number, 4);
  EXPECT_EQ(alice->find("password")->value(), "abc=def:ghi");
  EXPECT_EQ(alice->find("empty"), nullptr);
  EXPECT_EQ(document.find("bob")->find("empty")->value(), "");
  EXPECT_EQ(document.find("Alice"), nullptr);
}

struct Row {
  const char* text;
  const char* error;
};

TEST(IniDocument, TellsEachMistakeWithoutShowingTheLine) {
  constexpr Row kRows[] = {
      {"k = v\n", "f.ini:1: k: stands before the first [name]"},
      {"[a]\n\nsecret words\n", "f.ini:3: a: expected [name], key = value or # comment"},
      {"[a]\nse cret = v\n", "f.ini:2: a: expected [name], key = value or # comment"},
      {"[a]\n= v\n", "f.ini:2: a: expected [name], key = value or # comment"},
      {"[a]\nk = \x01\n", "f.ini:2: a: expected [name], key = value or # comment"},
      {"secret", "f.ini:1: expected [name], key = value or # comment"},
      {"[", "f.ini:1: expected [name]"},
      {"[a", "f.ini:1: expected [name]"},
      {"[]", "f.ini:1: expected [name]"},
      {"[a] # comment", "f.ini:1: expected [name]"},
      {"[a[b]]", "f.ini:1: expected [name]"},
      {"[a]\n[b]\n[a]\n", "f.ini:3: a: given twice, first in line 1"},
      {"[a]\nk=1\nK: 2\n", "f.ini:3: a.k: given twice, first in line 2"},
  };
  for (const Row& row : kRows) {
    const Result<IniDocument> document = IniDocument::parse(row.text, "f.ini");
    ASSERT_FALSE(document) << row.text;
    EXPECT_EQ(document.error().context, row.error) << row.text;
  }
}

TEST(IniDocument, AllowsOneKeyInTwoSections) {
  EXPECT_TRUE(IniDocument::parse("[a]\nk=1\n[b]\nk=2\n", "f.ini"));
}

TEST(IniDocument, SetsAValueInPlace) {
  IniDocument document = parse("[a]\n  K\t: old  \n# c\n[b]\nk=x\ne =\n");
  ASSERT_TRUE(document.set("a", "k", "much longer"));
  ASSERT_TRUE(document.set("b", "e", "now"));
  EXPECT_EQ(document.text(), "[a]\n  K\t: much longer  \n# c\n[b]\nk=x\ne = now\n");
  ASSERT_TRUE(document.set("a", "k", "s"));
  ASSERT_TRUE(document.set("b", "e", ""));
  ASSERT_TRUE(document.set("b", "e", "again"));
  EXPECT_EQ(document.text(), "[a]\n  K\t: s  \n# c\n[b]\nk=x\ne = again\n");
  EXPECT_EQ(document.find("b")->find("e")->value(), "again");
}

TEST(IniDocument, AddsAKeyBehindTheLastOfItsSection) {
  IniDocument document = parse("[a]\nx = 1\n\n# about b\n[b]");
  ASSERT_TRUE(document.set("a", "y", "2"));
  ASSERT_TRUE(document.set("b", "z", "3"));
  EXPECT_EQ(document.text(), "[a]\nx = 1\ny = 2\n\n# about b\n[b]\nz = 3\n");
}

TEST(IniDocument, KeepsTheLineEndsOfTheFile) {
  IniDocument document = parse("[a]\r\nx = 1");
  ASSERT_TRUE(document.set("a", "y", "2"));
  ASSERT_TRUE(document.add_section("b"));
  EXPECT_EQ(document.text(), "[a]\r\nx = 1\r\ny = 2\r\n\r\n[b]\r\n");
}

TEST(IniDocument, RemovesKeysAndSectionsButNoCommentsBetweenThem) {
  IniDocument document = parse("# top\n[a]\nx = 1\ny = 2\n\n# about b\n[b]\nz = 3\n# end\n");
  ASSERT_TRUE(document.unset("a", "X"));
  EXPECT_EQ(document.text(), "# top\n[a]\ny = 2\n\n# about b\n[b]\nz = 3\n# end\n");
  ASSERT_TRUE(document.remove_section("b"));
  EXPECT_EQ(document.text(), "# top\n[a]\ny = 2\n\n# about b\n# end\n");
  ASSERT_TRUE(document.remove_section("a"));
  EXPECT_EQ(document.text(), "# top\n\n# about b\n# end\n");
}

TEST(IniDocument, AddingAndRemovingLeavesNoHeapOfBlankLines) {
  IniDocument document = parse("[a]\nx = 1\n\n[b]\nx = 1\n");
  const std::string before = document.text();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(document.add_section("c"));
    ASSERT_TRUE(document.set("c", "k", "v"));
    ASSERT_TRUE(document.add_section("d"));
    ASSERT_TRUE(document.remove_section("c"));
    ASSERT_TRUE(document.remove_section("d"));
  }
  EXPECT_EQ(document.text(), before + "\n");
}

TEST(IniDocument, RefusesWhatALineCannotHold) {
  IniDocument document = parse("[a]\n");
  EXPECT_EQ(document.set("a", "k", "two\nlines").error().status, Status::kInvalid);
  EXPECT_EQ(document.set("a", "k", " x").error().status, Status::kInvalid);
  EXPECT_EQ(document.set("a", "two words", "x").error().status, Status::kInvalid);
  EXPECT_EQ(document.set("a", "", "x").error().status, Status::kInvalid);
  EXPECT_EQ(document.set("b", "k", "x").error().status, Status::kNoSuchFile);
  EXPECT_EQ(document.unset("b", "k").error().status, Status::kNoSuchFile);
  EXPECT_EQ(document.add_section("a").error().status, Status::kExists);
  EXPECT_EQ(document.add_section("x]y").error().status, Status::kInvalid);
  EXPECT_EQ(document.remove_section("b").error().status, Status::kNoSuchFile);
  EXPECT_EQ(document.text(), "[a]\n");
}

}  // namespace
}  // namespace homefs
