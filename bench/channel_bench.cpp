// What the channel costs beside a bare blocking SSL_write/SSL_read pair, over loopback TCP: one
// stream of bulk data, and the round trip of a small frame. Each end has its own thread, as two
// processes would have.
//
//   channel_bench [seconds per row] [row]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "protocol/channel.h"

namespace homefs {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kChunkBytes = 1024 * 1024;
constexpr std::size_t kSmallBytes = 100;

double g_seconds = 2.0;

/// Wall clock and the CPU time of both ends; the second is what a busy machine does not disturb.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }
  [[nodiscard]] bool is_over() const { return seconds() > g_seconds; }

  void print_rate(const char* row, std::size_t bytes) const {
    const double mega_bytes = static_cast<double>(bytes) / 1e6;
    std::printf("%-16s %8.1f MB/s   %6.1f us CPU/MB\n", row, mega_bytes / seconds(),
                cpu_seconds() / mega_bytes * 1e6);
  }
  void print_round(const char* row, std::uint64_t rounds) const {
    const auto count = static_cast<double>(rounds);
    std::printf("%-16s %8.2f us     %6.2f us CPU/round trip\n", row, seconds() / count * 1e6,
                cpu_seconds() / count * 1e6);
  }

 private:
  static double used() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  [[nodiscard]] double cpu_seconds() const { return used() - used_before_; }

  Clock::time_point begin_ = Clock::now();
  double used_before_ = used();
};

struct Sockets {
  UniqueFd client;
  UniqueFd server;
};

Sockets connect_loopback() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  HOMEFS_CHECK(::bind(listener.get(), generic, length) == 0 && ::listen(listener.get(), 1) == 0);
  HOMEFS_CHECK(::getsockname(listener.get(), generic, &length) == 0);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
  HOMEFS_CHECK(::connect(client.get(), generic, length) == 0);
  UniqueFd server(::accept(listener.get(), nullptr, nullptr));
  const int on = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(server.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return {std::move(client), std::move(server)};
}

struct Contexts {
  TlsContext client = *TlsContext::client();
  TlsContext server;

  static Contexts make() {
    std::string folder = "/tmp/homefs-bench-XXXXXX";
    HOMEFS_CHECK(::mkdtemp(folder.data()) != nullptr);
    HOMEFS_CHECK(make_server_identity(folder + "/key", folder + "/cert").has_value());
    auto server = TlsContext::server(folder + "/key", folder + "/cert");
    std::filesystem::remove_all(folder);
    return Contexts{*TlsContext::client(), *server};
  }
};

// --- bare ------------------------------------------------------------------------------------

struct BarePair {
  explicit BarePair(const Contexts& contexts)
      : sockets(connect_loopback()),
        client(contexts.client.make_ssl()),
        server(contexts.server.make_ssl()) {
    SSL_set_fd(client, sockets.client.get());
    SSL_set_fd(server, sockets.server.get());
    std::thread accepting([this] { HOMEFS_CHECK(SSL_do_handshake(server) == 1); });
    HOMEFS_CHECK(SSL_do_handshake(client) == 1);
    accepting.join();
  }
  ~BarePair() {
    SSL_free(client);
    SSL_free(server);
  }
  BarePair(const BarePair&) = delete;
  BarePair& operator=(const BarePair&) = delete;

  Sockets sockets;
  SSL* client;
  SSL* server;
};

bool read_all(SSL* ssl, std::byte* into, std::size_t count) {
  while (count > 0) {
    std::size_t bytes = 0;
    if (SSL_read_ex(ssl, into, count, &bytes) != 1) return false;
    into += bytes;
    count -= bytes;
  }
  return true;
}

