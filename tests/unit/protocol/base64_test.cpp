#include "protocol/base64.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(Base64, EqualsTheVectorsOfRfc4648) {
  const std::vector<std::pair<std::string_view, std::string_view>> vectors = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(bytes_of(plain)), encoded);
    EXPECT_EQ(from_base64(encoded), bytes_of(plain));
  }
}

TEST(Base64, RoundTripsEveryByteAndLength) {
  std::vector<std::byte> bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
    bytes.push_back(static_cast<std::byte>(i * 7 & 0xff));
  }
}

TEST(Base64, TakesOnlyWhatItMakes) {
  for (const std::string_view bad : {"Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm9v ", " Zm9v",
                                     "Zm9v\n", "Zm-v", "Zg==Zg==", "Z"}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
}

TEST(Hex, IsLowerCaseAndStrict) {
  EXPECT_EQ(to_hex(bytes_of("\x01\xaf")), "01af");
  EXPECT_EQ(from_hex("01af"), bytes_of("\x01\xaf"));
  EXPECT_FALSE(from_hex("01AF"));
  EXPECT_FALSE(from_hex("01a"));
  EXPECT_FALSE(from_hex("0g"));
}

}  // namespace
}  // namespace homefs
