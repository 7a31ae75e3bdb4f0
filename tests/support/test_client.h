// A client made by hand, for tests of the server: speaks frames, waits for their answers, and does
// what no proper client does when a test wants that.
//
// Owner: the test. Executor: the test's thread; frames come on a thread of its own.
// Blocks: all of it, for at most kTestDeadline each.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
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

namespace homefs::testing {

inline constexpr std::chrono::seconds kTestDeadline{10};

/// What to log in with.
struct TestLogin {
  std::string user;
  std::string secret;    ///< the password, or the secret of `token_id`
  std::string token_id;  ///< empty: by password
  AuthFinish finish;     ///< client_id, subdir, wants_token ... ; scram is filled in
};

class TestClient {
 public:
  /// Connects to 127.0.0.1 and does the handshake. Fails the test when that does not work.
  explicit TestClient(std::uint16_t port);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  /// Sends a frame as it is; returns its tag. With tag 0 in the header the next free one is taken.
  std::uint32_t send(OutFrame frame);
  std::uint32_t send(Op op, std::vector<std::byte> fields, std::uint64_t seq = 0);
  /// The reply to `tag`; nothing when the connection closed or the deadline passed before.
  std::optional<InFrame> reply_to(std::uint32_t tag);
  /// Both of the above. Errors: the status of the reply; kDisconnected when none came.
  Result<InFrame> call(Op op, std::vector<std::byte> fields, std::uint64_t seq = 0);
  Result<InFrame> call(OutFrame frame);
  /// A file operation without introductions.
  template <class Reply, class Request>
  Result<Reply> ask(Op op, const Request& request, std::uint64_t seq = 0) {
    const Result<InFrame> reply = call(op, encode_request(Introductions{}, request), seq);
    if (!reply) return std::unexpected(reply.error());
    ByteReader in(reply->bytes());
    return decode<Reply>(in);
  }
  /// The next event of that operation; it is acknowledged when `acknowledges` is on.
  std::optional<InFrame> event(Op op);
  void acknowledge(const InFrame& event);

  Result<HelloReply> hello();
  Result<AuthFinishReply> log_in(const TestLogin& login);
  Result<ResumeReply> resume(const AuthFinishReply& session, ConnectionKind kind,
                             std::uint32_t place = 0);
  Result<InFrame> resume_with(const Resume& request);

  /// Why the server closed the connection; nothing when it did not within the deadline.
  std::optional<Error> wait_closed();
  [[nodiscard]] bool is_closed();
  void close();
  /// Closes the socket's reading side for the test's purposes: nothing is read any more.
  void pause_reading() { channel_->pause_reading(); }
  void resume_reading() { channel_->resume_reading(); }

  [[nodiscard]] ChannelBinding binding() const { return channel_->channel_binding(); }
  [[nodiscard]] std::string fingerprint() const { return channel_->peer_fingerprint(); }
  [[nodiscard]] Channel& channel() { return *channel_; }

  /// Whether events are acknowledged as they come. On at first.
  void set_acknowledges(bool acknowledges);

 private:
  class Events;

  template <class Condition>
  bool wait(Condition is_met);
  void on_frame(InFrame frame);

  IoThreads io_;
  std::shared_ptr<Channel> channel_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  bool is_open_ = false;
  bool acknowledges_ = true;
  std::optional<Error> closed_;
  std::vector<InFrame> replies_;
  std::vector<InFrame> events_;
  std::uint32_t last_tag_ = 0;
};

}  // namespace homefs::testing
