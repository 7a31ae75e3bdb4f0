// What the server tells systemd: ready, stopping, alive. Nothing where systemd did not start it.
//
// Owner: the server's main. Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace homefs {

/// Serving now; `status` is what `systemctl status` shows.
void notify_ready(const std::string& status);
void notify_reloading();
void notify_stopping();
/// A sign of life; to be given at least every watchdog_interval().
void notify_alive();
/// Half of the unit's WatchdogSec; none when the unit has no watchdog.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace homefs
