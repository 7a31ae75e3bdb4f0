#include "server/frame_outlet.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace homefs {
namespace {

// Takes frames while it has room, and notes what it was called with.
class NotingChannel final : public Channel {
 public:
  void start(std::shared_ptr<ChannelEvents>) override {}
  Result<void> send(OutFrame&& frame) override {
    if (ended) return fail(Status::kDisconnected);
    if (room == 0) return fail(Status::kWouldBlock);
    --room;
    tags.push_back(frame.header.tag);
    if (in_send) std::exchange(in_send, nullptr)();
    return {};
  }
  Result<void> send_later(OutFrame&& frame) override { return send(std::move(frame)); }
  void set_body_bytes_max(std::size_t) override {}
  void pause_reading() override {}
  void resume_reading() override {}
  [[nodiscard]] std::size_t queued_bytes() const override { return 0; }
  [[nodiscard]] std::uint64_t received_bytes() const override { return 0; }
  void close(Error) override {}
  void close_after_flush(Error why) override {
    EXPECT_FALSE(ended);
    ended = std::move(why);
  }
  [[nodiscard]] std::string peer_fingerprint() const override { return {}; }
  [[nodiscard]] ChannelBinding channel_binding() const override { return {}; }
  [[nodiscard]] std::string peer_address() const override { return {}; }

  int room = 100;
  std::function<void()> in_send;  // once
  std::vector<std::uint32_t> tags;
  std::optional<Error> ended;
};

OutFrame tagged(std::uint32_t tag) {
  OutFrame frame;
  frame.header.tag = tag;
  return frame;
}

using Tags = std::vector<std::uint32_t>;

class FrameOutletTest : public testing::Test {
 protected:
  void SetUp() override { outlet_.set_channel(channel_); }

  const std::shared_ptr<NotingChannel> channel_ = std::make_shared<NotingChannel>();
  FrameOutlet outlet_;
  const Error why_{Status::kProtocolError, "nonsense"};
};

// The answer that says why is put while another thread sends an event, and the end follows at once.
TEST_F(FrameOutletTest, EndsBehindAFrameThatWaitsForAnotherThread) {
  channel_->in_send = [this] {
    outlet_.put(tagged(2));
    outlet_.end(why_);
    outlet_.put(tagged(3));
    EXPECT_FALSE(channel_->ended);
  };
  outlet_.put(tagged(1));
  EXPECT_EQ(channel_->tags, (Tags{1, 2}));
  ASSERT_TRUE(channel_->ended);
  EXPECT_EQ(channel_->ended->status, Status::kProtocolError);
}

TEST_F(FrameOutletTest, EndsOnceAndTakesNothingAfterwards) {
  outlet_.end(why_);
  ASSERT_TRUE(channel_->ended);
  outlet_.end({Status::kInvalid, "a second reason"});
  outlet_.put(tagged(1));
  EXPECT_EQ(channel_->ended->status, Status::kProtocolError);
  EXPECT_TRUE(channel_->tags.empty());
}

TEST_F(FrameOutletTest, EndsAfterTheReplyToTheLogin) {
  outlet_.hold();
  outlet_.put(tagged(2));
  outlet_.end(why_);
  EXPECT_FALSE(channel_->ended);
  outlet_.release_with(tagged(1));
  EXPECT_EQ(channel_->tags, (Tags{1, 2}));
  EXPECT_TRUE(channel_->ended);
}

TEST_F(FrameOutletTest, DoesNotWaitForAPeerThatTakesNothing) {
  channel_->room = 1;
  outlet_.put(tagged(1));
  outlet_.put(tagged(2));
  EXPECT_TRUE(outlet_.is_congested());
  outlet_.end(why_);
  EXPECT_TRUE(channel_->ended);
  EXPECT_EQ(channel_->tags, (Tags{1}));
}

TEST_F(FrameOutletTest, SendsWhatIsParkedWhenThereIsSpace) {
  channel_->room = 1;
  for (const std::uint32_t tag : {1, 2, 3}) outlet_.put(tagged(tag));
  channel_->room = 2;
  EXPECT_TRUE(outlet_.on_send_space());
  EXPECT_EQ(channel_->tags, (Tags{1, 2, 3}));
  EXPECT_FALSE(channel_->ended);
}

}  // namespace
}  // namespace homefs
