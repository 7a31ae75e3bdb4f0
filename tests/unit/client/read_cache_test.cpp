#include "fusefs/read_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/support/seed.h"

namespace homefs {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

// A file whose byte at n is a function of n, so that any piece can be checked.
std::byte byte_at(std::uint64_t offset) { return static_cast<std::byte>(offset * 31 >> 3); }

Slice data_at(std::uint64_t offset, std::size_t count) {
  auto buffer = std::make_shared<Buffer>(count);
  for (std::size_t i = 0; i < count; ++i) buffer->writable()[i] = byte_at(offset + i);
  return slice_of(buffer);
}

TEST(ReadCache, FetchesASmallFileWholeAtItsFirstRead) {
  ReadCache cache;
  ReadStream stream;
  const auto fetches = cache.plan(stream, 4096, 100, 200'000, true);
  ASSERT_EQ(fetches.size(), 1u);
  EXPECT_EQ(fetches[0].offset, 0u);
  EXPECT_EQ(fetches[0].length, 200'000u);
  EXPECT_TRUE(cache.plan(stream, 0, 100, 200'000, true).empty()) << "under way already";
}

TEST(ReadCache, GivesAStreamAWindowThatGrows) {
  ReadCache cache;
  ReadStream stream;
  std::uint64_t asked = 0;
  for (std::uint64_t offset = 0; offset < 16 * kMiB; offset += 128 * 1024) {
    for (const auto& fetch : cache.plan(stream, offset, 128 * 1024, 1024 * kMiB, true)) {
      EXPECT_EQ(fetch.offset, asked) << "no gap, nothing twice";
      asked = fetch.offset + fetch.length;
    }
  }
  EXPECT_GE(asked, 16 * kMiB + ReadCache::kWindowBytesMax / 2);
  EXPECT_LE(asked, 16 * kMiB + ReadCache::kWindowBytesMax + ReadCache::kFetchBytes);
}

TEST(ReadCache, ReadsNothingAheadOfRandomAccess) {
  ReadCache cache;
  ReadStream stream;
  (void)cache.plan(stream, 500 * kMiB, 4096, 1024 * kMiB, true);
  const auto fetches = cache.plan(stream, 100 * kMiB, 4096, 1024 * kMiB, true);
  ASSERT_EQ(fetches.size(), 1u);
  EXPECT_EQ(fetches[0].length, 4096u);
}

TEST(ReadCache, ForgetsFetchesThatWereUnderWayWhenTheFileChanged) {
  ReadCache cache;
  ReadStream stream;
  const auto before = cache.plan(stream, 0, 100, 1000, true);
  bool was_woken = false;
  ReadCache::Wake wake = [&](const Result<>& result) { was_woken = result.has_value(); };
  EXPECT_TRUE(cache.when_fetched(0, 100, wake));
  for (auto& woken : cache.clear()) woken();
  EXPECT_TRUE(was_woken) << "they look again";
  EXPECT_TRUE(cache.complete(before[0], data_at(0, 1000)).empty());
  EXPECT_FALSE(cache.collect(0, 100)) << "an answer of before the change is not used";
}

TEST(ReadCache, TellsAFailureToWhoWaitsAndTriesAgainNextTime) {
  ReadCache cache;
  ReadStream stream;
  const auto first = cache.plan(stream, 0, 100, 1000, true);
  Status told = Status::kOk;
  ReadCache::Wake wake = [&](const Result<>& result) { told = result.error().status; };
  EXPECT_TRUE(cache.when_fetched(0, 100, wake));
  for (auto& woken : cache.complete(first[0], fail(Status::kIoError))) woken();
  EXPECT_EQ(told, Status::kIoError);
  EXPECT_EQ(cache.plan(stream, 0, 100, 1000, true).size(), 1u);
}

TEST(ReadCache, EndsWhereAFileHasBecomeShorter) {
  ReadCache cache;
  ReadStream stream;
  const auto fetches = cache.plan(stream, 0, 1000, 1000, true);
  (void)cache.complete(fetches[0], data_at(0, 300));
  const auto slices = cache.collect(200, 500);
  ASSERT_TRUE(slices);
  ASSERT_EQ(slices->size(), 1u);
  EXPECT_EQ(slices->front().bytes.size(), 100u);
  EXPECT_TRUE(cache.collect(300, 10)->empty());
}

// Random reads of several streams with answers in random order: what is collected is the file.
TEST(ReadCache, AlwaysGivesTheBytesOfTheFile) {
  const unsigned seed = test::test_seed();
  SCOPED_TRACE("HOMEFS_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr std::uint64_t kSize = 5 * kMiB + 12345;
  ReadCache cache;
  ReadStream streams[3];
  std::vector<ReadCache::Fetch> under_way;
  for (int step = 0; step < 3000; ++step) {
    ReadStream& stream = streams[random() % 3];
    const bool is_sequential = random() % 4 != 0;
    const std::uint64_t offset =
        is_sequential && stream.next_offset < kSize ? stream.next_offset : random() % kSize;
    const std::uint64_t count = std::min<std::uint64_t>(1 + random() % 200'000, kSize - offset);
    for (const auto& fetch : cache.plan(stream, offset, count, kSize, random() % 8 != 0)) {
      under_way.push_back(fetch);
    }
    std::shuffle(under_way.begin(), under_way.end(), random);
    while (!cache.collect(offset, count)) {
      ASSERT_FALSE(under_way.empty()) << "nothing is fetched, and it is not here";
      const auto fetch = under_way.back();
      under_way.pop_back();
      (void)cache.complete(fetch, data_at(fetch.offset, fetch.length));
    }
    std::uint64_t at = offset;
    const auto slices = cache.collect(offset, count);
    for (const Slice& slice : *slices) {
      ASSERT_EQ(slice.bytes.front(), byte_at(at));
      ASSERT_EQ(slice.bytes.back(), byte_at(at + slice.bytes.size() - 1));
      at += slice.bytes.size();
    }
    ASSERT_EQ(at, offset + count);
    if (random() % 50 == 0) cache.drop_before(random() % kSize);
    if (random() % 200 == 0) (void)cache.clear();
  }
}

}  // namespace
}  // namespace homefs
