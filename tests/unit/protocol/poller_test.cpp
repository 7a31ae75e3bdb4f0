#include "protocol/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <condition_variable>
#include <functional>
#include <mutex>

#include <gtest/gtest.h>

namespace homefs {
namespace {

using std::chrono::seconds;

class Counter : public Pollable {
 public:
  explicit Counter(std::function<void()> on_event = [] {}) : on_event_(std::move(on_event)) {}
  void on_ready(std::uint32_t events) override {
    {
      const std::lock_guard lock(mutex_);
      ++count_;
      events_ = events;
    }
    on_event_();
    changed_.notify_all();
  }
  void on_stopped() override { is_stopped_ = true; }
  bool wait_for(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(60), [&] { return count_ >= count; });
  }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  [[nodiscard]] bool is_stopped() const { return is_stopped_; }
  std::uint32_t events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  const std::function<void()> on_event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
  std::uint32_t events_ = 0;
  std::atomic<bool> is_stopped_{false};
};

class PollerTest : public ::testing::Test {
 protected:
  PollerTest() { poller_.start(); }
  static UniqueFd make_event() { return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

  Poller poller_{2};
};

TEST_F(PollerTest, TellsOnceWhatIsReady) {
  const UniqueFd event = make_event();
  const auto counter = std::make_shared<Counter>();
  const auto other = std::make_shared<Counter>();
  const UniqueFd probe = make_event();
  const Poller::Id id = poller_.add(event.get(), counter);
  const Poller::Id probe_id = poller_.add(probe.get(), other);
  poller_.arm(id, event.get(), EPOLLIN);
  ::eventfd_write(event.get(), 1);
  ASSERT_TRUE(counter->wait_for(1));
  EXPECT_EQ(counter->events(), static_cast<std::uint32_t>(EPOLLIN));
  // It is ready still, and not armed: whatever was to come of it would have come before these.
  for (int turn = 1; turn <= 10; ++turn) {
    poller_.arm(probe_id, probe.get(), EPOLLOUT);
    ASSERT_TRUE(other->wait_for(turn));
  }
  EXPECT_EQ(counter->count(), 1);
  poller_.arm(id, event.get(), EPOLLIN);
  EXPECT_TRUE(counter->wait_for(2));
}

TEST_F(PollerTest, TellsNobodyWhoIsNotArmed) {
  const UniqueFd event = make_event();
  const auto counter = std::make_shared<Counter>();
  poller_.add(event.get(), counter);
  ::eventfd_write(event.get(), 1);
  const UniqueFd probe = make_event();
  const auto other = std::make_shared<Counter>();
  poller_.arm(poller_.add(probe.get(), other), probe.get(), EPOLLOUT);
  ASSERT_TRUE(other->wait_for(1));
  EXPECT_EQ(counter->count(), 0);
}

TEST_F(PollerTest, OneThatWorksKeepsNobodyWaiting) {
  std::mutex busy;
  std::unique_lock lock(busy);
  const auto stuck = std::make_shared<Counter>([&] { const std::lock_guard wait(busy); });
  const auto free = std::make_shared<Counter>();
  const UniqueFd first = make_event();
  const UniqueFd second = make_event();
  const Poller::Id first_id = poller_.add(first.get(), stuck);
  const Poller::Id second_id = poller_.add(second.get(), free);
  poller_.arm(first_id, first.get(), EPOLLOUT);
  for (int turn = 1; turn <= 100; ++turn) {
    poller_.arm(second_id, second.get(), EPOLLOUT);
    ASSERT_TRUE(free->wait_for(turn));
  }
  lock.unlock();
  ASSERT_TRUE(stuck->wait_for(1));
}

TEST_F(PollerTest, KeepsWhomItTellsAndLetsGoWhenRemoved) {
  const UniqueFd event = make_event();
  auto counter = std::make_shared<Counter>();
  const std::weak_ptr<Counter> watched = counter;
  const Poller::Id id = poller_.add(event.get(), std::move(counter));
  EXPECT_FALSE(watched.expired());
  poller_.remove(id, event.get());
  EXPECT_TRUE(watched.expired());
}

TEST_F(PollerTest, StopsAndLetsGoOfAll) {
  const UniqueFd event = make_event();
  auto counter = std::make_shared<Counter>();
  const std::weak_ptr<Counter> watched = counter;
  poller_.add(event.get(), std::move(counter));
  poller_.stop();
  EXPECT_TRUE(watched.expired());
  poller_.stop();
}

TEST_F(PollerTest, TellsThoseItKeepsThatItHasStopped) {
  const UniqueFd event = make_event();
  const UniqueFd other = make_event();
  const auto kept = std::make_shared<Counter>();
  const auto removed = std::make_shared<Counter>();
  poller_.add(event.get(), kept);
  poller_.remove(poller_.add(other.get(), removed), other.get());
  poller_.stop();
  EXPECT_TRUE(kept->is_stopped());
  EXPECT_FALSE(removed->is_stopped());
}

}  // namespace
}  // namespace homefs
