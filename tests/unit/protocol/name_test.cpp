#include "protocol/name.h"

#include <gtest/gtest.h>
#include "protocol/limits.h"

namespace homefs {
namespace {

using std::string_view_literals::operator""sv;

Status status_of(std::string_view text) {
  const auto name = Name::make(text);
  return name ? Status::kOk : name.error().status;
}

TEST(Name, IsAnyBytesButSlashAndNul) {
  for (int byte = 1; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    if (text == "." || text == "/") continue;
    const auto name = Name::make(text);
    ASSERT_TRUE(name) << byte;
    EXPECT_EQ(name->text(), text);
    EXPECT_STREQ(name->c_str(), text.c_str());
  }
}

TEST(Name, IsNoPath) {
  for (const auto text : {"/"sv, "a/b"sv, "/a"sv, "a/"sv, "../a"sv}) {
    EXPECT_EQ(status_of(text), Status::kInvalid) << text;
  }
}

TEST(Name, HasNoNul) {
  for (const auto text : {"\0"sv, "a\0"sv, "\0a"sv, "a\0b"sv}) {
    EXPECT_EQ(status_of(text), Status::kInvalid);
  }
}

TEST(Name, IsNeitherTheFolderNorItsParent) {
  EXPECT_EQ(status_of("."), Status::kInvalid);
  EXPECT_EQ(status_of(".."), Status::kInvalid);
  EXPECT_EQ(status_of("..."), Status::kOk);
  EXPECT_EQ(status_of(".a"), Status::kOk);
  EXPECT_EQ(status_of("a."), Status::kOk);
}

TEST(Name, HasOneTo255Bytes) {
  EXPECT_EQ(status_of(""), Status::kInvalid);
  EXPECT_EQ(status_of(std::string(kNameBytesMax, 'x')), Status::kOk);
  EXPECT_EQ(status_of(std::string(kNameBytesMax + 1, 'x')), Status::kNameTooLong);
  EXPECT_EQ(status_of(std::string(1 << 20, '/')), Status::kNameTooLong);
}

TEST(Name, ErrorsQuoteWhatIsWrong) {
  EXPECT_EQ(Name::make("a/\x1b[2J").error().context, "name \"a/\\x1b[2J\"");
  EXPECT_LT(Name::make(std::string(5000, '\x01')).error().context.size(), 200u);
}

TEST(Quoted, LeavesPrintableTextAsItIs) {
  EXPECT_EQ(quoted(""), "\"\"");
  EXPECT_EQ(quoted("photo 1.jpg ~!'$`"), "\"photo 1.jpg ~!'$`\"");
  EXPECT_EQ(quoted("\xc3\x9c"
                   "bung"),
            "\"\xc3\x9c"
            "bung\"");
  EXPECT_EQ(quoted("\xe2\x82\xac"), "\"\xe2\x82\xac\"");
  EXPECT_EQ(quoted("\xf0\x9f\x93\x81"), "\"\xf0\x9f\x93\x81\"");
}

TEST(Quoted, EscapesItsOwnSyntax) {
  EXPECT_EQ(quoted("a\"b"), "\"a\\x22b\"");
  EXPECT_EQ(quoted("a\\b"), "\"a\\x5cb\"");
}

TEST(Quoted, EscapesEveryControlByte) {
  for (int byte = 0; byte < 32; ++byte) {
    const std::string shown = homefs::quoted(std::string(1, static_cast<char>(byte)));
    ASSERT_EQ(shown.size(), 6u) << byte;
    EXPECT_EQ(shown.substr(0, 3), "\"\\x") << byte;
  }
  EXPECT_EQ(quoted("\x7f"), "\"\\x7f\"");
  EXPECT_EQ(quoted("\x1b[31m"), "\"\\x1b[31m\"");
  EXPECT_EQ(quoted("\n"), "\"\\x0a\"");
}

TEST(Quoted, EscapesC1ControlsThoughTheyAreValidUtf8) {
  EXPECT_EQ(quoted("\xc2\x80"), "\"\\xc2\\x80\"");
  EXPECT_EQ(quoted("\xc2\x9b"
                   "31m"),
            "\"\\xc2\\x9b31m\"");  // CSI
  EXPECT_EQ(quoted("\xc2\x9f"), "\"\\xc2\\x9f\"");
  EXPECT_EQ(quoted("\xc2\xa0"), "\"\xc2\xa0\"");  // the first that is none
}

TEST(Quoted, EscapesWhatIsNotUtf8ByteByByte) {
  EXPECT_EQ(quoted("\xff\xfe"), "\"\\xff\\xfe\"");
  EXPECT_EQ(quoted("\x80"), "\"\\x80\"");                    // a continuation alone
  EXPECT_EQ(quoted("a\xc3"), "\"a\\xc3\"");                  // cut short
  EXPECT_EQ(quoted("\xe2\x82"), "\"\\xe2\\x82\"");           // cut short
  EXPECT_EQ(quoted("\xf0\x9f\x93"), "\"\\xf0\\x9f\\x93\"");  // cut short
  EXPECT_EQ(quoted("\xc3(x"), "\"\\xc3(x\"");                // no continuation
  EXPECT_EQ(quoted("\xe2\x28\xa1"), "\"\\xe2(\\xa1\"");
}

TEST(Quoted, EscapesOverlongFormsSurrogatesAndWhatIsOutOfRange) {
  EXPECT_EQ(quoted("\xc0\xaf"), "\"\\xc0\\xaf\"");  // '/' in two bytes
  EXPECT_EQ(quoted("\xc1\xbf"), "\"\\xc1\\xbf\"");
  EXPECT_EQ(quoted("\xe0\x80\xaf"), "\"\\xe0\\x80\\xaf\"");  // '/' in three
  EXPECT_EQ(quoted("\xf0\x80\x80\xaf"), "\"\\xf0\\x80\\x80\\xaf\"");
  EXPECT_EQ(quoted("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");       // U+D800
  EXPECT_EQ(quoted("\xed\x9f\xbf"), "\"\xed\x9f\xbf\"");          // U+D7FF
  EXPECT_EQ(quoted("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\"");  // U+10FFFF
  EXPECT_EQ(quoted("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"");
  EXPECT_EQ(quoted("\xf5\x80\x80\x80"), "\"\\xf5\\x80\\x80\\x80\"");
}

}  // namespace
}  // namespace homefs
