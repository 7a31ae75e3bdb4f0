#include "fusefs/reconnector.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

namespace homefs {
namespace {

// The password or token is not taken any more: it does not become right by asking often, but the
// account may be switched on again.
constexpr Backoff kRefused{std::chrono::seconds(60), std::chrono::seconds(60)};

}  // namespace

bool is_login_refusal(Status status) {
  return status == Status::kLoginRefused || status == Status::kUnknownUser ||
         status == Status::kAccountDisabled || status == Status::kLockedOut ||
         status == Status::kServerKeyChanged;
}

std::chrono::milliseconds backoff_delay(const Backoff& backoff, int failures, double random) {
  if (failures <= 0) return std::chrono::milliseconds(0);
  constexpr int kDoublingsMax = 20;  // keeps the shift in range; the maximum is reached before
  const auto doubled = backoff.first * (std::int64_t{1} << std::min(failures - 1, kDoublingsMax));
  const auto full = std::min<std::chrono::milliseconds>(doubled, backoff.max);
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(full.count()) * (1.0 - random / 2)));
}

Reconnector::Reconnector(Backoff backoff, Attempt attempt)
    : backoff_(backoff), attempt_(std::move(attempt)), thread_([this] { run(); }) {}

void Reconnector::wake() {
  const std::lock_guard lock(mutex_);
  is_wanted_ = true;
  changed_.notify_all();
}

void Reconnector::hurry() {
  const std::lock_guard lock(mutex_);
  is_hurried_ = true;
  failures_ = successes_ = 0;
  changed_.notify_all();
}

void Reconnector::forget_failures() {
  const std::lock_guard lock(mutex_);
  failures_ = successes_ = 0;
}

void Reconnector::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Reconnector::run() {
  (void)::pthread_setname_np(::pthread_self(), "homefs-link");  // a name is a comfort, no more
  std::minstd_rand generator{std::random_device{}()};
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  bool was_refused = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_wanted_ || is_stopped_; });
    const auto delay =
        failures_ > 0
            ? backoff_delay(was_refused ? kRefused : backoff_, failures_, uniform(generator))
            : backoff_delay({backoff_.first, std::min(backoff_.max, kBrokenWaitMax)}, successes_,
                            uniform(generator));
    (void)changed_.wait_for(lock, delay, [this] { return is_hurried_ || is_stopped_; });
    if (is_stopped_) return;
    is_wanted_ = false;
    is_hurried_ = false;
    lock.unlock();
    const Result<> connected = attempt_();
    lock.lock();
    // Also a success counts until the connection has held: a server that accepts and then breaks
    // must not be asked ten times a second. But the network is there, so the wait stays short.
    failures_ = connected ? 0 : failures_ + 1;
    if (connected) ++successes_;
    // Not for another server's key, which costs no server anything.
    was_refused = !connected && is_login_refusal(connected.error().status) &&
                  connected.error().status != Status::kServerKeyChanged;
    if (!connected) is_wanted_ = true;
  }
}

}  // namespace homefs
