// LockTable: the file locks of one home, and the requests that are queued for some. Pure state:
// what PROTOCOL.md section "Locks" says, without threads, sessions or a network.
//
// A file is known by its inode number and generation: a file with locks is open in some session,
// but that session may be away, and the number another file's by the time it is back.
//
// Owner: HomeLocks. Executor: under its lock. Blocks: never.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "protocol/ids.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace homefs {

/// Who holds a lock: an owner of a session.
struct LockOwner {
  std::uint64_t session = 0;
  std::uint64_t owner = 0;
  auto operator<=>(const LockOwner&) const = default;
};

struct LockRange {
  std::uint64_t begin = 0;
  std::uint64_t end = kLockEndMax;  ///< behind the last byte

  [[nodiscard]] bool overlaps(const LockRange& other) const {
    return begin < other.end && other.begin < end;
  }
  bool operator==(const LockRange&) const = default;
};

/// The locks of a kind of a file.
struct LockedFile {
  InodeNumber inode{};
  LockKind kind = LockKind::kRecord;
  std::uint32_t generation = 0;  ///< Attributes::generation
  auto operator<=>(const LockedFile&) const = default;
};

struct LockWish {
  LockedFile file;
  LockType type = LockType::kShared;
  bool waits = false;
  LockOwner owner;
  LockRange range;
  std::uint64_t id = 0;  ///< of the request, in its session; 0: none
  std::uint32_t pid = 0;
};

struct HeldLock {
  LockOwner owner;
  LockType type = LockType::kShared;
  LockRange range;
  std::uint32_t pid = 0;
  bool operator==(const HeldLock&) const = default;
};

/// What a SavedLock says of its range.
enum class LockNote : std::uint8_t {
  kHeld,     ///< it is held with the type; kNone: nothing is
  kGranted,  ///< the request `id` got it last, and may be taken back
  kBefore,   ///< what was held there before that
};

/// A lock of a session, without the session, or what there is to know about one.
struct SavedLock {
  LockedFile file;
  LockType type = LockType::kShared;
  std::uint64_t owner = 0;
  LockRange range;
  std::uint32_t pid = 0;
  LockNote note = LockNote::kHeld;
  std::uint64_t id = 0;  ///< of the request, for kGranted and kBefore
  bool operator==(const SavedLock&) const = default;
};

/// Where the changes of a session's locks go. Called under the owner's lock.
class LockJournal {
 public:
  virtual ~LockJournal() = default;
  /// What is held has changed by `changes`, one after the other. `all` gives what is held now.
  virtual void changed(std::span<const SavedLock> changes,
                       const std::function<std::vector<SavedLock>()>& all) = 0;
};

enum class LockOutcome { kGranted, kQueued, kWouldBlock, kDeadlock, kNoLocks };

/// A request that was queued, and has its lock now.
struct LockGrant {
  std::uint64_t session = 0;
  std::uint64_t id = 0;
  bool operator==(const LockGrant&) const = default;
};
using LockGrants = std::vector<LockGrant>;

class LockTable {
 public:
  /// Granted requests of a session that can still be cancelled.
  static constexpr std::size_t kCancellableMax = 64;
  /// What a request replaced is remembered up to so many ranges: more is held by nobody who could
  /// be interrupted in the moment of the grant.
  static constexpr std::size_t kBeforeMax = 16;

  explicit LockTable(std::size_t locks_max = kLocksPerSessionMax,
                     std::size_t waits_max = kLockWaitsPerSessionMax)
      : locks_max_(locks_max), waits_max_(waits_max) {}

  /// A lock request. What it sets free is given on: `grants` tells who has got something.
  LockOutcome set(const LockWish& wish, LockGrants& grants);
  /// Takes a request back. What others have got since of what it gave up stays as it is.
  void cancel(std::uint64_t session, std::uint64_t id, LockGrants& grants);
  /// The lock that is in the way of `wish`, if any.
  [[nodiscard]] std::optional<HeldLock> find_conflict(const LockWish& wish) const;
  /// The session is over.
  void drop_session(std::uint64_t session, LockGrants& grants);

