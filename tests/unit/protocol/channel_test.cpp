#include "protocol/channel.h"

#include <algorithm>

#include "tests/unit/protocol/channel_fixture.h"

namespace homefs::testing {
namespace {

TEST(Channel, OpensOnBothEndsWithTheSameBindingAndTheServersFingerprint) {
  ChannelPair pair;
  pair.open();
  EXPECT_EQ(pair.client_channel->channel_binding(), pair.server_channel->channel_binding());
  EXPECT_NE(pair.client_channel->channel_binding(), ChannelBinding{});
  EXPECT_EQ(pair.client_channel->peer_fingerprint(), TestIdentity::get().server().fingerprint());
  EXPECT_EQ(pair.server_channel->peer_fingerprint(), "");
  EXPECT_TRUE(pair.client_channel->peer_address().starts_with("127.0.0.1:"));
}

TEST(Channel, WorksOnASocketThatIsNotTcp) {
  ChannelPair pair(local_pair());
  pair.open();
  EXPECT_EQ(pair.client_channel->peer_address(), "local");
}

TEST(Channel, LetsGoOfItsEventsWhenItsThreadsStop) {
  const auto sockets = tcp_pair();  // the peer says nothing
  IoThreads io({.net = 1, .io = 1});
  std::weak_ptr<Recorder> watched;
  std::shared_ptr<Channel> channel;
  {
    channel = Channel::make(io, UniqueFd(::dup(sockets.server.get())), TestIdentity::get().server(),
                            {.pool = BufferPool::make(8)});
    io.start();
    auto events = std::make_shared<Recorder>();
    watched = events;
    channel->start(std::move(events));
  }
  EXPECT_FALSE(watched.expired());
  io.stop();
  EXPECT_TRUE(watched.expired());
}

TEST(Channel, GivesEachConnectionItsOwnBinding) {
  ChannelPair one;
  ChannelPair other;
  one.open();
  other.open();
  EXPECT_NE(one.client_channel->channel_binding(), other.client_channel->channel_binding());
}

TEST(Channel, CarriesFramesOfEverySizeInOrder) {
  ChannelPair pair;
  pair.open();
  pair.allow_large_frames();
  const std::vector<std::size_t> sizes = {0,     1,     31,    4095,  16343, 16344,  16345,
                                          16384, 32768, 65535, 65536, 70000, 1048576};
  std::uint32_t tag = 0;
  for (const std::size_t size : sizes) {
    ASSERT_TRUE(pair.client_channel->send(make_request(++tag, size)));
  }
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->frame_count() == sizes.size(); }));
  const auto frames = pair.server->take_frames();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].header.tag, i + 1);
    EXPECT_EQ(frames[i].bytes().size(), sizes[i] + 40);
    EXPECT_TRUE(has_pattern(frames[i])) << sizes[i];
  }
}

TEST(Channel, CarriesEveryFieldOfTheHeader) {
  ChannelPair pair;
  pair.open();
  OutFrame frame = make_frame(FrameKind::kRequest, Op::kMkdir, 77, 5, 0);
  frame.header.seq = 0x1122334455667788;
  frame.header.seq_done = 0x99aabbccddeeff00;
  ASSERT_TRUE(pair.client_channel->send(std::move(frame)));
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->frame_count() == 1; }));
  const auto frames = pair.server->take_frames();
  EXPECT_EQ(frames[0].header, (FrameHeader{.body_bytes = 5,
                                           .op = Op::kMkdir,
                                           .kind = FrameKind::kRequest,
                                           .tag = 77,
                                           .seq = 0x1122334455667788,
                                           .seq_done = 0x99aabbccddeeff00}));
}

TEST(Channel, SendsLaterWhatIsSentLater) {
  ChannelPair pair;
  pair.open();
  pair.allow_large_frames();
  for (std::uint32_t tag = 1; tag <= 8; ++tag) {
    ASSERT_TRUE(pair.server_channel->send_later(make_reply(tag, 1024 * 1024)));
  }
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->frame_count() == 8; }));
  for (const InFrame& frame : pair.client->take_frames()) EXPECT_TRUE(has_pattern(frame));
}

TEST(Channel, AnswersFromInsideAnEvent) {
  ChannelPair pair;
  pair.server->frame_hook = [&pair](InFrame& frame) {
    EXPECT_TRUE(pair.server_channel->send(make_reply(frame.header.tag, 100)));
  };
  pair.open();
  for (std::uint32_t tag = 1; tag <= 200; ++tag) {
    ASSERT_TRUE(pair.client_channel->send(make_request(tag, 10)));
  }
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->frame_count() == 200; }));
  std::uint32_t tag = 0;
  for (const InFrame& frame : pair.client->take_frames()) {
    EXPECT_EQ(frame.header.tag, ++tag);
    EXPECT_TRUE(has_pattern(frame));
  }
}

