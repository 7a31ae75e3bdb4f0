// One connection of a Link: first it is opened and logged in, step by step, by a thread that waits;
// from adopt() on its frames go to the Link as they come.
//
// Owner: the Link, and its channel until it is closed. Executor: thread-safe; frames come on io
// threads, one at a time. Blocks: open() and exchange(), nothing else.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "fusefs/network_watch.h"
#include "protocol/channel.h"

namespace homefs {

class LinkConnection;

/// Who gets what a connection receives once it is adopted. Called on net and io threads.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// Before every other call; on_connection_closed() answers it.
  virtual void on_connection_opening() = 0;
  virtual void on_connection_frame(LinkConnection& connection, InFrame frame) = 0;
  virtual void on_connection_space(LinkConnection& connection) = 0;
  /// Once for every connection that was opened, adopted or not; the last call.
  virtual void on_connection_closed(LinkConnection& connection, const Error& why) = 0;
};

struct ConnectionSetup {
  IoThreads& io;
  const TlsContext& tls;
  ChannelOptions options;
  std::uint64_t id = 0;  ///< names it among all connections of its Link
};

class LinkConnection final : public ChannelEvents {
 public:
  using Clock = std::chrono::steady_clock;

  LinkConnection(ConnectionOwner& owner, std::uint64_t id) : owner_(owner), id_(id) {}

  /// Takes a connected socket; the TLS handshake begins. wait_open() follows.
  static std::shared_ptr<LinkConnection> start(ConnectionOwner& owner, UniqueFd socket,
                                               const ConnectionSetup& setup);

  /// Blocks until the handshake is done. Errors: what closed the connection, kTimedOut.
  Result<> wait_open(std::chrono::milliseconds deadline);

  /// Sends a request of the login and blocks until its reply is there, a failed one included.
  /// After each reply nothing more is read until the next exchange() or adopt(). One at a time.
  Result<InFrame> exchange(Op op, std::vector<std::byte> fields,
                           std::chrono::milliseconds deadline);

  /// The login is done: frames go to the owner from now on.
  void adopt();

  /// Channel::send or send_later; counts.
  Result<> send(OutFrame&& frame, bool is_bulk);
  void close(Error why) { channel_->close(std::move(why)); }
  void close_after_flush(Error why) { channel_->close_after_flush(std::move(why)); }

  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const std::shared_ptr<Channel>& channel() const { return channel_; }
  [[nodiscard]] bool is_closed();

  // What link_health looks at.
  /// When the last frame came.
  [[nodiscard]] Clock::time_point last_received() const {
    return Clock::time_point(Clock::duration(last_received_.load(std::memory_order_relaxed)));
  }
  /// Bytes that the peer's kernel has acknowledged; 0 where that is not known.
  [[nodiscard]] std::uint64_t bytes_acknowledged();
  /// Whether a new connection would go the same way.
  [[nodiscard]] ConnectionWay way();
  /// As the kernel has measured it; zero where that is not known.
  [[nodiscard]] std::chrono::microseconds round_trip();
  [[nodiscard]] std::uint64_t bytes_received() const {
    return bytes_in_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t bytes_sent() const {
    return bytes_out_.load(std::memory_order_relaxed);
  }

  /// Whether its channel takes more. Guarded by the lock of the Link's state: it says nothing of
  /// the next connection, so it ends with this one.
  struct Room {
    bool is_full = false;           ///< the channel has refused; on_connection_space() follows
    std::uint64_t space_count = 0;  ///< calls of on_connection_space()
  };
  Room room;

  void on_open() override;
  void on_frame(InFrame frame) override;
  void on_send_space() override { owner_.on_connection_space(*this); }
  void on_closed(const Error& why) override;

 private:
  void note_received(std::size_t bytes);

  ConnectionOwner& owner_;
  const std::uint64_t id_;
  std::shared_ptr<Channel> channel_;  // set by start(), constant after it
  UniqueFd statistics_socket_;        // guarded by mutex_: a duplicate, for asking about it

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;          // guarded by mutex_
  bool is_waiting_ = false;       // guarded by mutex_: for the reply to a request of the login
  std::optional<InFrame> reply_;  // guarded by mutex_
  std::optional<Error> closed_;   // guarded by mutex_
  std::uint32_t login_tag_ = 0;   // guarded by mutex_

  std::atomic<bool> is_adopted_{false};
  std::atomic<Clock::rep> last_received_{0};
  std::atomic<std::uint64_t> bytes_in_{0};
  std::atomic<std::uint64_t> bytes_out_{0};
};

}  // namespace homefs