void bare_stream(const Contexts& contexts) {
  BarePair pair(contexts);
  std::atomic<bool> is_over{false};
  std::thread sender([&] {
    const std::vector<std::byte> chunk(kChunkBytes);
    std::size_t bytes = 0;
    while (!is_over && SSL_write_ex(pair.client, chunk.data(), kChunkBytes, &bytes) == 1) {
      if (bytes == kChunkBytes) continue;
      std::size_t done = bytes;  // partial writes are enabled in our contexts
      while (done < kChunkBytes &&
             SSL_write_ex(pair.client, chunk.data() + done, kChunkBytes - done, &bytes) == 1) {
        done += bytes;
      }
    }
    ::shutdown(pair.sockets.client.get(), SHUT_RDWR);
  });
  std::vector<std::byte> into(kChunkBytes);
  std::size_t total = 0;
  const Stopwatch watch;
  while (read_all(pair.server, into.data(), into.size())) {
    total += into.size();
    if (watch.is_over()) break;
  }
  watch.print_rate("bare stream", total);
  is_over = true;
  while (read_all(pair.server, into.data(), into.size())) {
  }
  sender.join();
}

void bare_ping(const Contexts& contexts) {
  BarePair pair(contexts);
  constexpr std::size_t kBytes = kFrameHeaderBytes + kSmallBytes;
  std::thread answering([&] {
    std::byte bytes[kBytes];
    std::size_t written = 0;
    while (read_all(pair.server, bytes, kBytes)) {
      if (SSL_write_ex(pair.server, bytes, kBytes, &written) != 1) return;
    }
  });
  std::byte bytes[kBytes] = {};
  std::size_t written = 0;
  std::uint64_t rounds = 0;
  const Stopwatch watch;
  while (!watch.is_over()) {
    HOMEFS_CHECK(SSL_write_ex(pair.client, bytes, kBytes, &written) == 1);
    HOMEFS_CHECK(read_all(pair.client, bytes, kBytes));
    ++rounds;
  }
  watch.print_round("bare ping", rounds);
  ::shutdown(pair.sockets.client.get(), SHUT_RDWR);
  answering.join();
}

// --- channel ---------------------------------------------------------------------------------

struct End : ChannelEvents {
  void on_open() override { opened = true; }
  void on_frame(InFrame frame) override { on_frame_hook(frame); }
  void on_send_space() override { on_space_hook(); }
  void on_closed(const Error&) override { closed = true; }

  std::function<void(InFrame&)> on_frame_hook = [](InFrame&) {};
  std::function<void()> on_space_hook = [] {};
  std::atomic<bool> opened{false};
  std::atomic<bool> closed{false};
};

struct ChannelPair {
  explicit ChannelPair(const Contexts& contexts) {
    Sockets sockets = connect_loopback();
    const ChannelOptions options{.pool = BufferPool::make(32)};
    client = Channel::make(client_io, std::move(sockets.client), contexts.client, options);
    server = Channel::make(server_io, std::move(sockets.server), contexts.server, options);
    client_io.start();
    server_io.start();
    client->set_body_bytes_max(kBodyBytesMax);
    server->set_body_bytes_max(kBodyBytesMax);
  }
  ~ChannelPair() {
    client->close(Error{Status::kGoingAway, ""});
    while (!client_end->closed || !server_end->closed) std::this_thread::yield();
  }
  void open() {
    client->start(client_end);
    server->start(server_end);
    while (!client_end->opened || !server_end->opened) std::this_thread::yield();
  }

  IoThreads client_io{{.net = 1, .io = 1}};
  IoThreads server_io{{.net = 1, .io = 1}};
  std::shared_ptr<End> client_end = std::make_shared<End>();
  std::shared_ptr<End> server_end = std::make_shared<End>();
  std::shared_ptr<Channel> client;
  std::shared_ptr<Channel> server;
};

OutFrame frame_of(FrameKind kind, std::uint32_t tag, std::size_t fields, const Slice& payload) {
  OutFrame frame;
  frame.header.kind = kind;
  frame.header.op = Op::kWrite;
  frame.header.tag = tag;
  frame.fields.resize(fields);
  if (!payload.bytes.empty()) frame.payload.push_back(payload);
  return frame;
}

