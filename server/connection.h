// Connection: what a session knows of one of its connections. An interface: ChannelConnection is
// one over a channel; that of the tests has no network.
//
// Owner: its channel until that is closed, and the session it belongs to. Executor: thread-safe.
// Blocks: never.
#pragma once

#include <string>

#include "protocol/frame.h"
#include "server/event_outbox.h"
#include "server/request.h"

namespace homefs {

class Connection : public EventSink {
 public:
  /// Answers `request`, one of this connection's.
  virtual void reply(const FrameHeader& request, const Reply& reply) = 0;
  /// After what was put before it has left.
  virtual void close_after_flush(const Error& why) = 0;
  /// No request is begun any more, also none that has been received.
  virtual void stop_reading() = 0;
  /// Whether a request has been begun and not been answered.
  [[nodiscard]] virtual bool has_unanswered() = 0;
  [[nodiscard]] virtual bool is_control() const = 0;
  [[nodiscard]] virtual bool is_congested() const = 0;
  [[nodiscard]] virtual bool is_gone() const = 0;
  [[nodiscard]] virtual std::string peer_address() const = 0;
  /// See Channel.
  [[nodiscard]] virtual std::uint64_t received_bytes() const = 0;
};

}  // namespace homefs
