#include "fusefs/read_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
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
  ReadMemory memory;
  ReadCache cache(memory);
  ReadStream stream;
  const auto fetches = cache.plan(stream, 4096, 100, 200'000, true);
  ASSERT_EQ(fetches.size(), 1u);
  EXPECT_EQ(fetches[0].offset, 0u);
  EXPECT_EQ(fetches[0].length, 200'000u);
  EXPECT_TRUE(cache.plan(stream, 0, 100, 200'000, true).empty()) << "under way already";
}

TEST(ReadCache, GivesAStreamAWindowThatGrows) {
  ReadMemory memory;
  ReadCache cache(memory);
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
  ReadMemory memory;
  ReadCache cache(memory);
  ReadStream stream;
  (void)cache.plan(stream, 500 * kMiB, 4096, 1024 * kMiB, true);
  const auto fetches = cache.plan(stream, 100 * kMiB, 4096, 1024 * kMiB, true);
  ASSERT_EQ(fetches.size(), 1u);
  EXPECT_EQ(fetches[0].length, 4096u);
}

TEST(ReadCache, ForgetsFetchesThatWereUnderWayWhenTheFileChanged) {
  ReadMemory memory;
  ReadCache cache(memory);
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
  ReadMemory memory;
  ReadCache cache(memory);
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
  ReadMemory memory;
  ReadCache cache(memory);
  ReadStream stream;
  const auto fetches = cache.plan(stream, 0, 1000, 1000, true);
  (void)cache.complete(fetches[0], data_at(0, 300));
  const auto slices = cache.collect(200, 500);
  ASSERT_TRUE(slices);
  ASSERT_EQ(slices->size(), 1u);
  EXPECT_EQ(slices->front().bytes.size(), 100u);
  EXPECT_TRUE(cache.collect(300, 10)->empty());
}

// A file that is closed and opened again has another cache; a fetch of before is still under way.
TEST(ReadCache, TakesNoAnswerOfAnotherOpening) {
  ReadMemory memory;
  ReadStream stream;
  ReadCache::Fetch late;
  {
    ReadCache before(memory);
    late = before.plan(stream, 0, 100, 1000, true).front();
  }
  ReadCache cache(memory);
  const auto fetches = cache.plan(stream, 0, 100, 1000, true);
  ASSERT_EQ(fetches.size(), 1u);
  (void)cache.complete(late, data_at(0, 1000));
  EXPECT_FALSE(cache.collect(0, 100));
  (void)cache.complete(fetches.front(), data_at(0, 1000));
  EXPECT_TRUE(cache.collect(0, 100));
}

TEST(ReadCache, RefusesMoreThanItHasAskedFor) {
  ReadMemory memory;
  ReadCache cache(memory);
  ReadStream stream;
  const auto fetches = cache.plan(stream, 0, 100, 1000, true);
  Status told = Status::kOk;
  ReadCache::Wake wake = [&](const Result<>& result) { told = result.error().status; };
  EXPECT_TRUE(cache.when_fetched(0, 100, wake));
  for (auto& woken : cache.complete(fetches.front(), data_at(0, 1001))) woken();
  EXPECT_EQ(told, Status::kProtocolError);
  EXPECT_TRUE(cache.is_empty());
}

TEST(ReadCache, KeepsNothingThatTheKernelHasGot) {
  ReadMemory memory;
  ReadCache cache(memory);
  ReadStream stream;
  constexpr std::uint64_t kPart = 128 * 1024;
  // Backwards, as tac(1) reads.
  for (std::uint64_t at = 20 * kMiB; at > 0; at -= kPart) {
    for (const auto& fetch : cache.plan(stream, at - kPart, kPart, 20 * kMiB, true)) {
      (void)cache.complete(fetch, data_at(fetch.offset, fetch.length));
    }
    ASSERT_TRUE(cache.collect(at - kPart, kPart, ReadCache::Keep::kOnce));
  }
  EXPECT_TRUE(cache.is_empty());
  EXPECT_EQ(memory.bytes(), 0u);
  // A chunk that was given in parts.
  const auto fetches = cache.plan(stream, 30 * kMiB, kMiB, 100 * kMiB, false);
  (void)cache.complete(fetches.front(), data_at(30 * kMiB, kMiB));
  for (std::uint64_t at = 0; at < kMiB; at += kPart) {
    EXPECT_TRUE(cache.collect(30 * kMiB + at, kPart, ReadCache::Keep::kOnce));
  }
  EXPECT_TRUE(cache.is_empty());
}

TEST(ReadCache, AllFilesTogetherStayWithinTheirMemory) {
  ReadMemory memory;
  memory.set_bytes_max(8 * kMiB);
  std::vector<std::unique_ptr<ReadCache>> caches;
  for (int i = 0; i < 3; ++i) caches.push_back(std::make_unique<ReadCache>(memory));
  ReadStream stream;
  for (std::uint64_t at = 0; at < 40 * kMiB; at += kMiB) {
    ReadCache& cache = *caches[at / kMiB % 3];
    const auto fetches = cache.plan(stream, at, kMiB, 1024 * kMiB, false);
    ASSERT_EQ(fetches.size(), 1u);
    (void)cache.complete(fetches.front(), data_at(at, kMiB));
    EXPECT_TRUE(cache.collect(at, kMiB)) << "what was just fetched";
    EXPECT_LE(memory.bytes(), 8 * kMiB);
    if (at >= 2 * kMiB) {
      EXPECT_TRUE(caches[0]->collect(0, kMiB)) << "used all the time";
    }
  }
  EXPECT_EQ(memory.bytes(), 8 * kMiB);
  EXPECT_FALSE(caches[1]->collect(kMiB, kMiB)) << "not used since";
  caches.clear();
  EXPECT_EQ(memory.bytes(), 0u);
}

TEST(ReadCache, ReadsNoFurtherAheadThanItsMemoryAllows) {
  ReadMemory memory;
  memory.set_bytes_max(8 * kMiB);
  ReadCache cache(memory);
  ReadStream stream;
  std::uint64_t asked = 0;
  for (std::uint64_t offset = 0; offset < 16 * kMiB; offset += 128 * 1024) {
    for (const auto& fetch : cache.plan(stream, offset, 128 * 1024, 1024 * kMiB, true)) {
      asked = fetch.offset + fetch.length;
    }
  }
  EXPECT_LE(asked, 16 * kMiB + 2 * kMiB);
}

// Two programs read one file at two places.
TEST(ReadCache, AStreamDropsOnlyWhatWasFetchedForIt) {
  ReadMemory memory;
  ReadCache cache(memory);
  ReadStream lower{.id = 1};
  ReadStream upper{.id = 2, .next_offset = 50 * kMiB};
  constexpr std::uint64_t kPart = 128 * 1024;
  std::uint64_t fetched = 0;
  const auto read = [&](ReadStream& stream, std::uint64_t at) {
    for (const auto& fetch : cache.plan(stream, at, kPart, 1024 * kMiB, true)) {
      fetched += fetch.length;
      (void)cache.complete(fetch, data_at(fetch.offset, fetch.length));
    }
    ASSERT_TRUE(cache.collect(at, kPart, ReadCache::Keep::kOnce));
    cache.drop_passed(stream, at);
  };
  for (std::uint64_t at = 0; at < 20 * kMiB; at += kPart) {
    read(lower, at);
    read(upper, 50 * kMiB + at);
  }
  EXPECT_LE(fetched, 2 * (20 * kMiB + ReadCache::kWindowBytesMax + ReadCache::kFetchBytes));
}

// Random reads of several streams with answers in random order: what is collected is the file.
TEST(ReadCache, AlwaysGivesTheBytesOfTheFile) {
  const unsigned seed = test::test_seed();
  SCOPED_TRACE("HOMEFS_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr std::uint64_t kSize = 5 * kMiB + 12345;
  ReadMemory memory;
  ReadCache cache(memory);
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
    if (random() % 50 == 0) cache.drop_passed(stream, random() % kSize);
    if (random() % 200 == 0) (void)cache.clear();
  }
}

}  // namespace
}  // namespace homefs