TEST(Channel, TakesNoFrameBeforeItIsOpenOrAfterItIsClosed) {
  ChannelPair pair;
  OutFrame frame = make_request(1, 1);
  auto early = pair.client_channel->send(std::move(frame));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().status, Status::kDisconnected);
  EXPECT_EQ(frame.payload.size(), 2u);  // NOLINT(bugprone-use-after-move): that is the promise
  pair.open();
  pair.client_channel->close(Error{Status::kGoingAway, "enough"});
  EXPECT_FALSE(pair.client_channel->send(make_request(1, 1)));
  EXPECT_FALSE(pair.client_channel->send_later(make_request(1, 1)));
}

TEST(Channel, TellsBothEndsOnceWhyItEnded) {
  ChannelPair pair;
  pair.open();
  pair.client_channel->close(Error{Status::kGoingAway, "enough"});
  pair.client_channel->close(Error{Status::kIoError, "too late"});
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  EXPECT_EQ(pair.client->closed()->status, Status::kGoingAway);
  EXPECT_EQ(pair.client->closed()->context, "enough");
  EXPECT_EQ(pair.server->closed()->status, Status::kDisconnected);
}

TEST(Channel, SaysThatItWasClosedBeforeItBegan) {
  ChannelPair pair;
  pair.client_channel->close(Error{Status::kGoingAway, "never mind"});
  pair.start();
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  EXPECT_EQ(pair.client->closed()->context, "never mind");
  EXPECT_FALSE(pair.client->is_open());
}

TEST(Channel, ClosesFromInsideAnEvent) {
  ChannelPair pair;
  pair.client->open_hook = [&pair] {
    pair.client_channel->close(Error{Status::kServerKeyChanged, "pin"});
  };
  pair.start();
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  EXPECT_EQ(pair.client->closed()->status, Status::kServerKeyChanged);
}

TEST(Channel, FlushesBeforeItClosesWhenAskedTo) {
  ChannelPair pair;
  pair.open();
  pair.allow_large_frames();
  for (std::uint32_t tag = 1; tag <= 10; ++tag) {
    ASSERT_TRUE(pair.server_channel->send_later(make_reply(tag, 1024 * 1024)));
    // What the client still says must not reset the connection under the server's last words.
    ASSERT_TRUE(pair.client_channel->send(make_request(tag, 1000)));
  }
  pair.server_channel->close_after_flush(Error{Status::kLoginRefused, "no"});
  EXPECT_FALSE(pair.server_channel->send(make_reply(99, 1)));
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  EXPECT_EQ(pair.client->frame_count(), 10u);
  EXPECT_EQ(pair.client->closed()->status, Status::kDisconnected);
  EXPECT_EQ(pair.server->closed()->status, Status::kLoginRefused);
}

TEST(Channel, FlushesFromInsideAnEventWhatWasSentThere) {
  ChannelPair pair;
  pair.server->frame_hook = [&pair](InFrame&) {
    EXPECT_TRUE(pair.server_channel->send(make_reply(1, 5000)));
    pair.server_channel->close_after_flush(Error{Status::kLoginRefused, "no"});
    pair.server_channel->close_after_flush(Error{Status::kInvalid, "and once more"});
  };
  pair.client->open_hook = [&pair] {  // both leave in one record
    EXPECT_TRUE(pair.client_channel->send(make_request(1, 1)));
    EXPECT_TRUE(pair.client_channel->send(make_request(2, 1)));
  };
  pair.start();
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  EXPECT_EQ(pair.client->frame_count(), 1u);
  EXPECT_EQ(pair.server->frame_count(), 1u);
  EXPECT_EQ(pair.server->closed()->status, Status::kLoginRefused);
}

TEST(Channel, GivesUpFlushingToAPeerThatDoesNotRead) {
  ChannelOptions options;
  options.flush_deadline = std::chrono::milliseconds(1);
  ChannelPair pair(tcp_pair(), 2, options, *TlsContext::client());
  pair.open();
  pair.allow_large_frames();
  pair.client_channel->pause_reading();
  std::uint32_t tag = 0;
  while (pair.server_channel->send(make_reply(++tag, 1024 * 1024))) {
  }
  pair.server_channel->close_after_flush(Error{Status::kLoginRefused, "no"});
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->is_closed(); }));
  EXPECT_EQ(pair.server->closed()->status, Status::kLoginRefused);
}

