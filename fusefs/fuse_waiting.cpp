#include "fusefs/fuse_waiting.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <cerrno>

#include "fusefs/file_locks.h"
#include "fusefs/fuse_ops.h"

namespace homefs {
namespace {

constexpr std::uint64_t id_of(std::uint32_t generation, std::size_t index) {
  return std::uint64_t{generation} << 32 | index;
}

WaitingRequests& table_of(fuse_req_t request) {
  return static_cast<FuseOps*>(fuse_req_userdata(request))->waiting();
}

// libfuse calls this in a reader thread, with the request's lock held, possibly while the request
// is being answered: so it carries a number, not a pointer, and answers nothing itself.
void on_interrupt(fuse_req_t request, void* id) {
  table_of(request).interrupt(reinterpret_cast<std::uintptr_t>(id));
}

}  // namespace

static_assert(sizeof(void*) >= sizeof(std::uint64_t), "numbers of requests travel as pointers");

std::uint64_t WaitingRequests::reserve() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot = {.generation = slot.generation + 1, .is_used = true};
  return id_of(slot.generation, index);
}

WaitingRequests::Slot* WaitingRequests::find(std::uint64_t id) {
  const auto index = static_cast<std::uint32_t>(id);
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.is_used && slot.generation == id >> 32 ? &slot : nullptr;
}

void WaitingRequests::publish(std::uint64_t id, const Request& request, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(id);
  slot->made = request;
  slot->since = now;
}

bool WaitingRequests::take(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(id);
  if (slot == nullptr) return false;
  slot->is_used = false;
  free_.push_back(static_cast<std::uint32_t>(id));
  return true;
}

bool WaitingRequests::is_waiting(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  return find(id) != nullptr;
}

void WaitingRequests::interrupt(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (Slot* slot = find(id)) slot->is_interrupted = true;
}

std::vector<WaitingRequests::Suspect> WaitingRequests::suspects(Clock::time_point now,
                                                                bool are_locks) {
  std::vector<Suspect> found;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (!slot.is_used || slot.made.request == nullptr || (slot.made.lock != 0) != are_locks) {
      continue;
    }
    const bool is_long_close = slot.made.kind == Kind::kClose && now - slot.since >= kPatience;
    if (slot.is_interrupted || is_long_close) found.push_back({id_of(slot.generation, i), slot});
  }
  return found;
}

bool WaitingRequests::is_over(const Slot& slot, CallerState state, Clock::time_point now,
                              Clock::time_point last_sign_of_life) {
  const auto waited = now - slot.since;
  switch (state) {
    case CallerState::kDying:
      return true;
    case CallerState::kExiting:
      return waited >= kSilenceMax && now - last_sign_of_life >= kSilenceMax;
    case CallerState::kAskedToEnd:
    case CallerState::kUnknown:
      return slot.is_interrupted && waited >= kPatience;
    case CallerState::kRunning:
      break;
  }
  return false;
}

std::vector<fuse_req*> WaitingRequests::take_interrupted(Clock::time_point now,
                                                         Clock::time_point last_sign_of_life,
                                                         CallerState (*state_of)(pid_t)) {
  std::vector<fuse_req*> taken;
  for (const auto& [id, slot] : suspects(now, /*are_locks=*/false)) {
    const CallerState state = state_of(slot.made.caller);
    if (is_over(slot, state, now, last_sign_of_life) && take(id)) {
      taken.push_back(slot.made.request);
    }
  }
  return taken;
}

std::vector<std::uint64_t> WaitingRequests::interrupted_locks(Clock::time_point now,
                                                              Clock::time_point last_sign_of_life,
                                                              CallerState (*state_of)(pid_t)) {
  std::vector<std::uint64_t> locks;
  for (const auto& [id, slot] : suspects(now, /*are_locks=*/true)) {
    const CallerState state = state_of(slot.made.caller);
    if (is_over(slot, state, now, last_sign_of_life)) locks.push_back(slot.made.lock);
  }
  return locks;
}

std::vector<fuse_req*> WaitingRequests::take_older_than(Clock::time_point before) {
  std::vector<fuse_req*> taken;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const Request& made = slot.made;
    if (!slot.is_used || made.request == nullptr || made.lock != 0 || slot.since > before) continue;
    slot.is_used = false;
    free_.push_back(static_cast<std::uint32_t>(i));
    taken.push_back(made.request);
  }
  return taken;
}

std::vector<std::uint64_t> WaitingRequests::locks_older_than(Clock::time_point before) {
  std::vector<std::uint64_t> locks;
  const std::lock_guard lock(mutex_);
  for (const Slot& slot : slots_) {
    const Request& made = slot.made;
    if (!slot.is_used || made.request == nullptr || slot.since > before) continue;
    if (made.lock != 0) locks.push_back(made.lock);
  }
  return locks;
}

Waiting::Waiting(fuse_req* request, WaitingRequests::Kind kind, std::uint64_t lock)
    : table_(table_of(request)), id_(table_.reserve()) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a number is what it is given for
  fuse_req_interrupt_func(request, on_interrupt, reinterpret_cast<void*>(id_));
  // Only now: from here on another thread may answer it.
  table_.publish(
      id_, {.request = request, .caller = fuse_req_ctx(request)->pid, .kind = kind, .lock = lock},
      WaitingRequests::Clock::now());
}

Waiting::~Waiting() { HOMEFS_CHECK(!table_.is_waiting(id_)); }

bool Waiting::take() { return table_.take(id_); }

bool Waiting::is_waiting() const { return table_.is_waiting(id_); }

void end_interrupted(WaitingRequests& table, FileLocks& locks,
                     WaitingRequests::Clock::time_point last_sign_of_life) {
  const auto now = WaitingRequests::Clock::now();
  for (fuse_req_t request : table.take_interrupted(now, last_sign_of_life)) {
    fuse_reply_err(request, EINTR);
  }
  for (const std::uint64_t lock : table.interrupted_locks(now, last_sign_of_life)) {
    locks.end_request(lock, Status::kInterrupted);
  }
}

void end_timed_out(WaitingRequests& table, FileLocks& locks,
                   WaitingRequests::Clock::time_point before) {
  for (fuse_req_t request : table.take_older_than(before)) fuse_reply_err(request, ETIMEDOUT);
  for (const std::uint64_t lock : table.locks_older_than(before)) {
    locks.end_request(lock, Status::kTimedOut);
  }
}

}  // namespace homefs
