#include "server/login_slots.h"

#include <utility>

namespace homefs {

struct LoginSlots::Slot::State {
  Limits limits;
  std::function<void()> on_free;
  std::mutex mutex;
  // Guarded by mutex.
  std::size_t taken = 0;
  bool is_room_wanted = false;
  std::unordered_map<std::string, std::size_t> by_address;
};

LoginSlots::LoginSlots(Limits limits, std::function<void()> on_free)
    : state_(std::make_shared<Slot::State>()) {
  state_->limits = limits;
  state_->on_free = std::move(on_free);
}

bool LoginSlots::has_room() {
  const std::lock_guard lock(state_->mutex);
  const bool has_room = state_->taken < state_->limits.in_all;
  if (!has_room) state_->is_room_wanted = true;
  return has_room;
}

std::optional<LoginSlots::Slot> LoginSlots::take(const std::string& address) {
  const std::lock_guard lock(state_->mutex);
  std::size_t& of_address = state_->by_address[address];
  if (of_address >= state_->limits.per_address) return std::nullopt;
  ++of_address;
  ++state_->taken;
  return Slot(state_, address);
}

std::size_t LoginSlots::taken() const {
  const std::lock_guard lock(state_->mutex);
  return state_->taken;
}

void LoginSlots::Slot::release() {
  const std::shared_ptr<State> state = std::exchange(state_, nullptr);
  if (state == nullptr) return;
  bool is_free_again = false;
  {
    const std::lock_guard lock(state->mutex);
    --state->taken;
    const auto of_address = state->by_address.find(address_);
    if (--of_address->second == 0) state->by_address.erase(of_address);
    is_free_again = std::exchange(state->is_room_wanted, false);
  }
  if (is_free_again) state->on_free();
}

}  // namespace homefs
