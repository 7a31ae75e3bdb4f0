// What the kernel is told, and when: without a kernel, which the notices are lost on.
#include "fusefs/notifier.h"

#include <gtest/gtest.h>

#include <future>

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
  EXPECT_TRUE(notifier_.has_told(kFile, before)) << "it waits, is being sent, or was sent";
  wait_told();
  EXPECT_TRUE(notifier_.has_told(kFile, before));
  EXPECT_FALSE(notifier_.has_told(kFile, notifier_.moment()));
  EXPECT_FALSE(notifier_.has_told(NodeId{8}, before));
}

}  // namespace
}  // namespace homefs