TEST(Channel, RefusesOverItsQueueBoundAndTellsWhenThereIsSpace) {
  ChannelPair pair(tcp_pair(), 2, ChannelOptions{.queue_bytes_max = 4 * 1024 * 1024},
                   *TlsContext::client());
  pair.open();
  pair.allow_large_frames();
  pair.client_channel->pause_reading();
  std::uint32_t tag = 0;
  Result<void> sent;
  OutFrame frame;
  while (sent) {
    frame = make_reply(++tag, 1024 * 1024);
    sent = pair.server_channel->send(std::move(frame));
  }
  EXPECT_EQ(sent.error().status, Status::kWouldBlock);
  EXPECT_EQ(frame.fields.size(), 16u);  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_LE(pair.server_channel->queued_bytes(), 4u * 1024 * 1024);
  EXPECT_GE(pair.server_channel->queued_bytes(), 2u * 1024 * 1024);
  EXPECT_EQ(pair.server->space_count(), 0);
  pair.client_channel->resume_reading();
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->space_count() == 1; }));
  ASSERT_TRUE(pair.server_channel->send(std::move(frame)));
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->frame_count() == tag; }));
  EXPECT_EQ(pair.server_channel->queued_bytes(), 0u);
}

TEST(Channel, TakesAcknowledgementsThoughItsQueueIsFull) {
  ChannelPair pair(tcp_pair(), 2, ChannelOptions{.queue_bytes_max = 4 * 1024 * 1024},
                   *TlsContext::client());
  pair.open();
  pair.allow_large_frames();
  pair.client_channel->pause_reading();
  std::uint32_t tag = 0;
  while (pair.server_channel->send(make_reply(++tag, 1024 * 1024))) {
  }
  // Nobody would send them again.
  for (int i = 0; i < 4096; ++i) {
    OutFrame bare = make_reply(tag++, 0);
    bare.fields.clear();
    ASSERT_TRUE(pair.server_channel->send(std::move(bare))) << i;
  }
  pair.client_channel->resume_reading();
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->frame_count() == tag - 1; }));
}

TEST(Channel, DeliversNothingWhilePausedAndLosesNothing) {
  ChannelPair pair;
  pair.server->frame_hook = [&pair](InFrame& frame) {
    if (frame.header.tag == 5) pair.server_channel->pause_reading();
  };
  pair.open();
  for (std::uint32_t tag = 1; tag <= 50; ++tag) {
    ASSERT_TRUE(pair.client_channel->send(make_request(tag, 100)));
  }
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->frame_count() >= 5; }));
  // The other direction goes on, which also gives a sixth frame the time to come.
  for (std::uint32_t tag = 1; tag <= 50; ++tag) {
    ASSERT_TRUE(pair.server_channel->send(make_reply(tag, 10)));
    ASSERT_TRUE(pair.wait_for([&] { return pair.client->frame_count() == tag; }));
  }
  EXPECT_EQ(pair.server->frame_count(), 5u);
  pair.server_channel->resume_reading();
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->frame_count() == 50; }));
}

TEST(Channel, ClosesWhilePaused) {
  ChannelPair pair;
  pair.open();
  pair.server_channel->pause_reading();
  pair.server_channel->close(Error{Status::kGoingAway, "enough"});
  ASSERT_TRUE(pair.wait_for([&] { return pair.server->is_closed(); }));
}

TEST(Channel, RaisesTheLimitForTheFrameAfterTheOneThatDoesIt) {
  ChannelPair pair;
  pair.client->frame_hook = [&pair](InFrame&) {
    pair.client_channel->set_body_bytes_max(kBodyBytesMax);
  };
  // Both leave in one record.
  pair.server->frame_hook = [&pair](InFrame&) {
    EXPECT_TRUE(pair.server_channel->send(make_reply(1, 10)));
    EXPECT_TRUE(pair.server_channel->send(make_reply(2, 10000)));
  };
  pair.open();
  ASSERT_TRUE(pair.client_channel->send(make_request(1, 1)));
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->frame_count() == 2; }));
}

TEST(Channel, ChangesItsKeysWithoutLosingAByte) {
  ChannelOptions options;
  options.records_per_key = 3;
  ChannelPair pair(tcp_pair(), 2, options, *TlsContext::client());
  pair.open();
  pair.allow_large_frames();
  for (std::uint32_t tag = 1; tag <= 20; ++tag) {
    ASSERT_TRUE(pair.client_channel->send(make_request(tag, 100000)));
    ASSERT_TRUE(pair.server_channel->send_later(make_reply(tag, 100000)));
  }
  ASSERT_TRUE(pair.wait_for(
      [&] { return pair.client->frame_count() == 20 && pair.server->frame_count() == 20; }));
  for (const InFrame& frame : pair.client->take_frames()) EXPECT_TRUE(has_pattern(frame));
  for (const InFrame& frame : pair.server->take_frames()) EXPECT_TRUE(has_pattern(frame));
}

}  // namespace
}  // namespace homefs::testing
