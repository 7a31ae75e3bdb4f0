#include "config/size.h"

#include <gtest/gtest.h>

#include <random>

namespace homefs {
namespace {

struct Row {
  const char* text;
  std::uint64_t bytes;
};

TEST(Size, ReadsEveryFormThatPeopleWrite) {
  constexpr Row kRows[] = {
      {"0", 0},
      {"1", 1},
      {"4096", 4096},
      {"12B", 12},
      {"1k", 1024},
      {"1K", 1024},
      {"1KiB", 1024},
      {"1kib", 1024},
      {"1KIB", 1024},
      {"1KB", 1000},
      {"500M", 500ull << 20},
      {"500MB", 500'000'000},
      {"10GiB", 10ull << 30},
      {"10 GiB", 10ull << 30},
      {"  10\tGiB ", 10ull << 30},
      {"1.5TiB", 3ull << 39},
      {"0.5K", 512},
      {"1.0001K", 1024},  // A fraction of a byte is cut off.
      {"0.999999999KB", 999},
      {"2PB", 2'000'000'000'000'000},
      {"7EiB", 7ull << 60},
      {"7.999999999EiB", 9223372035701854303ull},
      {"9223372036854775807", kSizeMax},
      {"0000000000000000000000001", 1},
      {"0EiB", 0},
  };
  for (const Row& row : kRows) {
    const Result<std::uint64_t> size = parse_size(row.text);
    ASSERT_TRUE(size) << row.text << ": " << size.error().context;
    EXPECT_EQ(*size, row.bytes) << row.text;
  }
}

TEST(Size, RefusesWhatIsNoSize) {
  for (const char* text :
       {"",     " ",   "ten", "-1", "+1",  "1.5",  "1.5B", ".5K",           "1.K", "1 0K",
        "1Kb1", "1Ki", "1KK", "1X", "1e3", "0x10", "1,5G", "1.0000000001K", "K",   "1K\n"}) {
    const Result<std::uint64_t> size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().status, Status::kInvalid);
    EXPECT_TRUE(
        size.error().context.starts_with("expected a size such as 10GiB, 500M or 0, found \""))
        << size.error().context;
  }
}

TEST(Size, RefusesWhatDoesNotFitASignedFileSize) {
  for (const char* text : {"9223372036854775808", "18446744073709551616", "8EiB", "9.3EB",
                           "99999999999999999999999999T", "18446744073709551615E"}) {
    const Result<std::uint64_t> size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().context,
              "\"" + std::string(text) + "\" is more than 9223372036854775807 bytes");
  }
}

TEST(Size, IsWrittenInTheLargestUnitThatIsExact) {
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(format_size(1000), "1000");
  EXPECT_EQ(format_size(1025), "1025");
  EXPECT_EQ(format_size(1024), "1KiB");
  EXPECT_EQ(format_size(10ull << 30), "10GiB");
  EXPECT_EQ(format_size(3ull << 39), "1536GiB");
  EXPECT_EQ(format_size(7ull << 60), "7EiB");
}

TEST(Size, ReadsBackWhatItWrites) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t bytes = (random() & kSizeMax) >> (random() % 63) << (random() % 10);
    if (bytes > kSizeMax) continue;
    const Result<std::uint64_t> again = parse_size(format_size(bytes));
    ASSERT_TRUE(again) << format_size(bytes);
    ASSERT_EQ(*again, bytes) << format_size(bytes);
  }
}

TEST(Size, IsRoundedForTheEye) {
  EXPECT_EQ(describe_size(0), "0B");
  EXPECT_EQ(describe_size(1023), "1023B");
  EXPECT_EQ(describe_size(1024), "1.0KiB");
  EXPECT_EQ(describe_size(1536ull << 20), "1.5GiB");
  EXPECT_EQ(describe_size((1ull << 20) - 1), "1.0MiB");
  EXPECT_EQ(describe_size(kSizeMax), "8.0EiB");
  EXPECT_EQ(describe_size(~0ull), "16.0EiB");
}

}  // namespace
}  // namespace homefs
