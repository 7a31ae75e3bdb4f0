// Decides when a silent connection is asked for a sign of life, and when it is given up.
//
// Silence alone proves nothing while data is on its way out: a ping stands behind up to 16 MiB in
// the queue, which take minutes on a slow line. So a connection is alive as long as frames come, or
// the peer's kernel acknowledges more bytes.
//
// Owner: whoever ticks. Executor: one thread. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>

namespace homefs {

class ConnectionHealth {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Verdict { kFine, kPing, kBroken };

  struct Signs {
    Time last_received;
    std::uint64_t bytes_acknowledged = 0;  ///< always 0 where it is not known
  };

  explicit ConnectionHealth(Time now) : last_alive_(now) {}

  /// kPing: once for every silence of `keepalive`. kBroken: two pings were missed.
  Verdict check(Time now, const Signs& signs, std::chrono::milliseconds keepalive);

  /// When check() last saw a sign of life.
  [[nodiscard]] Time last_alive() const { return last_alive_; }

  /// The machine has slept, or its network is another one: what lies before now says nothing about
  /// the connection. It is asked at once, and given up when it does not answer within `kDoubt`.
  void doubt() { is_in_doubt_ = true; }

  static constexpr std::chrono::milliseconds kDoubt{2000};

 private:
  Time last_alive_;
  Time last_ping_{};
  Time give_up_{};  // after a doubt; zero: not set
  std::uint64_t bytes_acknowledged_ = 0;
  int pings_ = 0;
  bool is_in_doubt_ = false;
};

}  // namespace homefs