/// One thread sends 1 MiB frames as fast as they are taken.
void channel_stream(const Contexts& contexts, bool is_later) {
  ChannelPair pair(contexts);
  std::atomic<std::size_t> received{0};
  std::mutex mutex;
  std::condition_variable space;
  bool has_space = false;
  pair.server_end->on_frame_hook = [&](InFrame& frame) { received += frame.bytes().size(); };
  pair.client_end->on_space_hook = [&] {
    const std::lock_guard lock(mutex);
    has_space = true;
    space.notify_one();
  };
  pair.open();
  const Slice payload = slice_of(std::make_shared<Buffer>(kChunkBytes));
  std::memset(payload.owner->writable().data(), 1, kChunkBytes);
  const Stopwatch watch;
  while (!watch.is_over()) {
    OutFrame frame = frame_of(FrameKind::kRequest, 1, 300, payload);
    const auto sent =
        is_later ? pair.client->send_later(std::move(frame)) : pair.client->send(std::move(frame));
    if (sent) continue;
    std::unique_lock lock(mutex);
    space.wait(lock, [&] { return has_space; });
    has_space = false;
  }
  watch.print_rate(is_later ? "channel later" : "channel send", received);
}

/// The next ping is sent from inside the event of the last pong.
void channel_ping(const Contexts& contexts, std::uint32_t in_flight) {
  ChannelPair pair(contexts);
  std::atomic<std::uint64_t> rounds{0};
  pair.server_end->on_frame_hook = [&](InFrame& frame) {
    (void)pair.server->send(frame_of(FrameKind::kReply, frame.header.tag, kSmallBytes, {}));
  };
  pair.client_end->on_frame_hook = [&](InFrame& frame) {
    rounds.fetch_add(1, std::memory_order_relaxed);
    (void)pair.client->send(frame_of(FrameKind::kRequest, frame.header.tag, kSmallBytes, {}));
  };
  pair.open();
  const Stopwatch watch;
  for (std::uint32_t tag = 0; tag < in_flight; ++tag) {
    (void)pair.client->send(frame_of(FrameKind::kRequest, tag, kSmallBytes, {}));
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(g_seconds));
  watch.print_round(in_flight == 1 ? "channel ping" : "channel ping x64", rounds);
}

/// Another thread sends each ping and is woken by its pong, as a FUSE thread would be.
void channel_call(const Contexts& contexts) {
  ChannelPair pair(contexts);
  std::mutex mutex;
  std::condition_variable arrived;
  bool has_reply = false;
  pair.server_end->on_frame_hook = [&](InFrame& frame) {
    (void)pair.server->send(frame_of(FrameKind::kReply, frame.header.tag, kSmallBytes, {}));
  };
  pair.client_end->on_frame_hook = [&](InFrame&) {
    const std::lock_guard lock(mutex);
    has_reply = true;
    arrived.notify_one();
  };
  pair.open();
  std::uint64_t rounds = 0;
  const Stopwatch watch;
  while (!watch.is_over()) {
    HOMEFS_CHECK(pair.client->send(frame_of(FrameKind::kRequest, 1, kSmallBytes, {})).has_value());
    std::unique_lock lock(mutex);
    arrived.wait(lock, [&] { return has_reply; });
    has_reply = false;
    ++rounds;
  }
  watch.print_round("channel call", rounds);
}

}  // namespace
}  // namespace homefs

int main(int argc, char** argv) {
  using namespace homefs;  // NOLINT(google-build-using-namespace): a program of one file
  if (argc > 1) g_seconds = std::atof(argv[1]);
  const std::string row = argc > 2 ? argv[2] : "";
  const Contexts contexts = Contexts::make();
  const auto is_wanted = [&row](const char* name) { return row.empty() || row == name; };
  if (is_wanted("bare-stream")) bare_stream(contexts);
  if (is_wanted("stream")) channel_stream(contexts, false);
  if (is_wanted("stream-later")) channel_stream(contexts, true);
  if (is_wanted("bare-ping")) bare_ping(contexts);
  if (is_wanted("ping")) channel_ping(contexts, 1);
  if (is_wanted("pings")) channel_ping(contexts, 64);
  if (is_wanted("call")) channel_call(contexts);
  return 0;
}
