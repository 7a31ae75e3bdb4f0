#include "fusefs/cli/end_watch.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <utility>

namespace homefs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookEvery{50};

// Set by the handler, on any thread.
std::atomic<bool> has_signal = false;
static_assert(std::atomic<bool>::is_always_lock_free);
void on_signal(int) { has_signal = true; }

void set_handlers(bool is_on) {
  struct sigaction action{};
  // Once: the second time the signal does what it always does.
  action.sa_flags = is_on ? static_cast<int>(SA_RESETHAND | SA_RESTART) : SA_RESTART;
  action.sa_handler = is_on ? on_signal : SIG_DFL;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) (void)::sigaction(signal, &action, nullptr);
}

}  // namespace

EndWatch::EndWatch(std::function<void()> on_end, std::chrono::milliseconds grace)
    : on_end_(std::move(on_end)), grace_(grace) {
  has_signal = false;
  set_handlers(true);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

EndWatch::~EndWatch() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  set_handlers(false);
}

void EndWatch::run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "end-watch");
  std::optional<Clock::time_point> end_at;
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(kLookEvery);
    if (has_signal && !end_at) {
      has_ended_ = true;
      end_at = Clock::now() + grace_;
    }
    if (end_at && Clock::now() >= *end_at) return on_end_();
  }
}

}  // namespace homefs
