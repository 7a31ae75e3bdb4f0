// Quota: how much of its limit a home uses, exact to the byte, and what its sessions are promised.
//
//   used      logical bytes that are there: sizes of the regular files, hard links once, orphans
//   reserved  for changes that run right now; becomes used, or free again, when they end
//   granted   promised to a session: its client may accept these bytes from programs unasked
//   free      limit - used - reserved - granted
//
// A change that grows a file reserves first, from its session's grant as much as the client has set
// aside for it there, and from what is free, and is refused as a whole when both together are not
// enough. So used never passes the limit by a byte, with one exception: when the limit is lowered
// below what was granted, what clients have promised to programs by then is kept.
//
// A recount goes on beside that: what is found is summed up by itself, together with every change
// of the use, and becomes the use when it is complete.
//
// Executor: thread-safe; the mutex is a leaf. Blocks: wait_until_known(), while the home is
// counted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/attributes.h"
#include "protocol/messages.h"
#include "protocol/result.h"
#include "server/usage_store.h"

namespace homefs {

class Grant;
class Quota;

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

  /// kOverQuota when it does not fit; then nothing was reserved. `from_grant`: how much of it may
  /// come out of the grant; the rest of the grant is promised to other writes.
  Result<Reservation> reserve(Grant& grant, const Usage& wanted,
                              std::uint64_t from_grant = kWholeGrant);
  /// Something went away.
  void release(const Usage& freed);
  /// Something has grown that nobody reserved for.
  void count(const Usage& grown);

  /// What was granted and is not covered by a lower limit any more is not told to the sessions from
  /// now on: what their clients have promised by then they may still write.
  void set_limits(std::uint64_t bytes_max, std::uint64_t files_max);
  [[nodiscard]] bool has_limits() const;

  /// The use is `usage` from now on.
  void set_known(const Usage& usage);
  /// A count of a use that is not known begins: it starts from nothing. Meanwhile `estimate` is
  /// what is shown, unless more was counted.
  void begin_count(const Usage& estimate);
  /// A count beside a use that is known, and stays in force until finish_count().
  void begin_recount();
  /// A count has found something.
  void count_found(const Usage& found);
  void finish_count();
  /// The count of a use that is not known ends without a result: nobody waits for it any more, and
  /// what depends on it is refused (kIoError).
  void give_up_count();
  /// A recount ends without a result; the use stays what it is.
  void cancel_recount();
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
  [[nodiscard]] std::uint64_t bytes_overdrawn() const;
  void add(const Usage& grown);
  void subtract(const Usage& freed);
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
  std::vector<Grant*> grants_;
  std::optional<Usage> recounted_;  // of a recount that runs
  bool is_known_ = false;
  bool is_given_up_ = false;  // the count was stopped
};

/// One session's share. Owner: the session. Executor: thread-safe (guarded by the quota's mutex).
class Grant {
 public:
  explicit Grant(Quota& quota);
  ~Grant();
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
  bool is_relied_on_ = false;  // the client may have promised it to programs
};

}  // namespace homefs
