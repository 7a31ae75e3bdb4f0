#include "server/login_throttle.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>

namespace homefs {

std::string throttle_key_of_peer(std::string_view peer) {
  std::string_view host = peer;
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else if (const std::size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    host = host.substr(0, colon);
  }
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  if (error || !address.is_v6()) return std::string(host);
  const auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  }
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return boost::asio::ip::address_v6(bytes).to_string() + "/64";
}

void LoginThrottle::set_limits(std::uint32_t failures_before_lockout,
                               std::chrono::seconds lockout) {
  const std::lock_guard lock(mutex_);
  options_.failures_before_lockout = failures_before_lockout;
  options_.lockout = lockout;
}

LoginThrottle::Clock::time_point LoginThrottle::locked_until(Table& table, const std::string& key,
                                                             Clock::time_point now) const {
  const auto found = table.index.find(key);
  if (found == table.index.end()) return now;
  const Entry& entry = *found->second;
  if (now - entry.last_failure >= options_.lockout) {
    erase(table, found->second);
    return now;
  }
  const bool is_locked = entry.failures >= options_.failures_before_lockout;
  return is_locked ? entry.last_failure + options_.lockout : now;
}

std::optional<std::chrono::seconds> LoginThrottle::locked_out_for(const std::string& user,
                                                                  const std::string& address,
                                                                  Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point until =
      std::max(locked_until(users_, user, now), locked_until(addresses_, address, now));
  if (until <= now) return std::nullopt;
  return std::chrono::ceil<std::chrono::seconds>(until - now);
}

std::uint32_t LoginThrottle::add_failure(Table& table, const std::string& key,
                                         Clock::time_point now) const {
  if (const auto found = table.index.find(key); found != table.index.end()) {
    const auto entry = found->second;
    if (now - entry->last_failure >= options_.lockout) entry->failures = 0;
    entry->last_failure = now;
    table.entries.splice(table.entries.end(), table.entries, entry);
    return ++entry->failures;
  }
  if (table.entries.size() >= options_.entries_max) erase(table, table.entries.begin());
  table.entries.push_back(Entry{key, 1, now});
  table.index.emplace(table.entries.back().key, std::prev(table.entries.end()));
  return 1;
}

void LoginThrottle::erase(Table& table, std::list<Entry>::iterator entry) {
  table.index.erase(entry->key);
  table.entries.erase(entry);
}

std::chrono::milliseconds LoginThrottle::count_failure(const std::string& user,
                                                       const std::string& address,
                                                       Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t failures =
      std::max(add_failure(users_, user, now), add_failure(addresses_, address, now));
  constexpr std::uint32_t kDoublingsMax = 16;  // far past delay_max, and no overflow
  const auto delay = options_.first_delay * (1 << std::min(failures - 1, kDoublingsMax));
  return std::min<std::chrono::milliseconds>(delay, options_.delay_max);
}

void LoginThrottle::count_success(const std::string& user) {
  const std::lock_guard lock(mutex_);
  if (const auto found = users_.index.find(user); found != users_.index.end()) {
    erase(users_, found->second);
  }
}

std::size_t LoginThrottle::entries() const {
  const std::lock_guard lock(mutex_);
  return std::max(users_.entries.size(), addresses_.entries.size());
}

}  // namespace homefs
