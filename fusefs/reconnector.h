// The thread that connects: it blocks in name lookups, handshakes and logins so that no other
// thread does, and waits longer and longer between attempts that fail.
//
// Owner: ServerLink. Executor: one thread of its own, "homefs-link"; the functions are thread-safe.
// Blocks: stop(), until the attempt under way has ended (break it first).
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "protocol/result.h"

namespace homefs {

struct Backoff {
  std::chrono::milliseconds first;
  std::chrono::milliseconds max;
};

/// The longest wait where connections come about, and break again.
inline constexpr std::chrono::milliseconds kBrokenWaitMax{1000};

/// The wait before attempt `failures` + 1: doubles from `first` to `max`, of which a random half is
/// taken off, so that a thousand clients do not come back to a restarted server at once. `random`
/// is within [0, 1).
[[nodiscard]] std::chrono::milliseconds backoff_delay(const Backoff& backoff, int failures,
                                                      double random);

/// Asking again at once does not help: a person has to do something first.
[[nodiscard]] bool is_login_refusal(Status status);

class Reconnector {
 public:
  /// Connects what is missing; an error means "later again".
  using Attempt = std::function<Result<>()>;

  Reconnector(Backoff backoff, Attempt attempt);
  ~Reconnector() { stop(); }
  Reconnector(const Reconnector&) = delete;
  Reconnector& operator=(const Reconnector&) = delete;

  /// Something is missing: an attempt is made, after the waiting time that earlier failures ask
  /// for.
  void wake();
  /// The same at once, and failures are forgotten: the machine has woken up.
  void hurry();
  /// What was connected has held for a while, or was of use: the next break is tried at once again.
  void forget_failures();
  void stop();

 private:
  void run();

  const Backoff backoff_;
  const Attempt attempt_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_wanted_ = false;   // guarded by mutex_
  bool is_hurried_ = false;  // guarded by mutex_
  bool is_stopped_ = false;  // guarded by mutex_
  int failures_ = 0;         // guarded by mutex_: attempts that failed, since one did not
  int successes_ = 0;        // guarded by mutex_: attempts that did not, and may not have held
  std::thread thread_;
};

}  // namespace homefs
