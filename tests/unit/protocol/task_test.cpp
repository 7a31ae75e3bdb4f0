#include "protocol/task.h"

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace homefs {
namespace {

using Done = Completion<int>::Done;

Task<int> answer() { co_return 42; }

Task<std::unique_ptr<int>> owned(int value) { co_return std::make_unique<int>(value); }

Task<Result<int>> failing() { co_return fail(Status::kStale); }

Task<> store(Task<int> task, int* into) {
  const int value = co_await std::move(task);
  *into = value;
}

TEST(Task, DoesNothingBeforeItIsAwaited) {
  bool has_run = false;
  struct Coroutine {
    static Task<> run(bool* ran) {
      *ran = true;
      co_return;
    }
  };
  {
    const Task<> never_awaited = Coroutine::run(&has_run);
    EXPECT_FALSE(has_run);
  }
  EXPECT_FALSE(has_run);
}

TEST(Task, GivesItsValueToItsCaller) {
  TaskGroup group;
  int value = 0;
  group.spawn(store(answer(), &value));
  EXPECT_EQ(value, 42);
}

Task<> store_owned(std::unique_ptr<int>* into) { *into = co_await owned(7); }

TEST(Task, ReturnsWhatCanOnlyBeMoved) {
  TaskGroup group;
  std::unique_ptr<int> value;
  group.spawn(store_owned(&value));
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 7);
}

Task<> store_status(Status* into) {
  const Result<int> result = co_await failing();
  *into = result ? Status::kOk : result.error().status;
}

TEST(Task, ReturnsErrorsAsValues) {
  TaskGroup group;
  Status status = Status::kOk;
  group.spawn(store_status(&status));
  EXPECT_EQ(status, Status::kStale);
}

Task<int> count_down(int left) {
  if (left == 0) co_return 0;
  const int below = co_await count_down(left - 1);
  co_return below + 1;
}

Task<> store_depth(int depth, int* into) { *into = co_await count_down(depth); }

TEST(Task, AwaitsTasksThatAwaitTasks) {
  TaskGroup group;
  int depth = 0;
  group.spawn(store_depth(100, &depth));
  EXPECT_EQ(depth, 100);
}

// Counts how many of it live.
struct Counted {
  explicit Counted(int* counter) : alive(counter) { ++*alive; }
  Counted(const Counted& other) : alive(other.alive) { ++*alive; }
  Counted(Counted&& other) noexcept : alive(other.alive) { ++*alive; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive; }
  int* alive;
};

Task<> hold(Counted parameter, Completion<int>::Start start) {
  const Counted local = parameter;  // NOLINT(performance-unnecessary-copy-initialization): counted
  (void)co_await Completion<int>(std::move(start));
}

TEST(Task, DestroysWhatItHoldsExactlyOnce) {
  int alive = 0;
  {
    TaskGroup group;
    Done resume;
    group.spawn(hold(Counted(&alive), [&](Done done) { resume = std::move(done); }));
    EXPECT_EQ(alive, 2);
    resume(1);
    EXPECT_EQ(alive, 0);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Task, ThatWasNeverAwaitedFreesItsParameters) {
  int alive = 0;
  {
    const Task<> never_awaited = hold(Counted(&alive), [](Done) {});
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

Task<> store_completion(Completion<int>::Start start, int* into, std::thread::id* where = nullptr) {
  Completion<int> completion(std::move(start));
  *into = co_await completion;
  if (where != nullptr) *where = std::this_thread::get_id();
}

TEST(Completion, BringsAValueThatComesBeforeStartReturns) {
  TaskGroup group;
  int value = 0;
  group.spawn(store_completion([](Done done) { done(5); }, &value));
  EXPECT_EQ(value, 5);
}

TEST(Completion, WaitsForAValueThatComesLater) {
  TaskGroup group;
  int value = 0;
  Done later;
  group.spawn(store_completion([&](Done done) { later = std::move(done); }, &value));
  EXPECT_EQ(value, 0);
  later(6);
  EXPECT_EQ(value, 6);
}

TEST(Completion, GoesOnInTheThreadThatBringsTheValue) {
  TaskGroup group;
  int value = 0;
  std::thread::id where;
  Done later;
  group.spawn(store_completion([&](Done done) { later = std::move(done); }, &value, &where));
  std::thread other([&] { later(7); });
  const std::thread::id other_id = other.get_id();
  other.join();
  EXPECT_EQ(value, 7);
  EXPECT_EQ(where, other_id);
}

TEST(Completion, StartsNothingBeforeItIsAwaited) {
  bool has_started = false;
  {
    const Completion<int> completion([&](Done) { has_started = true; });
  }
  EXPECT_FALSE(has_started);
}

Task<> store_text(Completion<std::unique_ptr<std::string>>::Start start, std::string* into) {
  const std::unique_ptr<std::string> text =
      co_await Completion<std::unique_ptr<std::string>>(std::move(start));
  *into = *text;
}

TEST(Completion, BringsWhatCanOnlyBeMoved) {
  TaskGroup group;
  std::string text;
  group.spawn(store_text([](auto done) { done(std::make_unique<std::string>("moved")); }, &text));
  EXPECT_EQ(text, "moved");
}

Task<> sum(std::vector<Completion<int>::Start>* starts, int* into) {
  for (auto& start : *starts) {
    const int value = co_await Completion<int>(std::move(start));
    *into += value;
  }
}

TEST(Completion, MayComeFromAnotherThreadWhileStartIsStillRunning) {
  // The two ends race for who resumes the coroutine; each round both orders are possible.
  constexpr int kRounds = 500;
  TaskGroup group;
  int total = 0;
  std::vector<std::jthread> threads;
  std::vector<Completion<int>::Start> starts;
  for (int i = 0; i < kRounds; ++i) {
    starts.emplace_back([&](Done done) {
      std::promise<void> begun;
      auto has_begun = begun.get_future();
      threads.emplace_back([done = std::move(done), begun = std::move(begun)]() mutable {
        begun.set_value();
        done(1);
      });
      has_begun.wait();
    });
  }
  // Each completion resumes in a thread of `threads`, which grows there: never two at a time.
  threads.reserve(kRounds);
  group.spawn(sum(&starts, &total));
  group.wait_idle();
  EXPECT_EQ(total, kRounds);
}

TEST(Completion, DoesNotRecurseOverValuesThatAreThereAtOnce) {
  // A loop over cached answers must not use stack for each of them.
  constexpr int kRounds = 200'000;
  TaskGroup group;
  int total = 0;
  std::vector<Completion<int>::Start> starts;
  for (int i = 0; i < kRounds; ++i) starts.emplace_back([](Done done) { done(1); });
  group.spawn(sum(&starts, &total));
  EXPECT_EQ(total, kRounds);
}

TEST(TaskGroup, IsIdleWhenNothingWasSpawned) {
  TaskGroup group;
  group.wait_idle();
}

TEST(TaskGroup, WaitsForAllThatWasSpawned) {
  TaskGroup group;
  constexpr int kTasks = 50;
  std::vector<Done> waiting(kTasks);
  std::vector<int> values(kTasks, 0);
  for (int i = 0; i < kTasks; ++i) {
    auto& slot = waiting[static_cast<std::size_t>(i)];
    group.spawn(store_completion([&slot](Done done) { slot = std::move(done); },
                                 &values[static_cast<std::size_t>(i)]));
  }
  std::jthread other([&] {
    for (Done& done : waiting) done(1);
  });
  group.wait_idle();
  EXPECT_EQ(values, std::vector<int>(kTasks, 1));
}

TEST(TaskGroup, MayBeDestroyedAsSoonAsItIsIdle) {
  // leave() runs in another thread than wait_idle(): it must not touch the group afterwards.
  for (int round = 0; round < 500; ++round) {
    Done later;
    int value = 0;
    std::jthread other;
    {
      TaskGroup group;
      group.spawn(store_completion([&](Done done) { later = std::move(done); }, &value));
      other = std::jthread([&later] { later(1); });
      group.wait_idle();
    }
    EXPECT_EQ(value, 1);
  }
}

TEST(TaskGroupDeathTest, MustNotBeDestroyedWhileATaskRuns) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Done later;
        int value = 0;
        TaskGroup group;
        group.spawn(store_completion([&](Done done) { later = std::move(done); }, &value));
      },
      "running_ == 0");
}

}  // namespace
}  // namespace homefs
