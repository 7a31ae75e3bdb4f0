#include "config/config_error.h"

#include <gtest/gtest.h>

#include <vector>

namespace homefs {
namespace {

const std::vector<std::string> kKnown = {"listen", "data_dir", "homes_dir", "keepalive_seconds"};

TEST(ConfigError, NamesFileLineAndKeyAsFarAsTheyAreKnown) {
  EXPECT_EQ(config_error({"a.json", 12, "listen.port"}, "wrong").context,
            "a.json:12: listen.port: wrong");
  EXPECT_EQ(config_error({"a.json", 12, ""}, "wrong").context, "a.json:12: wrong");
  EXPECT_EQ(config_error({"a.json", 0, ""}, "wrong").context, "a.json: wrong");
  EXPECT_EQ(config_error({"a.json", 0, ""}, "wrong").status, Status::kConfigError);
}

TEST(ConfigError, QuotesAKeyThatWouldNotBeOneLineOfPlainText) {
  EXPECT_EQ(config_error({"a.json", 1, "listen.a\nb: \x1b[31m"}, "wrong").context,
            "a.json:1: \"listen.a\\x0ab: \\x1b[31m\": wrong");
  EXPECT_EQ(config_error({"a.ini", 1, "b\xc3\xbc b.key"}, "wrong").context,
            "a.ini:1: b\xc3\xbc b.key: wrong");
}

TEST(ConfigError, ShowsLongTextsCut) {
  EXPECT_EQ(shown("abc"), "\"abc\"");
  EXPECT_EQ(shown(std::string(64, 'x')), "\"" + std::string(64, 'x') + "\"");
  EXPECT_EQ(shown(std::string(65, 'x')), "\"" + std::string(64, 'x') + "...\"");
}

TEST(ConfigError, NeverLetsControlBytesThrough) {
  EXPECT_EQ(shown("\x1b[31m").find('\x1b'), std::string::npos);
  EXPECT_EQ(shown("a\nb").find('\n'), std::string::npos);
}

TEST(ConfigError, SuggestsTheNearestName) {
  EXPECT_EQ(suggestion("listne", kKnown), ", did you mean \"listen\"?");
  EXPECT_EQ(suggestion("datadir", kKnown), ", did you mean \"data_dir\"?");
  EXPECT_EQ(suggestion("keepalive", kKnown),
            "; known are \"listen\", \"data_dir\", \"homes_dir\", \"keepalive_seconds\"");
  EXPECT_EQ(suggestion(std::string(1000, 'x'), kKnown),
            "; known are \"listen\", \"data_dir\", \"homes_dir\", \"keepalive_seconds\"");
  EXPECT_EQ(suggestion("x", {}), "");
}

TEST(ConfigError, CountsSwappedLettersAsOneSlip) {
  const std::vector<std::string> known = {"port", "part1"};
  EXPECT_EQ(suggestion("prot", known), ", did you mean \"port\"?");
}

}  // namespace
}  // namespace homefs
