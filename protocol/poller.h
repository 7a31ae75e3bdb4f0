// Poller: threads that wait for sockets, each to run by itself what waited for the one that is
// ready.
//
// All of them wait in epoll_wait(2) for one event at a time. So the kernel wakes exactly one for an
// event, the one that went to sleep last, and that one does the work: no second thread is woken to
// watch the sockets meanwhile, as an io_context on several threads has it. Between two processors
// of a virtual machine a wake-up costs some 20 us, and most requests less.
//
// Owner: IoThreads, and the channels that were made with it. Executor: thread-safe; start() and
// stop() by one thread. Blocks: stop(), until what runs has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/unique_fd.h"

namespace homefs {

/// Something that waits for a socket.
class Pollable {
 public:
  virtual ~Pollable() = default;
  /// On a thread of the poller. `events`: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. May come although
  /// nothing is waited for any more, and from two threads at a time.
  virtual void on_ready(std::uint32_t events) = 0;
  /// The poller has stopped: neither this nor anything on an io thread will run any more, so who is
  /// kept until it has is kept for ever. The last call, on the thread that stops the poller.
  virtual void on_stopped() = 0;
};

/// For a thread that the main thread knows nothing of: signals are not for it, since a handler
/// could interrupt anything there. `name`: as ps shows it, at most 15 bytes.
void begin_thread(const std::string& name);

class Poller {
 public:
  /// What a socket is known by here; never used again.
  using Id = std::uint64_t;

  explicit Poller(std::size_t threads);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void start();
  /// Nobody is told of anything any more, and nobody is kept. Idempotent.
  void stop();

  /// Keeps `who` until remove(). Nothing is waited for before arm().
  Id add(int fd, std::shared_ptr<Pollable> who);
  /// Waits for `events` (EPOLLIN, EPOLLOUT) once, in place of what was waited for before.
  void arm(Id id, int fd, std::uint32_t events);
  /// To be called before `fd` is closed.
  void remove(Id id, int fd);

 private:
  struct State {
    std::unordered_map<Id, std::shared_ptr<Pollable>> pollables;
    Id last_id = 0;
    bool is_stopped = false;
  };

  void run();
  [[nodiscard]] std::shared_ptr<Pollable> find(Id id);

  static constexpr Id kStopId = 0;

  const std::size_t thread_count_;
  UniqueFd epoll_;
  UniqueFd stop_event_;  // readable, for ever, when the threads have to end
  Guarded<State> state_;
  std::vector<std::jthread> threads_;
};

}  // namespace homefs
