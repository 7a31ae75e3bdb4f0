#include "fusefs/posts.h"

#include <gtest/gtest.h>

#include <deque>
#include <thread>

namespace homefs {
namespace {

TEST(Posts, AreWaitedForUntilTheyHaveRun) {
  std::deque<std::move_only_function<void()>> queue;
  Posts posts([&](std::move_only_function<void()> work) { queue.push_back(std::move(work)); });
  int runs = 0;
  posts([&] {
    ++runs;
    posts([&] { ++runs; });  // one makes another
  });
  EXPECT_EQ(runs, 0) << "never at once";
  const std::jthread io([&] {
    while (!queue.empty()) {
      auto work = std::move(queue.front());
      queue.pop_front();
      work();
    }
  });
  posts.wait_idle();
  EXPECT_EQ(runs, 2);
}

TEST(Posts, AreNotWaitedForWhenTheyCanNeverRun) {
  std::deque<std::move_only_function<void()>> queue;
  Posts posts([&](std::move_only_function<void()> work) { queue.push_back(std::move(work)); });
  posts([] {});
  queue.clear();  // the threads have ended
  posts.wait_idle();
}

}  // namespace
}  // namespace homefs
