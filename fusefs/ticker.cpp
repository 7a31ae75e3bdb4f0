#include "fusefs/ticker.h"

#include <time.h>

#include <boost/asio/steady_timer.hpp>
#include <mutex>

namespace homefs {
namespace {

std::chrono::nanoseconds read_clock(clockid_t clock) {
  timespec time{};
  (void)::clock_gettime(clock, &time);  // cannot fail for these clocks
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Grows by the time that the machine has slept, and by nothing else.
std::chrono::nanoseconds time_asleep() {
  return read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC);
}

}  // namespace

struct Ticker::Shared {
  Shared(const boost::asio::any_io_executor& executor, std::chrono::milliseconds tick_period,
         OnTick tick)
      : timer(executor), period(tick_period), on_tick(std::move(tick)), asleep(time_asleep()) {}

  std::mutex mutex;  // held during a tick, so that the destructor waits for it
  boost::asio::steady_timer timer;
  const std::chrono::milliseconds period;
  const OnTick on_tick;
  std::chrono::nanoseconds asleep;  // guarded by mutex
  bool is_stopped = false;          // guarded by mutex
};

Ticker::Ticker(const boost::asio::any_io_executor& executor, std::chrono::milliseconds period,
               OnTick on_tick)
    : shared_(std::make_shared<Shared>(executor, period, std::move(on_tick))) {
  const std::lock_guard lock(shared_->mutex);
  arm(shared_);
}

Ticker::~Ticker() {
  const std::lock_guard lock(shared_->mutex);
  shared_->is_stopped = true;
  shared_->timer.cancel();
}

// Precondition: the mutex is held.
void Ticker::arm(const std::shared_ptr<Shared>& shared) {
  shared->timer.expires_after(shared->period);
  shared->timer.async_wait([shared](const boost::system::error_code&) {
    const std::lock_guard lock(shared->mutex);
    if (shared->is_stopped) return;
    const auto asleep = time_asleep();
    const bool was_suspended = asleep - shared->asleep > kSuspendMin;
    shared->asleep = asleep;
    shared->on_tick(was_suspended);
    arm(shared);
  });
}

}  // namespace homefs
