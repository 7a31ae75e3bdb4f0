// ServerLink: the Link to a real server. One session, one control connection and some for bulk
// data; it outlives all of them.
//
// Calls of one lane reach the server in the order of their send(). A thread that sends also writes
// to the socket; if another one is writing at that moment, that one takes the call along, so the
// sequence has one order, and no thread waits for another. Calls that cannot leave (no connection,
// a full window, a full queue) wait in the CallWindow and leave in the same order.
//
// Owner: whoever made it; close() or the destructor end it. The IoThreads must run until
// the destructor has returned. Executor: thread-safe. Blocks: connect_and_login(), detach(),
// close() and the destructor; nothing else.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "fusefs/call_window.h"
#include "fusefs/connection_health.h"
#include "fusefs/event_relay.h"
#include "fusefs/link.h"
#include "fusefs/link_counters.h"
#include "fusefs/link_dialer.h"
#include "fusefs/link_options.h"
#include "fusefs/network_watch.h"
#include "fusefs/reconnector.h"
#include "fusefs/ticker.h"
#include "protocol/guarded.h"

namespace homefs {

/// Why no login succeeds until somebody does something about it.
struct LinkRefusal {
  Status status{};
  std::string text;
  std::chrono::system_clock::time_point since;
};

/// How a link stands, for `homefs status`.
struct LinkStatus {
  bool is_connected = false;
  std::optional<LinkRefusal> refusal;
  std::size_t bulk_connections = 0;
  std::string server;       ///< host:port as given
  std::string fingerprint;  ///< of the server's key
  std::uint64_t incarnation = 0;
  std::string session;  ///< the first 8 hex digits of its id; empty: none
  std::size_t calls_under_way = 0;
  std::size_t calls_waiting = 0;
  std::uint64_t queued_bytes = 0;  ///< accepted, and not given to the network yet
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::chrono::microseconds round_trip{};  ///< of TCP, smoothed; zero: not known
};

class ServerLink final : public Link, private ConnectionOwner {
 public:
  ServerLink(IoThreads& io, TlsContext tls, LinkOptions options);
  ~ServerLink() override;
  ServerLink(const ServerLink&) = delete;
  ServerLink& operator=(const ServerLink&) = delete;

  /// Connects, judges the server's key and logs in, once, in this thread. When it has succeeded the
  /// link reconnects by itself, for ever. Errors: those of LinkDialer::dial_control.
  Result<> connect_and_login();

  /// Does not wait for the next attempt to connect: what has hindered it may be gone.
  void hurry() { reconnector_.hurry(); }

  /// The client core. Both must live until detach() has returned.
  void attach(IntroductionSource& introductions, LinkEvents& events);
  /// Precondition: no call of the core waits for an answer any more.
  void detach();

  /// Ends the session (the server frees what it holds for it), or leaves it to a later one; calls
  /// without an answer fail with kDisconnected. Idempotent; whoever comes second waits.
  void close(bool end_session = true);

  std::uint64_t send(Call call, Done done) override;
  void interrupt(std::uint64_t call_number) override;
  void note_damaged_block(NodeId node, std::uint64_t offset, int attempt) override;
  bool is_connected() override;
  std::uint64_t session_number() override { return state_.lock()->window.session_number(); }

  /// The server's key as it was shown last, "SHA256:...": also after kServerKeyUnknown.
  [[nodiscard]] std::string offered_fingerprint() { return dialer_.offered_fingerprint(); }
  /// What the login has made; nothing before it.
  [[nodiscard]] std::optional<LinkSession> session();
  [[nodiscard]] LinkStatus status();
  /// When the server last gave one on any connection, to a tick; long ago without a connection.
  [[nodiscard]] SteadyTime last_sign_of_life();
  /// Since when the change waits for its answer that has waited longest, without one to a call
  /// before it; nothing: none does.
  [[nodiscard]] std::optional<SteadyTime> oldest_change();
  [[nodiscard]] LinkCounters& counters() { return counters_; }
  [[nodiscard]] const LinkOptions& options() const { return options_; }

 private:
  using ConnectionPtr = std::shared_ptr<LinkConnection>;
  static constexpr std::size_t kLanes = 2;

