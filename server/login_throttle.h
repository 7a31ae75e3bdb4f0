// Slows down and then refuses whoever guesses passwords: counts failed logins of each user name
// and from each address, whether the name exists or not.
//
// Each failure doubles the delay of the next answer; at `failures_before_lockout` further logins
// of that name, or from that address, are refused for a while. A count is forgotten after `lockout`
// without a failure. Both tables are bounded: when one is full the entry that failed longest ago
// gives way, so whoever wants to be forgotten has to fail tens of thousands of times, which the
// count of the address does not let happen.
//
// Owner: the server. Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace homefs {

/// What is counted for an address: IPv4 addresses one by one, of IPv6 the /64 that one customer
/// usually has. `peer` is "192.0.2.1:4711", "[2001:db8::1]:4711" or anything else, taken as it is.
std::string throttle_key_of_peer(std::string_view peer);

class LoginThrottle {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    std::uint32_t failures_before_lockout = 10;
    std::chrono::seconds lockout{60};
    std::chrono::milliseconds first_delay{100};  ///< of the answer after the first failure
    std::chrono::milliseconds delay_max{3000};   ///< less than clients wait for an answer
    std::size_t entries_max = 32 * 1024;         ///< of each of the two tables, about 100 B each
  };

  explicit LoginThrottle(Options options) : options_(options) {}

  /// For what happens from now on.
  void set_limits(std::uint32_t failures_before_lockout, std::chrono::seconds lockout);

  /// For how long logins of `user` from `address` are to be refused unheard, at least 1 s; nothing
  /// when they are not.
  [[nodiscard]] std::optional<std::chrono::seconds> locked_out_for(const std::string& user,
                                                                   const std::string& address,
                                                                   Clock::time_point now);
  /// Counts a failed login; returns how long its answer is to be held back.
  std::chrono::milliseconds count_failure(const std::string& user, const std::string& address,
                                          Clock::time_point now);
  /// Forgets the failures of `user`. Those of the address stay: whoever has one account must not
  /// be able to guess at the others without end.
  void count_success(const std::string& user);

  [[nodiscard]] std::size_t entries() const;

 private:
  struct Entry {
    std::string key;
    std::uint32_t failures = 0;
    Clock::time_point last_failure;
  };
  // Front: failed longest ago.
  struct Table {
    std::list<Entry> entries;
    std::unordered_map<std::string_view, std::list<Entry>::iterator> index;  // keys: the entries'
  };

  // When the lock of `key` ends; `now` when it is not locked.
  [[nodiscard]] Clock::time_point locked_until(Table& table, const std::string& key,
                                               Clock::time_point now) const;
  std::uint32_t add_failure(Table& table, const std::string& key, Clock::time_point now) const;
  static void erase(Table& table, std::list<Entry>::iterator entry);

  mutable std::mutex mutex_;
  Options options_;  // guarded by mutex_
  Table users_;      // guarded by mutex_
  Table addresses_;  // guarded by mutex_
};

}  // namespace homefs
