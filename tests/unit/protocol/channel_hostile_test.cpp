// A server's channel against peers that do not play by the rules.
#include <openssl/ssl.h>

#include <array>

#include "protocol/channel.h"
#include "tests/unit/protocol/channel_fixture.h"

namespace homefs::testing {
namespace {

/// A server's channel, and the other end of its socket in the hands of the test.
class HostilePeer : public ::testing::Test {
 protected:
  HostilePeer() : io_({.net = 1, .io = 1}) {}
  ~HostilePeer() override {
    if (channel_ != nullptr) {
      channel_->close(Error{Status::kGoingAway, "end of the test"});
      EXPECT_TRUE(ChannelPair::wait_for([this] { return events_->is_closed(); }));
    }
    SSL_free(ssl_);
  }

  void start(ChannelOptions options = {}) {
    SocketPair sockets = tcp_pair();
    peer_ = std::move(sockets.client);
    options.pool = BufferPool::make(2);
    channel_ = Channel::make(io_, std::move(sockets.server), TestIdentity::get().server(), options);
    channel_->start(events_);
    io_.start();
  }

  /// An honest handshake, on a blocking socket.
  void open(ChannelOptions options = {}) {
    start(std::move(options));
    ssl_ = TlsContext::client()->make_ssl();
    SSL_set_fd(ssl_, peer_.get());
    ASSERT_EQ(SSL_do_handshake(ssl_), 1);
    ASSERT_TRUE(ChannelPair::wait_for([this] { return events_->is_open(); }));
  }

  void write(std::span<const std::byte> bytes) {
    std::size_t written = 0;
    while (!bytes.empty() && SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) == 1) {
      bytes = bytes.subspan(written);
    }
    EXPECT_TRUE(bytes.empty());
  }

  void write_raw(std::string_view bytes) {
    EXPECT_EQ(::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  static std::vector<std::byte> encode(FrameHeader header, std::size_t body_bytes) {
    header.body_bytes = static_cast<std::uint32_t>(body_bytes);
    const auto head = encode_header(header);
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.resize(bytes.size() + body_bytes);
    return bytes;
  }

  Status status_at_end() {
    EXPECT_TRUE(ChannelPair::wait_for([this] { return events_->is_closed(); }));
    return events_->closed()->status;
  }

  IoThreads io_;
  std::shared_ptr<Recorder> events_ = std::make_shared<Recorder>();
  std::shared_ptr<Channel> channel_;
  UniqueFd peer_;
  SSL* ssl_ = nullptr;
};

constexpr FrameHeader kPing{.op = Op::kPing, .kind = FrameKind::kRequest, .tag = 1};

TEST_F(HostilePeer, ThatSaysNothingIsClosedAtTheDeadline) {
  start({.handshake_deadline = std::chrono::milliseconds(20)});
  EXPECT_EQ(status_at_end(), Status::kTimedOut);
  EXPECT_FALSE(events_->is_open());
}

TEST_F(HostilePeer, ThatStallsInTheMiddleOfTheHandshakeIsClosedAtTheDeadline) {
  start({.handshake_deadline = std::chrono::milliseconds(20)});
  write_raw(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  EXPECT_EQ(status_at_end(), Status::kTimedOut);
}

TEST_F(HostilePeer, ThatHasLoggedInLateIsNotHitByTheHandshakesDeadline) {
  open({.handshake_deadline = std::chrono::milliseconds(2000)});
  write(encode(kPing, 0));
  ASSERT_TRUE(ChannelPair::wait_for([this] { return events_->frame_count() == 1; }));
  EXPECT_FALSE(events_->is_closed());
}

TEST_F(HostilePeer, ThatDoesNotSpeakTlsIsRefused) {
  start();
  write_raw("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
  EXPECT_EQ(status_at_end(), Status::kProtocolError);
}

TEST_F(HostilePeer, ThatKnowsOnlyTls12IsRefused) {
  start();
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  ssl_ = SSL_new(context);
  SSL_CTX_free(context);
  SSL_set_fd(ssl_, peer_.get());
  SSL_set_connect_state(ssl_);
  EXPECT_NE(SSL_do_handshake(ssl_), 1);
  EXPECT_EQ(status_at_end(), Status::kProtocolError);
}

TEST_F(HostilePeer, ThatGoesAwayDuringTheHandshakeIsNoticed) {
  start();
  peer_.reset();
  EXPECT_EQ(status_at_end(), Status::kDisconnected);
}

TEST_F(HostilePeer, ThatSendsAFrameOverTheLimitIsRefused) {
  open();
  write(encode({.op = Op::kWrite, .kind = FrameKind::kRequest}, kLoginBodyBytesMax + 1));
  EXPECT_EQ(status_at_end(), Status::kProtocolError);
  EXPECT_EQ(events_->frame_count(), 0u);
}

TEST_F(HostilePeer, ThatSendsABadFrameIsRefusedAfterItsGoodOnes) {
  open();
  auto bytes = encode(kPing, 0);
  const std::vector<std::byte> bad(kFrameHeaderBytes, std::byte{0xff});
  bytes.insert(bytes.end(), bad.begin(), bad.end());
  write(bytes);
  EXPECT_EQ(status_at_end(), Status::kProtocolError);
  EXPECT_EQ(events_->frame_count(), 1u);
}

TEST_F(HostilePeer, ThatSendsGarbageBelowTlsIsCutOff) {
  open();
  write_raw(std::string(100, 'x'));
  EXPECT_EQ(status_at_end(), Status::kDisconnected);
}

TEST_F(HostilePeer, ThatEndsItsHalfInTheMiddleOfAFrameIsClosed) {
  open();
  const auto frame = encode(kPing, 100);
  write(std::span(frame).first(50));
  ASSERT_EQ(::shutdown(peer_.get(), SHUT_WR), 0);
  EXPECT_EQ(status_at_end(), Status::kDisconnected);
  EXPECT_EQ(events_->frame_count(), 0u);
}

TEST_F(HostilePeer, ThatSaysGoodbyeIsClosed) {
  open();
  write(encode(kPing, 0));
  SSL_shutdown(ssl_);
  EXPECT_EQ(status_at_end(), Status::kDisconnected);
  EXPECT_EQ(events_->closed()->context, "the peer ended the connection");
  EXPECT_EQ(events_->frame_count(), 1u);
}

TEST_F(HostilePeer, MayAskForNewKeysAtAnyTime) {
  events_->frame_hook = [this](InFrame& frame) {
    EXPECT_TRUE(channel_->send(make_reply(frame.header.tag, 0)));
  };
  open();
  std::array<std::byte, kFrameHeaderBytes + 16> reply{};
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED), 1);
    write(encode(kPing, 0));
    std::size_t bytes = 0;
    for (std::size_t have = 0; have < reply.size(); have += bytes) {
      ASSERT_EQ(SSL_read_ex(ssl_, reply.data() + have, reply.size() - have, &bytes), 1);
    }
  }
  EXPECT_EQ(events_->frame_count(), 10u);
}

TEST_F(HostilePeer, ThatDoesNotReadDoesNotGrowTheQueueOverItsBound) {
  open({.queue_bytes_max = 1024 * 1024});
  Result<void> sent;
  while (sent) sent = channel_->send_later(make_reply(1, 100000));
  EXPECT_EQ(sent.error().status, Status::kWouldBlock);
  EXPECT_LE(channel_->queued_bytes(), 1024u * 1024);
}

}  // namespace
}  // namespace homefs::testing
