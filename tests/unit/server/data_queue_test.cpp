#include "server/data_queue.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace homefs {
namespace {

DataJob write(std::uint64_t node, std::uint64_t begin, std::uint64_t end) {
  DataJob job;
  job.range = WrittenRange{NodeId{node}, begin, end};
  return job;
}

DataJob slow() {
  DataJob job;
  job.is_slow = true;
  return job;
}

DataJob fsync(std::uint64_t number) {
  DataJob job = slow();
  job.frame.header.op = Op::kFsync;
  job.frame.header.seq = number;
  return job;
}

TEST(DataQueue, RunsNoMoreThanItsLimit) {
  DataQueue queue({.running_max = 2, .slow_max = 1});
  for (int i = 0; i < 3; ++i) queue.push(DataJob{});
  const auto first = queue.begin_next();
  ASSERT_TRUE(first);
  ASSERT_TRUE(queue.begin_next());
  EXPECT_FALSE(queue.begin_next());
  queue.finish(first->number);
  EXPECT_TRUE(queue.begin_next());
  EXPECT_EQ(queue.unfinished(), 2u);
}

TEST(DataQueue, LetsDataPassWhatIsSlow) {
  DataQueue queue({.running_max = 3, .slow_max = 1});
  queue.push(slow());
  queue.push(slow());
  queue.push(DataJob{});
  EXPECT_TRUE(queue.begin_next()->is_slow);
  EXPECT_FALSE(queue.begin_next()->is_slow);
  EXPECT_FALSE(queue.begin_next());
}

TEST(DataQueue, RunsWritesToTheSameBytesInTheirOrder) {
  DataQueue queue({.running_max = 4, .slow_max = 1});
  queue.push(write(5, 0, 100));
  queue.push(write(5, 50, 150));
  queue.push(write(5, 100, 200));  // overlaps the second, which waits
  const auto first = queue.begin_next();
  ASSERT_TRUE(first);
  EXPECT_FALSE(queue.begin_next());
  queue.finish(first->number);
  const auto second = queue.begin_next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->range->begin, 50u);
  EXPECT_FALSE(queue.begin_next());
  queue.finish(second->number);
  EXPECT_TRUE(queue.begin_next());
}

TEST(DataQueue, RunsWritesElsewhereBesideEachOther) {
  DataQueue queue({.running_max = 4, .slow_max = 1});
  queue.push(write(5, 0, 100));
  queue.push(write(5, 100, 200));
  queue.push(write(6, 0, 100));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.begin_next());
}

TEST(DataQueue, RunsAResendOfAnFsyncAfterIt) {
  DataQueue queue({.running_max = 4, .slow_max = 4});
  queue.push(fsync(1));
  queue.push(fsync(1));
  queue.push(fsync(2));
  const auto first = queue.begin_next();
  ASSERT_TRUE(first);
  EXPECT_EQ(queue.begin_next()->frame.header.seq, 2u);
  EXPECT_FALSE(queue.begin_next());
  queue.finish(first->number);
  EXPECT_TRUE(queue.begin_next());
  queue.push(fsync(0));
  queue.push(fsync(0));
  EXPECT_TRUE(queue.begin_next()) << "those without a number are never sent again";
}

TEST(DataQueue, KnowsTheRangeOfAWrite) {
  auto body = encode_request(Introductions{},
                             WriteRequest{.node = NodeId{9}, .offset = 4096, .digests = {{}}});
  body.resize(body.size() + 10);
  InFrame frame;
  frame.header.op = Op::kWrite;
  frame.body = std::make_shared<Buffer>(body.size());
  std::ranges::copy(body, frame.body->writable().begin());
  const auto range = written_range(frame);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->node, NodeId{9});
  EXPECT_EQ(range->begin, 4096u);
  EXPECT_EQ(range->end, 4106u);
  frame.header.op = Op::kRead;
  EXPECT_FALSE(written_range(frame));
}

}  // namespace
}  // namespace homefs
