// Many threads, random sizes, ends at random points: mostly for the sanitizers to watch.
#include <random>

#include "protocol/channel.h"
#include "tests/unit/protocol/channel_fixture.h"

namespace homefs::testing {
namespace {

constexpr int kSenders = 4;

std::size_t random_size(std::mt19937& random) {
  switch (random() % 8) {
    case 0:
      return random() % kPayloadBytesMax;
    case 1:
      return random() % 70000;
    default:
      return random() % 600;
  }
}

/// One sender's frames: the tag's upper byte names the sender, the rest counts.
struct Sender {
  Channel* channel;
  FrameKind kind;
  std::uint32_t number;
  std::atomic<std::uint32_t> taken{0};

  /// Until `frames` were taken or the channel refuses for good. False in that case.
  bool run(std::uint32_t frames, std::uint32_t seed) {
    std::mt19937 random(seed);
    for (std::uint32_t i = 0; i < frames; ++i) {
      OutFrame frame =
          make_frame(kind, Op::kWrite, (number << 24) | i, random() % 100, random_size(random));
      Result<void> sent;
      // NOLINTBEGIN(bugprone-use-after-move): what would block is untouched
      do {
        sent = random() % 2 == 0 ? channel->send(std::move(frame))
                                 : channel->send_later(std::move(frame));
        if (!sent) std::this_thread::yield();
      } while (!sent && sent.error().status == Status::kWouldBlock);
      // NOLINTEND(bugprone-use-after-move)
      if (!sent) return false;
      ++taken;
    }
    return true;
  }
};

/// Checks that each sender's frames come whole and in order.
class OrderCheck {
 public:
  void see(const InFrame& frame) {
    EXPECT_TRUE(has_pattern(frame));
    const std::uint32_t sender = frame.header.tag >> 24;
    ASSERT_LT(sender, next_.size());
    EXPECT_EQ(frame.header.tag & 0xffffff, next_[sender]);
    ++next_[sender];
  }

 private:
  std::array<std::uint32_t, kSenders> next_{};
};

TEST(ChannelStress, KeepsEachSendersOrderInBothDirections) {
  ChannelOptions options;
  options.queue_bytes_max = 3 * 1024 * 1024;
  options.records_per_key = 50;
  ChannelPair pair(tcp_pair(), 3, options, *TlsContext::client());
  OrderCheck at_server;
  OrderCheck at_client;
  pair.server->frame_hook = [&](InFrame& frame) { at_server.see(frame); };
  pair.client->frame_hook = [&](InFrame& frame) { at_client.see(frame); };
  pair.open();
  pair.allow_large_frames();
  constexpr std::uint32_t kFrames = 150;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kSenders; ++i) {
    threads.emplace_back([&pair, i] {
      Sender sender{pair.client_channel.get(), FrameKind::kRequest, i};
      EXPECT_TRUE(sender.run(kFrames, i));
    });
    threads.emplace_back([&pair, i] {
      Sender sender{pair.server_channel.get(), FrameKind::kReply, i};
      EXPECT_TRUE(sender.run(kFrames, 100 + i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(pair.wait_for([&] {
    return pair.client->frame_count() == kSenders * kFrames &&
           pair.server->frame_count() == kSenders * kFrames;
  }));
}

TEST(ChannelStress, PausesAndResumesAtRandom) {
  ChannelPair pair;
  OrderCheck at_server;
  std::mt19937 random(1);
  pair.server->frame_hook = [&](InFrame& frame) {
    at_server.see(frame);
    if (random() % 3 == 0) pair.server_channel->pause_reading();
  };
  pair.open();
  pair.allow_large_frames();
  std::atomic<bool> is_over{false};
  std::thread resumer([&] {
    while (!is_over) {
      pair.server_channel->resume_reading();
      std::this_thread::yield();
    }
  });
  Sender sender{pair.client_channel.get(), FrameKind::kRequest, 0};
  EXPECT_TRUE(sender.run(300, 5));
  EXPECT_TRUE(pair.wait_for([&] { return pair.server->frame_count() == 300; }));
  is_over = true;
  resumer.join();
}

/// Ends of every kind while everything is busy; the fixture checks on_closed and that all is let
/// go.
TEST(ChannelStress, SurvivesAnEndAtAnyPoint) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    ChannelPair pair(round % 2 == 0 ? tcp_pair() : local_pair());
    pair.server->frame_hook = [&](InFrame& frame) {
      (void)pair.server_channel->send(make_reply(frame.header.tag, 2000));  // may be closed
    };
    pair.client->frame_hook = [](InFrame&) {};
    const bool is_early = random() % 4 == 0;
    if (is_early) {
      pair.start();
    } else {
      pair.open();
      pair.allow_large_frames();
    }
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 3; ++i) {
      threads.emplace_back([&pair, i, round] {
        Sender sender{pair.client_channel.get(), FrameKind::kRequest, i};
        (void)sender.run(1000, static_cast<std::uint32_t>(round));  // ends when the channel does
      });
    }
    const std::size_t frames = random() % 30;
    if (!is_early) pair.wait_for([&] { return pair.server->frame_count() >= frames; });
    Channel& victim = random() % 2 == 0 ? *pair.client_channel : *pair.server_channel;
    if (random() % 3 == 0) {
      victim.close_after_flush(Error{Status::kGoingAway, "flushed"});
    } else {
      victim.close(Error{Status::kGoingAway, "cut"});
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(
        pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  }
}

TEST(ChannelStress, LetsGoOfEverythingWhenItsThreadsStopFirst) {
  std::weak_ptr<Channel> channel;
  std::weak_ptr<Recorder> events;
  SocketPair sockets = tcp_pair();
  {
    IoThreads io({.net = 1, .io = 1});
    ChannelOptions options{.pool = BufferPool::make(1)};
    auto made = Channel::make(io, std::move(sockets.server), TestIdentity::get().server(), options);
    auto recorder = std::make_shared<Recorder>();
    made->start(recorder);
    io.start();
    io.stop();
    channel = made;
    events = recorder;
  }
  EXPECT_TRUE(channel.expired());
  EXPECT_TRUE(events.expired());
}

}  // namespace
}  // namespace homefs::testing