  struct Tended {
    ConnectionPtr connection;
    ConnectionHealth health;
  };

  struct State {
    CallWindow window;
    std::optional<LinkSession> session;
    ConnectionPtr control;
    std::vector<ConnectionPtr> bulk;  // by place; null: broken, or not dialed yet
    unsigned bulk_connections_max = 0;
    std::array<bool, kLanes> is_pumping{};
    SteadyTime connected_since{};
    std::uint64_t answers = 0;           // since then
    std::optional<LinkRefusal> refusal;  // of the last attempt
    bool is_bulk_over_control = false;   // until there is a bulk connection (again)
    bool is_closed = false;
  };

  // A call that leaves: what was decided under the lock.
  struct Departure {
    PendingPtr call;
    ConnectionPtr connection;
    FrameHeader header;
    Lane lane{};
    std::uint64_t incarnation = 0;
    std::uint64_t space_count = 0;
  };

  // Tags from here on are the pings'; the window's are lower.
  static constexpr std::uint32_t kPingTagFirst = 0x80000000;

  // ConnectionOwner
  void on_connection_opening() override;
  void on_connection_frame(LinkConnection& connection, InFrame frame) override;
  void on_connection_space(LinkConnection& connection) override;
  void on_connection_closed(LinkConnection& connection, const Error& why) override;

  // Sending (link_send.cpp).
  void pump(Lane lane);
  void pump_all();
  [[nodiscard]] std::optional<Departure> next_departure(Lane lane);
  [[nodiscard]] static ConnectionPtr connection_for(const State& state, Lane lane);
  void transmit(const Departure& departure);
  [[nodiscard]] std::vector<Introduction> introductions_for(const Departure& departure);
  Result<> send_ahead(const Departure& departure, std::vector<Introduction>& introductions);
  void on_refused(const Departure& departure, const Error& why);

  // Answers (link_receive.cpp).
  void on_reply(LinkConnection& connection, InFrame frame);
  [[nodiscard]] bool wants_another_try(PendingCall& call, Status status);
  void complete(PendingCall& call, InFrame frame);

  // Connecting (server_link.cpp).
  Result<> connect_missing();
  Result<> connect_control();
  void note_failure(const Error& why);
  Result<> connect_bulk(std::size_t place);
  Result<> on_no_bulk(std::size_t place, const Error& why);
  [[nodiscard]] std::vector<PendingPtr> break_all(bool is_same_session);
  void adopt_control(LinkDialer::Dialed dialed, bool is_first);
  void drop_late_frames(std::uint64_t first_connection);
  bool drop_connection(LinkConnection& connection);

  // Keeping alive (link_tend.cpp).
  void start_tending(const ConnectionPtr& connection);
  void on_tick(bool was_suspended);
  [[nodiscard]] std::chrono::milliseconds keepalive();
  void tend(const ConnectionPtr& connection, bool is_in_doubt, std::chrono::milliseconds keepalive);
  void fail_expired(SteadyTime limit);

  const LinkOptions options_;
  IoThreads& io_;
  LinkCounters counters_;
  EventRelay relay_;
  Guarded<State> state_;
  std::atomic<std::uint64_t> last_number_{0};

  std::shared_mutex frames_mutex_;      // shared while a frame is worked on; before all others
  std::uint64_t first_connection_ = 0;  // guarded by frames_mutex_: older ones are not heard

  std::shared_mutex attachment_mutex_;           // shared while the source is being asked
  IntroductionSource* introductions_ = nullptr;  // guarded by attachment_mutex_

  std::mutex close_mutex_;  // held over close(), before all others
  std::mutex open_mutex_;
  std::condition_variable all_closed_;
  std::size_t open_connections_ = 0;  // guarded by open_mutex_

  Guarded<std::map<std::uint64_t, Tended>> tended_;  // by connection's id
  LinkDialer dialer_;
  std::atomic<std::uint32_t> last_ping_tag_{kPingTagFirst};
  bool is_started_ = false;  // of the thread that logs in
  NetworkWatch network_;     // the tick's
  SteadyTime last_hurry_{};  // the tick's
  Reconnector reconnector_;
  std::unique_ptr<Ticker> ticker_;  // from the first login on
};

}  // namespace homefs
