// The events of one session on their way to its client: sent over its control connection, and
// waited for until they are acknowledged, for kEventDeadline each.
//
// A client that was late is *lagging* until it has acknowledged what it was late with: events go
// out to it as before, but nobody waits for it. What it cannot be told at all, because it has no
// connection, it has *missed*: when it is back it has to drop every cache.
//
// Owner: the Session; its timer's handler, until it has run. Executor: thread-safe; callbacks run
// on the thread that knows the outcome, with no lock held. Blocks: never.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "protocol/frame.h"
#include "protocol/result.h"

namespace homefs {

/// How long a change waits for the other sessions of the home to drop it from their caches.
inline constexpr std::chrono::milliseconds kEventDeadline{1000};
/// Events of one session that are not acknowledged. Over it the connection is given up.
inline constexpr std::size_t kEventsOutstandingMax = 4096;

/// Where events leave: a connection; in tests, a list.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Takes an event, or closes itself when it cannot. Thread-safe, never blocks.
  virtual void send_event(OutFrame frame) = 0;
  /// Ends the connection; its end is told elsewhere, later.
  virtual void close(Error why) = 0;
};

class EventOutbox {
 public:
  /// Told once whether the client has acknowledged in time.
  using Done = std::move_only_function<void(bool)>;
  /// Called when the client has acknowledged, however late; not any more when its connection has
  /// broken.
  using Acknowledged = std::move_only_function<void()>;

  static std::shared_ptr<EventOutbox> make(const boost::asio::any_io_executor& executor,
                                           bool has_missed = false,
                                           std::chrono::milliseconds deadline = kEventDeadline);
  EventOutbox(const EventOutbox&) = delete;
  EventOutbox& operator=(const EventOutbox&) = delete;

  /// Sends an event. `done` is called at once when nobody is there or the client lags.
  void send(Op op, std::vector<std::byte> fields, Done done, Acknowledged acknowledged = nullptr);
  /// Sends an event that needs no acknowledgement, if somebody is there.
  void tell(Op op, std::vector<std::byte> fields) {
    send_frame(op, std::move(fields), nullptr, nullptr, /*is_essential=*/false);
  }

  /// The client's acknowledgement, which came over `from`. kProtocolError for a tag that no event
  /// had; over a connection that was replaced anything goes.
  Result<void> acknowledge(const EventSink* from, std::uint32_t tag);

  struct Connected {
    bool has_missed = false;     ///< an event, since this was last asked
    std::vector<Done> given_up;  ///< to be called with false: who waits for the old connection
  };
  struct FirstEvent {
    Op op{};
    std::vector<std::byte> fields;
    Acknowledged acknowledged;
  };
  /// Events go to `sink` from now on, `first` before any other. Calls nothing but the sink, so it
  /// can be done under the session's lock.
  Connected connect(std::shared_ptr<EventSink> sink, FirstEvent first);
  /// The connection broke; nothing happens if another one took its place already.
  void disconnect(const EventSink* sink);

  [[nodiscard]] bool is_lagging() const;
  /// Whoever waits for an acknowledgement whose deadline has passed at `now` waits no longer. A
  /// timer does this; tests, with a time of their own.
  void give_up_late(std::chrono::steady_clock::time_point now);

 private:
  struct Outstanding {
    std::uint32_t tag;
    std::chrono::steady_clock::time_point deadline;
    Done done;  ///< empty: nobody waits any more
    bool is_essential;
    bool is_late = false;  ///< was given up at its deadline
    Acknowledged acknowledged;
  };

  EventOutbox(const boost::asio::any_io_executor& executor, bool has_missed,
              std::chrono::milliseconds deadline)
      : deadline_(deadline), timer_(executor), has_missed_(has_missed) {}

  void send_frame(Op op, std::vector<std::byte> fields, Done done, Acknowledged acknowledged,
                  bool is_essential);
  void push_event(OutFrame frame, Done done, bool is_essential);
  void give_up_outstanding(std::vector<Done>& dones);
  void arm_timer();
  void on_timer();

  const std::chrono::milliseconds deadline_;
  std::weak_ptr<EventOutbox> self_;

  mutable std::mutex mutex_;
  // All below: guarded by mutex_.
  boost::asio::steady_timer timer_;
  bool is_timer_armed_ = false;
  std::shared_ptr<EventSink> sink_;  // owners: this, and the connection's channel
  std::uint32_t last_tag_ = 0;
  std::deque<Outstanding> outstanding_;  // oldest first
  std::size_t lagging_ = 0;              // of these, those that are late
  bool has_missed_ = false;
};

}  // namespace homefs
