// Finds a server by name and connects to it: every address in turn, each with a share of the time,
// all of it breakable from another thread.
//
// Owner: LinkKeeper. Executor: thread-safe. Blocks: connect_socket() for up to its deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

/// Breaks waits of another thread: an eventfd that those waits also poll.
class BreakSignal {
 public:
  BreakSignal();
  BreakSignal(const BreakSignal&) = delete;
  BreakSignal& operator=(const BreakSignal&) = delete;

  /// Waits under way and all later ones end at once, until reset(). Thread-safe.
  void set();
  void reset();
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  UniqueFd event_;
};

struct ConnectTarget {
  std::string host;  ///< a name or an address
  std::uint16_t port = 0;
};

/// A connected TCP socket, non-blocking, without Nagle's delay. `dead_peer_after` bounds how long
/// data may stay without an acknowledgement before the kernel gives the connection up.
/// Errors: kDisconnected with what failed ("resolve ...", "connect to ...: Connection refused");
/// kInterrupted when `broken` was set.
Result<UniqueFd> connect_socket(const ConnectTarget& target, std::chrono::milliseconds deadline,
                                std::chrono::milliseconds dead_peer_after,
                                const BreakSignal& broken);

}  // namespace homefs