  [[nodiscard]] std::vector<SavedLock> locks_of(std::uint64_t session) const;
  /// The same, and what of it can be cancelled: all that restore() needs.
  [[nodiscard]] std::vector<SavedLock> saved_locks_of(std::uint64_t session) const;
  /// Sets or clears a range, or takes up what can be cancelled. Precondition: nobody else has been
  /// granted anything that conflicts with it.
  void restore(std::uint64_t session, const SavedLock& lock);
  /// From now on changes of the session's locks are told to `journal`, which outlives the session
  /// here.
  void set_journal(std::uint64_t session, LockJournal* journal);

  /// Locks and queued requests; 0: nothing is kept at all.
  [[nodiscard]] std::size_t size() const;

 private:
  struct Piece {
    LockRange range;
    LockType type = LockType::kShared;
    std::uint32_t pid = 0;
  };
  using Pieces = std::vector<Piece>;  // by range, apart or of different types
  using Queue = std::list<LockWish>;
  struct File {
    std::map<LockOwner, Pieces> held;
    Queue queued;  // oldest first
  };
  using Files = std::map<LockedFile, File>;
  // What an owner held before a request with an id was granted.
  struct Granted {
    std::uint64_t id = 0;
    LockedFile file;
    LockOwner owner;
    LockRange range;
    Pieces before;
  };
  struct Session {
    std::size_t locks = 0;
    std::size_t waits = 0;
    std::deque<Granted> granted;  // oldest first; at most kCancellableMax
    LockJournal* journal = nullptr;
  };

  static Pieces with(const Pieces& pieces, const LockRange& range, std::optional<Piece> set);
  static Pieces clipped(const Pieces& pieces, const LockRange& range);
  static bool is_conflict(const LockOwner& holder, const Piece& piece, const LockWish& wish);
  static bool conflicts_with_holder(const File& file, const LockWish& wish);
  static bool conflicts_with_earlier(const File& file, const LockWish& wish,
                                     Queue::const_iterator end);
  [[nodiscard]] bool must_queue_behind(const File& file, const LockWish& wish,
                                       Queue::const_iterator end) const;
  [[nodiscard]] bool would_deadlock(const LockWish& wish) const;
  void add_blockers(const LockWish& wish, std::vector<LockOwner>& blockers) const;

  [[nodiscard]] const Granted* find_granted(std::uint64_t session, std::uint64_t id) const;
  void note_granted(const LockWish& wish, const Pieces& own);
  void forget_granted(const LockedFile& file, const LockOwner& owner);
  void restore_granted(std::uint64_t session, const SavedLock& lock);
  static void add_granted(std::vector<SavedLock>& locks, const Granted& granted);
  static Pieces without(const File& file, const Granted& granted);
  void put(File& file, const LockedFile& key, const LockOwner& owner, Pieces pieces);
  void tell_journal(const LockedFile& key, const LockOwner& owner, const Pieces& pieces);
  bool grant(File& file, const LockWish& wish, bool is_bounded);
  LockOutcome enqueue(File& file, const LockWish& wish);
  void drop_wait(File& file, Queue::iterator place);
  void grant_queued(const LockedFile& key, LockGrants& grants);
  void grant_queued_of(File& file, LockGrants& grants, std::vector<LockedFile>& open);
  void add_waits(const LockOwner& owner, std::vector<LockedFile>& open) const;
  void tidy(const LockedFile& key);

  const std::size_t locks_max_;
  const std::size_t waits_max_;
  Files files_;  // with locks or queued requests
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::map<LockOwner, std::size_t> files_of_owner_;  // in which it holds something
  std::multimap<LockOwner, const LockWish*> waits_of_owner_;
};

}  // namespace homefs
