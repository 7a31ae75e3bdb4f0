#include "fusefs/fuse_waiting.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <cerrno>

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

void WaitingRequests::publish(std::uint64_t id, fuse_req* request, pid_t caller, Kind kind,
                              Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(id);
  slot->request = request;
  slot->caller = caller;
  slot->kind = kind;
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

std::vector<WaitingRequests::Suspect> WaitingRequests::suspects(Clock::time_point now) {
  std::vector<Suspect> found;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (!slot.is_used || slot.request == nullptr) continue;
    const bool is_long_close = slot.kind == Kind::kClose && now - slot.since >= kPatience;
    if (slot.is_interrupted || is_long_close) found.push_back({id_of(slot.generation, i), slot});
  }
  return found;
}

std::vector<fuse_req*> WaitingRequests::take_interrupted(Clock::time_point now,
                                                         Clock::time_point last_sign_of_life,
                                                         CallerState (*state_of)(pid_t)) {
  std::vector<fuse_req*> taken;
  for (const Suspect& suspect : suspects(now)) {
    const auto waited = now - suspect.slot.since;
    bool is_over = false;
    switch (state_of(suspect.slot.caller)) {
      case CallerState::kDying:
        is_over = true;
        break;
      case CallerState::kExiting:
        is_over = waited >= kSilenceMax && now - last_sign_of_life >= kSilenceMax;
        break;
      case CallerState::kAskedToEnd:
      case CallerState::kUnknown:
        is_over = suspect.slot.is_interrupted && waited >= kPatience;
        break;
      case CallerState::kRunning:
        break;
    }
    if (is_over && take(suspect.id)) taken.push_back(suspect.slot.request);
  }
  return taken;
}

std::vector<fuse_req*> WaitingRequests::take_older_than(Clock::time_point before) {
  std::vector<fuse_req*> taken;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.is_used || slot.request == nullptr || slot.since > before) continue;
    slot.is_used = false;
    free_.push_back(static_cast<std::uint32_t>(i));
    taken.push_back(slot.request);
  }
  return taken;
}

Waiting::Waiting(fuse_req* request, WaitingRequests::Kind kind)
    : table_(table_of(request)), id_(table_.reserve()) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a number is what it is given for
  fuse_req_interrupt_func(request, on_interrupt, reinterpret_cast<void*>(id_));
  // Only now: from here on another thread may answer it.
  table_.publish(id_, request, fuse_req_ctx(request)->pid, kind, WaitingRequests::Clock::now());
}

Waiting::~Waiting() { HOMEFS_CHECK(!table_.is_waiting(id_)); }

bool Waiting::take() { return table_.take(id_); }

bool Waiting::is_waiting() const { return table_.is_waiting(id_); }

void end_interrupted(WaitingRequests& table, WaitingRequests::Clock::time_point last_sign_of_life) {
  const auto now = WaitingRequests::Clock::now();
  for (fuse_req_t request : table.take_interrupted(now, last_sign_of_life)) {
    fuse_reply_err(request, EINTR);
  }
}

void end_timed_out(WaitingRequests& table, WaitingRequests::Clock::time_point before) {
  for (fuse_req_t request : table.take_older_than(before)) fuse_reply_err(request, ETIMEDOUT);
}

}  // namespace homefs
