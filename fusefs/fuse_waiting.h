// WaitingRequests: the kernel's requests that have no answer yet, so that a signal can end a wait
// for the server.
//
// The kernel says INTERRUPT once for a request, for any signal, and even a program that was killed
// then waits until the request has an answer. So an interrupted request is looked at, again and
// again, for what its program is in for, and answered with EINTR when that ends the program, or
// (after a while) when the program asked for it. The operation itself goes on: its coroutine finds
// the request answered and gives back what it got. In a soft mount it is the same with a request
// whose time is over. Requests, and how their operations end, meet only in the table: whoever takes
// a request out of it answers it. A lock that was asked for must not be held by a program that was
// told it is not: such a request is not taken out, but named, and taken back
// (FileLocks::end_request()), which ends its operation.
//
// Owner: FuseOps. Executor: thread-safe. Blocks: look(), for reading /proc; nothing else.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "fusefs/caller_state.h"

struct fuse_req;

namespace homefs {

class FileLocks;

class WaitingRequests {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Kind { kCall, kClose };

  /// A program that handles the signal may get EINTR where it expects none, so an answer that is
  /// just about to come goes first.
  static constexpr std::chrono::milliseconds kPatience{1000};
  /// The closing of files at a program's end, which no signal interrupts, is not waited for when
  /// the server has not given a sign of life for so long.
  static constexpr std::chrono::milliseconds kSilenceMax{3000};

  /// A place for a request, before it can be interrupted.
  std::uint64_t reserve();
  /// What is looked at.
  struct Request {
    fuse_req* request = nullptr;
    pid_t caller = 0;
    Kind kind = Kind::kCall;
    std::uint64_t lock = 0;  ///< the number of a lock that is asked for (FileLocks::begin())
  };
  /// From now on the request is looked at.
  void publish(std::uint64_t id, const Request& request, Clock::time_point now);
  /// Whether nobody has answered it yet; then the caller does, and nobody else. `id` is void.
  [[nodiscard]] bool take(std::uint64_t id);
  [[nodiscard]] bool is_waiting(std::uint64_t id);
  /// The kernel's INTERRUPT. Nothing happens when the request has been answered.
  void interrupt(std::uint64_t id);

  /// Takes out what is not to wait any longer; the caller answers them with EINTR.
  std::vector<fuse_req*> take_interrupted(Clock::time_point now,
                                          Clock::time_point last_sign_of_life,
                                          CallerState (*state_of)(pid_t) = caller_state);
  /// Takes out what has waited since `before` or longer; the caller answers it with ETIMEDOUT.
  std::vector<fuse_req*> take_older_than(Clock::time_point before);
  /// The same for requests for locks: their numbers. They stay until they are answered.
  std::vector<std::uint64_t> interrupted_locks(Clock::time_point now,
                                               Clock::time_point last_sign_of_life,
                                               CallerState (*state_of)(pid_t) = caller_state);
  std::vector<std::uint64_t> locks_older_than(Clock::time_point before);

 private:
  struct Slot {
    std::uint32_t generation = 0;
    bool is_used = false;
    bool is_interrupted = false;
    Request made{};  ///< request null: not published yet
    Clock::time_point since;
  };
  struct Suspect {
    std::uint64_t id = 0;
    Slot slot;
  };

  [[nodiscard]] Slot* find(std::uint64_t id);
  static bool is_over(const Slot& slot, CallerState state, Clock::time_point now,
                      Clock::time_point last_sign_of_life);
  /// `are_locks`: only requests for locks, else only others.
  [[nodiscard]] std::vector<Suspect> suspects(Clock::time_point now, bool are_locks);

  std::mutex mutex_;
  std::vector<Slot> slots_;          // guarded by mutex_; as many as the kernel ever sent at once
  std::vector<std::uint32_t> free_;  // guarded by mutex_
};

/// One request in the table, for as long as its operation runs.
class Waiting {
 public:
  explicit Waiting(fuse_req* request, WaitingRequests::Kind kind = WaitingRequests::Kind::kCall,
                   std::uint64_t lock = 0);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// True: the caller has to answer the request now. False: it has its answer, and is gone.
  [[nodiscard]] bool take();
  /// The request has no answer yet.
  [[nodiscard]] bool is_waiting() const;

 private:
  WaitingRequests& table_;
  std::uint64_t id_;
};

/// Answers those requests with EINTR that are not to wait any longer.
void end_interrupted(WaitingRequests& table, FileLocks& locks,
                     WaitingRequests::Clock::time_point last_sign_of_life);
/// Answers those with ETIMEDOUT that have waited since `before` or longer.
void end_timed_out(WaitingRequests& table, FileLocks& locks,
                   WaitingRequests::Clock::time_point before);

}  // namespace homefs
