// Quota: how much of its limit a home uses, exact to the byte, and what its sessions are promised.
//
//   used      logical bytes that are there: sizes of the regular files, hard links once, orphans
//   reserved  for changes that run right now; becomes used, or free again, when they end
//   granted   promised to a session: its client may accept these bytes from programs unasked
//   free      limit - used - reserved - granted
//
// A change that grows a file reserves first, from its session's grant and from what is free, and is
// refused as a whole when both together are not enough. So used never passes the limit by a byte.
//
// Executor: thread-safe; the mutex is a leaf. Blocks: wait_until_known(), while the home is
// counted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "protocol/attributes.h"
#include "protocol/result.h"
#include "server/usage_store.h"

namespace homefs {

class Grant;
class Quota;

/// Where the bytes of a change come from first. Writes come from the grant: it is for them that the
/// client was promised it. What else grows takes what nobody was promised, as long as there is
/// some, so that writes the client has answered already are not refused later.
enum class Draw : std::uint8_t { kGrantFirst, kFreeFirst };

/// Bytes and files set aside for one change. Whatever settle() does not claim is free again.
class Reservation {
 public:
  Reservation() = default;
  ~Reservation() { settle({}); }
  Reservation(Reservation&& other) noexcept
      : quota_(std::exchange(other.quota_, nullptr)), reserved_(other.reserved_) {}
  Reservation& operator=(Reservation&&) = delete;

  /// The change is done and took `used`. More than was reserved counts as well: somebody may have
  /// made the file grow by other means meanwhile.
  void settle(const Usage& used);

 private:
  friend class Quota;
  Reservation(Quota& quota, const Usage& reserved) : quota_(&quota), reserved_(reserved) {}

  Quota* quota_ = nullptr;
  Usage reserved_;
};

class Quota {
 public:
  /// What a session is promised at most: a second of writing at 500 Mbit/s, so that the answers
  /// keep it topped up.
  static constexpr std::uint64_t kGrantBytesMax = 64ull * 1024 * 1024;

  /// Limits: 0 = unlimited.
  Quota(std::uint64_t bytes_max, std::uint64_t files_max);
  ~Quota();
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  /// kOverQuota when it does not fit; then nothing was reserved.
  Result<Reservation> reserve(Grant& grant, const Usage& wanted, Draw draw = Draw::kFreeFirst);
  /// Something went away.
  void release(const Usage& freed);
  /// Something was found that is not counted yet (a recount).
  void count(const Usage& found);

  /// Grants that were given stay valid when the limit is lowered; they are not topped up then.
  void set_limits(std::uint64_t bytes_max, std::uint64_t files_max);
  [[nodiscard]] bool has_limits() const;

  /// The use is `usage` from now on.
  void set_known(const Usage& usage);
  /// A count begins: it starts from nothing, and is not known until finish_count(). Meanwhile
  /// `estimate` is what is shown, unless more was counted.
  void begin_count(const Usage& estimate);
  void finish_count();
  [[nodiscard]] bool is_known() const;
  /// Returns at once in a home without limits: nothing depends on the count there.
  void wait_until_decidable() const;
  void wait_until_known() const;

  [[nodiscard]] Usage used() const;
  [[nodiscard]] Usage limits() const;

 private:
  friend class Grant;
  friend class Reservation;
  [[nodiscard]] std::uint64_t bytes_free() const;
  GrantState state_of(Grant& grant);
  void settle(const Usage& reserved, const Usage& used);

  mutable std::mutex mutex_;
  mutable std::condition_variable known_;
  // Guarded by mutex_:
  Usage limits_;
  Usage used_;
  Usage reserved_;
  Usage estimate_;
  std::uint64_t granted_bytes_ = 0;  // sum over the grants
  bool is_known_ = false;
};

/// One session's share. Owner: the session. Executor: thread-safe (guarded by the quota's mutex).
class Grant {
 public:
  explicit Grant(Quota& quota) : quota_(quota) {}
  ~Grant() { release(); }
  Grant(const Grant&) = delete;
  Grant& operator=(const Grant&) = delete;

  /// Tops the grant up, if the session is alone with the home or the home has no limit, and says
  /// where the quota stands. Each call gets a later stamp.
  GrantState state() { return quota_.state_of(*this); }
  void set_shared(bool is_shared);
  /// Takes back what is left of it.
  void release();

 private:
  friend class Quota;
  Quota& quota_;
  // Guarded by the quota's mutex:
  std::uint64_t bytes_ = 0;
  std::uint64_t stamp_ = 0;
  bool is_shared_ = true;
};

}  // namespace homefs
