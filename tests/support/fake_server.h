// A server for the tests of the client's link: real sockets on loopback, real TLS and login, and
// the bookkeeping of sessions and sequences that the protocol asks for. What requests do is the
// test's business: by default each is answered with an empty kOk.
//
// Owner: the test. Executor: thread-safe; requests are handled on its io threads, those of one
// connection one at a time. Blocks: the destructor and wait_until().
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "protocol/channel.h"
#include "protocol/codec.h"
#include "protocol/io_threads.h"
#include "protocol/login_messages.h"
#include "protocol/scram.h"

namespace homefs::testing {

class FakeConnection;

/// A request as it came.
struct FakeRequest {
  FrameHeader header;
  std::vector<Introduction> introductions;
  std::vector<std::byte> fields;  ///< the message, and the payload behind it
  ConnectionKind kind = ConnectionKind::kControl;
  std::weak_ptr<FakeConnection> connection;
};

struct FakeReply {
  Status status = Status::kOk;
  std::vector<std::byte> fields;
};

class FakeServer {
 public:
  /// Nothing: no answer, until answer() is called.
  using Handler = std::function<std::optional<FakeReply>(const FakeRequest&)>;

  FakeServer();
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  static constexpr const char* kUser = "alice";
  static constexpr const char* kPassword = "secret";

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string fingerprint() const { return tls_->fingerprint(); }

  void set_handler(Handler handler);
  /// The next `count` requests are received and not worked on: their connection is cut instead.
  void cut_before(int count);
  /// The next `count` requests are worked on, and cut before their reply is sent.
  void cut_after(int count);
  void answer(const FakeRequest& request, const FakeReply& reply);
  void send_event(Op op, std::vector<std::byte> fields);

  void cut_all();
  /// As after a restart with a new state: sessions are unknown.
  void forget_sessions();
  /// As after a restart: sessions live, nodes are unknown.
  void change_incarnation();
  /// Connections are closed as they come.
  void refuse_connections(bool is_refusing);
  /// As after events that could not be sent.
  void set_missed_events(bool has_missed);
  /// A session takes this many; more are refused.
  void set_bulk_connections(std::uint32_t count);

  [[nodiscard]] std::vector<FakeRequest> requests();
  /// The ops of the sequence as they were applied, each exactly once if all is well: their fields.
  [[nodiscard]] std::vector<std::vector<std::byte>> applied();
  [[nodiscard]] int logins();
  [[nodiscard]] int resumes();
  [[nodiscard]] int pings();
  [[nodiscard]] int goodbyes();
  [[nodiscard]] std::vector<Op> acknowledged_events();
  [[nodiscard]] std::size_t connections();
  /// What broke the protocol, told by the server's bookkeeping.
  [[nodiscard]] std::vector<std::string> complaints();

  /// Looks at the server until `condition` holds; false after a minute.
  bool wait_until(const std::function<bool()>& condition);

 private:
  friend class FakeConnection;

  struct Session {
    SessionId id{};
    SessionSecret secret{};
    std::uint64_t seq_applied = 0;
    std::map<std::uint64_t, FakeReply> replies;  // not acknowledged yet
  };
  struct State {
    Handler handler;
    int cut_before = 0;
    int cut_after = 0;
    bool is_refusing = false;
    bool has_missed_events = false;
    std::uint64_t incarnation = 1;
    std::uint32_t bulk_connections = 1;
    std::map<SessionId, std::shared_ptr<Session>> sessions;
    std::vector<std::shared_ptr<FakeConnection>> connections;
    std::vector<FakeRequest> requests;
    std::vector<std::vector<std::byte>> applied;
    std::vector<Op> acknowledged;
    std::vector<std::string> complaints;
    int logins = 0;
    int resumes = 0;
    int pings = 0;
    int goodbyes = 0;
  };

  void accept_all();
  void on_frame(const std::shared_ptr<FakeConnection>& connection, const InFrame& frame);
  void on_request(const std::shared_ptr<FakeConnection>& connection, const InFrame& frame);
  void on_login_step(const std::shared_ptr<FakeConnection>& connection, const InFrame& frame);
  void on_closed(FakeConnection* connection);
  // Under the lock.
  std::optional<FakeReply> take_sequenced(const std::shared_ptr<FakeConnection>& connection,
                                          const FakeRequest& request, bool& is_new);
  void complain(const std::string& what);

  std::filesystem::path folder_;
  std::optional<TlsContext> tls_;
  ScramVerifier verifier_;
  std::shared_ptr<BufferPool> pool_ = BufferPool::make(8);
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_;               // guarded by mutex_
  bool is_stopping_ = false;  // guarded by mutex_
  IoThreads io_;
  std::jthread acceptor_;
};

}  // namespace homefs::testing
