// How many connections may be on their way in (TLS handshake and login) at once, in all and from
// one address: whoever opens connections and says nothing must not keep the others out.
//
// Owner: the listener. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace homefs {

class LoginSlots {
 public:
  struct Limits {
    std::size_t in_all = 64;
    std::size_t per_address = 48;  ///< three quarters, so that one address never takes all
  };

  /// Held by a connection until it is logged in or closed; may outlive the LoginSlots.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept = default;
    Slot& operator=(Slot&& other) noexcept {
      release();
      state_ = std::move(other.state_);
      address_ = std::move(other.address_);
      return *this;
    }
    ~Slot() { release(); }
    /// Gives the place back. Idempotent.
    void release();

   private:
    friend class LoginSlots;
    struct State;
    Slot(std::shared_ptr<State> state, std::string address)
        : state_(std::move(state)), address_(std::move(address)) {}

    std::shared_ptr<State> state_;  // owners: the LoginSlots and the slots
    std::string address_;
  };

  /// `on_free` is called when a place becomes free after there was none; with no lock held.
  LoginSlots(Limits limits, std::function<void()> on_free);

  /// True when a place is free. Else on_free follows.
  [[nodiscard]] bool has_room();
  /// A place for `address`; none when it has its share already.
  [[nodiscard]] std::optional<Slot> take(const std::string& address);
  [[nodiscard]] std::size_t taken() const;

 private:
  std::shared_ptr<Slot::State> state_;
};

}  // namespace homefs
