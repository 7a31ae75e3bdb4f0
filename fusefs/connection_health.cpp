#include "fusefs/connection_health.h"

namespace homefs {

ConnectionHealth::Verdict ConnectionHealth::check(Time now, const Signs& signs,
                                                  std::chrono::milliseconds keepalive) {
  const bool has_received = signs.last_received > last_alive_;
  const bool has_progress = signs.bytes_acknowledged > bytes_acknowledged_;
  bytes_acknowledged_ = signs.bytes_acknowledged;
  if (has_received || (has_progress && pings_ == 0)) {
    last_alive_ = has_received ? signs.last_received : now;
    pings_ = 0;
    give_up_ = {};
  } else if (has_progress) {
    // The acknowledgement may be that of our own ping: it is no answer, but no missed one either.
    last_ping_ = now;
  }
  if (is_in_doubt_) {
    is_in_doubt_ = false;
    pings_ = 1;
    last_ping_ = now;
    give_up_ = now + kDoubt;
    return Verdict::kPing;
  }
  if (give_up_ != Time{} && now >= give_up_) return Verdict::kBroken;
  if (pings_ == 0 && now - last_alive_ < keepalive) return Verdict::kFine;
  if (pings_ > 0 && now - last_ping_ < keepalive) return Verdict::kFine;
  if (pings_ >= 2) return Verdict::kBroken;
  ++pings_;
  last_ping_ = now;
  return Verdict::kPing;
}

}  // namespace homefs
