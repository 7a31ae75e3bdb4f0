#include "protocol/buffer.h"

#include <algorithm>
#include <cstdint>
#include <thread>

#include <gtest/gtest.h>
#include "protocol/frame.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

TEST(Buffer, HasTheBytesThatWereAskedFor) {
  Buffer buffer(10);
  EXPECT_EQ(buffer.capacity(), 10u);
  EXPECT_EQ(buffer.bytes().size(), 10u);
  EXPECT_EQ(buffer.writable().data(), buffer.bytes().data());
  std::ranges::fill(buffer.writable(), std::byte{7});
  EXPECT_EQ(buffer.bytes()[9], std::byte{7});
}

TEST(Buffer, OfNoBytesIsEmpty) {
  const Buffer buffer(0);
  EXPECT_TRUE(buffer.bytes().empty());
}

TEST(Buffer, KeepsItsCapacityAndBytesWhenItIsMadeShorter) {
  Buffer buffer(100);
  buffer.writable()[99] = std::byte{9};
  buffer.resize(5);
  EXPECT_EQ(buffer.bytes().size(), 5u);
  EXPECT_EQ(buffer.capacity(), 100u);
  buffer.resize(100);
  EXPECT_EQ(buffer.bytes()[99], std::byte{9});
}

TEST(BufferDeathTest, IsNeverLargerThanItsCapacity) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Buffer(10).resize(11), "bytes <= capacity_");
}

TEST(Buffer, OutsideThePoolOfALargeSizeCanBeWrittenToItsEnd) {
  for (const std::size_t bytes : {BufferPool::kLargeBytes - 1, BufferPool::kLargeBytes,
                                  BufferPool::kLargeBytes + 1, 3 * BufferPool::kLargeBytes + 5}) {
    Buffer buffer(bytes);
    ASSERT_EQ(buffer.bytes().size(), bytes);
    buffer.writable().back() = std::byte{1};  // ASan judges
  }
}

TEST(Slice, KeepsItsBufferAlive) {
  Slice part;
  {
    const auto buffer = std::make_shared<Buffer>(10);
    buffer->writable()[4] = std::byte{44};
    part = slice_of(buffer).subslice(3, 4);
  }
  ASSERT_EQ(part.bytes.size(), 4u);
  EXPECT_EQ(part.bytes[1], std::byte{44});
  EXPECT_EQ(part.owner.use_count(), 1);
}

TEST(BufferPool, HoldsTheBodyOfAnyFrame) {
  EXPECT_GE(BufferPool::kLargeBytes, kBodyBytesMax);
  EXPECT_EQ(BufferPool::kLargeBytes % 4096, 0u);
}

TEST(BufferPool, UsesLargeBuffersAgain) {
  const auto pool = BufferPool::make(1);
  const std::byte* memory = pool->get(BufferPool::kLargeBytes)->bytes().data();
  // Of another size, as long as it is large.
  const SharedBuffer again = pool->get(BufferPool::kSmallBytesMax + 1);
  EXPECT_EQ(again->bytes().data(), memory);
  EXPECT_EQ(again->bytes().size(), BufferPool::kSmallBytesMax + 1);
  EXPECT_EQ(again->capacity(), BufferPool::kLargeBytes);
}

TEST(BufferPool, AlignsLargeBuffersToPages) {
  const auto pool = BufferPool::make(1);
  const auto address = reinterpret_cast<std::uintptr_t>(pool->get(1024 * 1024)->bytes().data());
  EXPECT_EQ(address % 4096, 0u);
}

TEST(BufferPool, GivesEveryUserABufferOfItsOwn) {
  const auto pool = BufferPool::make(4);
  const SharedBuffer one = pool->get(BufferPool::kLargeBytes);
  const SharedBuffer two = pool->get(BufferPool::kLargeBytes);
  EXPECT_NE(one->bytes().data(), two->bytes().data());
}

TEST(BufferPool, DoesNotKeepSmallBuffersNorHugeOnes) {
  const auto pool = BufferPool::make(1);
  EXPECT_EQ(pool->get(10)->capacity(), 10u);
  EXPECT_EQ(pool->get(BufferPool::kSmallBytesMax)->capacity(), BufferPool::kSmallBytesMax);
  EXPECT_EQ(pool->get(BufferPool::kLargeBytes + 1)->capacity(), BufferPool::kLargeBytes + 1);
}

TEST(BufferPool, KeepsNoMoreThanItWasTold) {
  const auto pool = BufferPool::make(2);
  std::vector<SharedBuffer> buffers;
  for (int i = 0; i < 5; ++i) buffers.push_back(pool->get(BufferPool::kLargeBytes));
  buffers.clear();  // three of them are freed: LeakSanitizer judges the other two
  buffers.push_back(pool->get(BufferPool::kLargeBytes));
  EXPECT_NE(buffers.front(), nullptr);
}

TEST(BufferPool, LivesAsLongAsItsBuffers) {
  SharedBuffer buffer;
  {
    const auto pool = BufferPool::make(1);
    buffer = pool->get(BufferPool::kLargeBytes);
  }
  buffer->writable().back() = std::byte{1};
  buffer.reset();
}

TEST(BufferPool, ServesManyThreads) {
  const auto pool = BufferPool::make(3);
  std::vector<std::jthread> threads;
  std::atomic<int> mixed_up{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, mark = static_cast<std::byte>(thread)] {
      for (int round = 0; round < 200; ++round) {
        const SharedBuffer buffer = pool->get(BufferPool::kLargeBytes);
        buffer->writable().front() = mark;
        buffer->writable().back() = mark;
        std::this_thread::yield();
        if (buffer->bytes().front() != mark || buffer->bytes().back() != mark) ++mixed_up;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(mixed_up, 0);
}

}  // namespace
}  // namespace homefs
