// What the kernel is told, and when: without a kernel, which the notices are lost on.
#include "fusefs/notifier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace homefs {
namespace {

constexpr NodeId kFile{7};

class Notices : public ::testing::Test {
 protected:
  Notices() {
    notifier_.start(nullptr, [] { return Notifier::Names(); });
  }
  void wait_told() {
    std::promise<void> told;
    notifier_.when_told([&] { told.set_value(); });
    told.get_future().wait();
  }

  Notifier notifier_;
};

TEST_F(Notices, OfTheEndOfAFileAreNoticesAboutIt) {
  const std::uint64_t before = notifier_.moment();
  notifier_.set_end(kFile, 9, std::byte{'x'});
  EXPECT_FALSE(NoticeHold(notifier_, kFile, before)) << "it waits, is being sent, or was sent";
  wait_told();
  EXPECT_FALSE(NoticeHold(notifier_, kFile, before));
  EXPECT_TRUE(NoticeHold(notifier_, kFile, notifier_.moment()));
  EXPECT_TRUE(NoticeHold(notifier_, NodeId{8}, before));
}

TEST_F(Notices, WaitForTheAnswerThatIsOnItsWayToTheKernel) {
  std::atomic<bool> is_answered = false;
  for (int round = 0; round < 200; ++round) {
    is_answered = false;
    std::optional<NoticeHold> answer;
    answer.emplace(notifier_, kFile, notifier_.moment());
    ASSERT_TRUE(*answer);
    std::atomic<bool> was_answered = false;
    std::promise<void> told;
    notifier_.invalidate_data(kFile);
    notifier_.when_told([&] {
      was_answered = is_answered.load();
      told.set_value();
    });
    std::this_thread::yield();
    is_answered = true;
    answer.reset();
    told.get_future().wait();
    ASSERT_TRUE(was_answered) << "round " << round;
  }
}

}  // namespace
}  // namespace homefs
