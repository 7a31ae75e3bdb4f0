// Hands what the server says unasked to the client core, and the core's acknowledgement back.
//
// While no core is attached there are no caches and nothing relies on a grant: events are
// acknowledged at once, and the last mode and grant are kept for the core that comes.
//
// Owner: ServerLink. Executor: thread-safe; the core's LinkEvents is called by one thread at a
// time. Blocks: detach(), until a call into the core has returned.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "fusefs/link.h"
#include "protocol/channel.h"

namespace homefs {

class EventRelay {
 public:
  /// `events` must live until detach() has returned.
  void attach(LinkEvents& events);
  void detach();

  /// An event frame came on `channel`. kProtocolError when it is malformed.
  Result<> on_event(const std::shared_ptr<Channel>& channel, const InFrame& frame);
  void on_power_lost();
  void on_session(bool is_same_session);
  void on_reconnected(const Reconnected& caches);

 private:
  Result<> deliver(const InFrame& frame, std::move_only_function<void()> acknowledge);

  std::mutex mutex_;                 // held while the core is called: it never waits for the link
  LinkEvents* events_ = nullptr;     // guarded by mutex_
  bool is_shared_ = false;           // guarded by mutex_
  std::optional<GrantState> grant_;  // guarded by mutex_
};

}  // namespace homefs
