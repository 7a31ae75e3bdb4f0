// HomeLocks: the file locks of one home for all of its sessions. Tells a session when a request of
// it that was queued has its lock, and holds the locks of sessions that a restart of the server has
// left without a connection, until they are back.
//
// Owner: Home. Executor: thread-safe; listeners are called on the thread that has set something
// free, with no lock held. Blocks: never.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"
#include "server/lock_table.h"

namespace homefs {

class HomeLocks {
 public:
  using Listener = std::function<void(std::uint64_t id)>;

  /// The locks of a session that is not there yet; they are in force at once. Nothing happens when
  /// they are already.
  void reserve(const SessionId& id, const std::vector<SavedLock>& locks);
  /// The session will not come; nothing happens when it has come.
  void drop_reserved(const SessionId& id);

  /// A session takes part from now on, with what was reserved for it. Returns its number.
  /// `journal` is told of each change of its locks until it leaves; null: nobody is.
  std::uint64_t join(const SessionId& id, LockJournal* journal = nullptr);
  void listen(std::uint64_t session, Listener listener);
  /// Its locks are given free, and it gets none any more. Idempotent.
  void leave(std::uint64_t session);
  /// It leaves, and its locks stay as its journal has them: nobody gets them in this run of the
  /// server, since it has them again in the next one.
  void keep(std::uint64_t session);

  /// As LockTable::set(). kNoLocks for a session that has left.
  LockOutcome set(const LockWish& wish);
  void cancel(std::uint64_t session, std::uint64_t id);
  [[nodiscard]] std::optional<HeldLock> find_conflict(const LockWish& wish) const;
  [[nodiscard]] std::vector<SavedLock> locks_of(std::uint64_t session) const;

 private:
  struct Member {
    SessionId id{};
    bool has_joined = false;
    Listener listener;
  };
  struct State {
    LockTable table;
    std::unordered_map<std::uint64_t, Member> members;
    std::uint64_t last_number = 0;

    std::uint64_t find_reserved(const SessionId& id) const;  // 0: none
  };

  void tell(const LockGrants& grants);

  mutable Guarded<State> state_;
};

}  // namespace homefs
