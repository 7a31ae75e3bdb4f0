// Two channels of one process, connected over loopback TCP (or a pair of sockets), and recorders of
// what they tell. For the tests of the channel.
//
// Owner: the test. Executor: the recorders are thread-safe. Blocks: wait_for, until its condition
// holds, or for kPatience; then the test fails.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include "protocol/channel.h"

namespace homefs::testing {

/// Far more than anything here takes, also under TSan on a busy machine.
inline constexpr std::chrono::seconds kPatience{60};

/// Keys are made once a process, in a folder that is removed at its end.
class TestIdentity {
 public:
  TestIdentity() {
    std::string name = ::testing::TempDir() + "homefs-tls-XXXXXX";
    HOMEFS_CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    const auto made = make_server_identity(key_file(), cert_file());
    HOMEFS_CHECK(made.has_value());
  }
  ~TestIdentity() { std::filesystem::remove_all(folder_); }
  TestIdentity(const TestIdentity&) = delete;
  TestIdentity& operator=(const TestIdentity&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path key_file() const { return folder_ / "key.pem"; }
  [[nodiscard]] std::filesystem::path cert_file() const { return folder_ / "cert.pem"; }
  [[nodiscard]] TlsContext server() const { return *TlsContext::server(key_file(), cert_file()); }

  static const TestIdentity& get() {
    static const TestIdentity identity;
    return identity;
  }

 private:
  std::filesystem::path folder_;
};

struct SocketPair {
  UniqueFd client;
  UniqueFd server;
};

inline SocketPair local_pair() {
  int fds[2];
  HOMEFS_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

inline SocketPair tcp_pair() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  HOMEFS_CHECK(listener.is_open());
  HOMEFS_CHECK(::bind(listener.get(), generic, length) == 0 && ::listen(listener.get(), 1) == 0);
  HOMEFS_CHECK(::getsockname(listener.get(), generic, &length) == 0);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  HOMEFS_CHECK(client.is_open());
  HOMEFS_CHECK(::connect(client.get(), generic, length) == 0);
  UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  HOMEFS_CHECK(server.is_open());
  const int on = 1;  // for the peers that are no channel
  HOMEFS_CHECK(::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
  return {std::move(client), std::move(server)};
}

/// Keeps what happens; checks the promises that every channel makes.
class Recorder : public ChannelEvents {
 public:
  void on_open() override {
    const Turn turn(*this);
    EXPECT_FALSE(is_open_);
    is_open_ = true;
    if (open_hook) open_hook();
  }
  void on_frame(InFrame frame) override {
    const Turn turn(*this);
    EXPECT_TRUE(is_open_);
    EXPECT_FALSE(closed_.has_value());
    EXPECT_EQ(frame.header.body_bytes, frame.bytes().size());
    if (frame_hook) {
      frame_hook(frame);
      ++frame_count_;
      return;
    }
    const std::lock_guard lock(mutex_);
    frames_.push_back(std::move(frame));
    ++frame_count_;
    changed_.notify_all();
  }
  void on_send_space() override {
    const Turn turn(*this);
    ++space_count_;
    if (space_hook) space_hook();
  }
  void on_closed(const Error& why) override {
    const Turn turn(*this);
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(closed_.has_value());
    closed_ = why;
    changed_.notify_all();
  }

  std::function<void()> open_hook;
  std::function<void(InFrame&)> frame_hook;  ///< instead of keeping the frame
  std::function<void()> space_hook;

  [[nodiscard]] bool is_open() const { return is_open_; }
  [[nodiscard]] std::size_t frame_count() const { return frame_count_; }
  [[nodiscard]] int space_count() const { return space_count_; }
  [[nodiscard]] bool is_closed() {
    const std::lock_guard lock(mutex_);
    return closed_.has_value();
  }
  [[nodiscard]] std::optional<Error> closed() {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  std::vector<InFrame> take_frames() {
    const std::lock_guard lock(mutex_);
    return std::exchange(frames_, {});
  }

 private:
  /// Two events at a time would be a broken promise.
  class Turn {
   public:
    explicit Turn(Recorder& recorder) : recorder_(recorder) {
      EXPECT_FALSE(recorder_.is_in_event_.exchange(true));
    }
    ~Turn() {
      recorder_.is_in_event_ = false;
      const std::lock_guard lock(recorder_.mutex_);
      recorder_.changed_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Recorder& recorder_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<InFrame> frames_;
  std::optional<Error> closed_;
  std::atomic<bool> is_open_{false};
  std::atomic<bool> is_in_event_{false};
  std::atomic<std::size_t> frame_count_{0};
  std::atomic<int> space_count_{0};
};

/// IoThreads, and two channels that are not started yet.
class ChannelPair {
 public:
  explicit ChannelPair(SocketPair sockets = tcp_pair(), std::size_t threads = 2)
      : ChannelPair(std::move(sockets), threads, {}, *TlsContext::client()) {}

  ChannelPair(SocketPair sockets, std::size_t threads, ChannelOptions options,
              const TlsContext& client_context)
      : io_({.net = threads, .io = threads}) {
    options.pool = pool;
    client_channel = Channel::make(io_, std::move(sockets.client), client_context, options);
    server_channel =
        Channel::make(io_, std::move(sockets.server), TestIdentity::get().server(), options);
    io_.start();
  }
  ~ChannelPair() {
    client_channel->close(Error{Status::kGoingAway, "end of the test"});
    server_channel->close(Error{Status::kGoingAway, "end of the test"});
    wait_for([this] { return !is_started_ || (client->is_closed() && server->is_closed()); });
  }
  ChannelPair(const ChannelPair&) = delete;
  ChannelPair& operator=(const ChannelPair&) = delete;

  /// Starts both ends and waits until both are open.
  void open() {
    start();
    ASSERT_TRUE(wait_for([this] { return client->is_open() && server->is_open(); }));
  }
  void start() {
    is_started_ = true;
    client_channel->start(client);
    server_channel->start(server);
  }
  void allow_large_frames() {
    client_channel->set_body_bytes_max(kBodyBytesMax);
    server_channel->set_body_bytes_max(kBodyBytesMax);
  }

  /// Until `condition` holds; false after kPatience. Its state may change on any thread.
  static bool wait_for(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  std::shared_ptr<BufferPool> pool = BufferPool::make(8);
  std::shared_ptr<Recorder> client = std::make_shared<Recorder>();
  std::shared_ptr<Recorder> server = std::make_shared<Recorder>();

 private:
  IoThreads io_;  // outlives the channels

 public:
  std::shared_ptr<Channel> client_channel;
  std::shared_ptr<Channel> server_channel;

 private:
  bool is_started_ = false;
};

/// A frame with `fields_bytes` and `payload_bytes` of a pattern that `tag` determines.
inline OutFrame make_frame(FrameKind kind, Op op, std::uint32_t tag, std::size_t fields_bytes,
                           std::size_t payload_bytes) {
  OutFrame frame;
  frame.header.kind = kind;
  frame.header.op = op;
  frame.header.tag = tag;
  const auto pattern = [tag](std::size_t i) {
    return static_cast<std::byte>((i * 131 + tag * 7 + (i >> 9)) & 0xff);
  };
  frame.fields.resize(fields_bytes);
  for (std::size_t i = 0; i < fields_bytes; ++i) frame.fields[i] = pattern(i);
  if (payload_bytes > 0) {
    const auto buffer = std::make_shared<Buffer>(payload_bytes);
    for (std::size_t i = 0; i < payload_bytes; ++i) {
      buffer->writable()[i] = pattern(fields_bytes + i);
    }
    const Slice whole = slice_of(buffer);
    const std::size_t half = payload_bytes / 3;
    frame.payload = {whole.subslice(0, half), whole.subslice(half, payload_bytes - half)};
  }
  return frame;
}

/// True when `frame` is what make_frame() made for its tag.
inline bool has_pattern(const InFrame& frame) {
  const std::uint32_t tag = frame.header.tag;
  const auto bytes = frame.bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != static_cast<std::byte>((i * 131 + tag * 7 + (i >> 9)) & 0xff)) return false;
  }
  return true;
}

inline OutFrame make_request(std::uint32_t tag, std::size_t payload_bytes) {
  return make_frame(FrameKind::kRequest, Op::kWrite, tag, 40, payload_bytes);
}
inline OutFrame make_reply(std::uint32_t tag, std::size_t payload_bytes) {
  return make_frame(FrameKind::kReply, Op::kRead, tag, 16, payload_bytes);
}

}  // namespace homefs::testing
