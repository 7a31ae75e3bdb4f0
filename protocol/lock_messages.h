// The messages about file locks, one plain struct each; the others are in messages.h. PROTOCOL.md
// section "Locks" says what they mean.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/ids.h"
#include "protocol/message_fields.h"

namespace homefs {

/// The two kinds do not see each other.
enum class LockKind : std::uint8_t { kRecord = 0, kWhole = 1 };  // fcntl(2); flock(2)
enum class LockType : std::uint8_t {
  kShared = 0,
  kExclusive = 1,
  kNone = 2,
  kSessionShared = 3,  ///< shared with owners of the same session, exclusive to all others
};

/// The end of a range that reaches as far as a file can.
inline constexpr std::uint64_t kLockEndMax = std::uint64_t{1} << 63;

/// Sets the range of this owner to `type`; kNone clears it. In the way of another's lock:
/// kWouldBlock, or with `waits` queued; kDeadlock, kNoLocks.
struct LockRequest {
  NodeId node{};
  LockKind kind = LockKind::kRecord;
  LockType type = LockType::kShared;
  bool waits = false;
  std::uint64_t owner = 0;  ///< any number of the client's; of this session
  std::uint64_t begin = 0;  ///< kWhole: 0 and kLockEndMax
  std::uint64_t end = 0;    ///< behind the last byte, at most kLockEndMax
  std::uint64_t id = 0;     ///< names this request in CancelLockRequest and LockGrantedEvent
  std::uint32_t pid = 0;    ///< told to those who test for the lock in this session
  bool operator==(const LockRequest&) const = default;
  HOMEFS_FIELDS(&LockRequest::node, &LockRequest::kind, &LockRequest::type, &LockRequest::waits,
                &LockRequest::owner, &LockRequest::begin, &LockRequest::end, &LockRequest::id,
                &LockRequest::pid)
};

struct LockReply {
  bool is_granted = false;  ///< else it is queued: LockGrantedEvent follows
  bool operator==(const LockReply&) const = default;
  HOMEFS_FIELDS(&LockReply::is_granted)
};

/// The request is as if it had never been made. Nothing happens for an id that is not known.
struct CancelLockRequest {
  std::uint64_t id = 0;
  bool operator==(const CancelLockRequest&) const = default;
  HOMEFS_FIELDS(&CancelLockRequest::id)
};

/// Which record lock of another owner is in the way of this one.
struct TestLockRequest {
  NodeId node{};
  LockType type = LockType::kShared;
  std::uint64_t owner = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const TestLockRequest&) const = default;
  HOMEFS_FIELDS(&TestLockRequest::node, &TestLockRequest::type, &TestLockRequest::owner,
                &TestLockRequest::begin, &TestLockRequest::end)
};

struct LockHolder {
  LockType type = LockType::kShared;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint32_t pid = 0;  ///< 0: of another session
  bool operator==(const LockHolder&) const = default;
  HOMEFS_FIELDS(&LockHolder::type, &LockHolder::begin, &LockHolder::end, &LockHolder::pid)
};

struct TestLockReply {
  std::optional<LockHolder> holder;  ///< nothing: the lock could be had
  bool operator==(const TestLockReply&) const = default;
  HOMEFS_FIELDS(&TestLockReply::holder)
};

struct LockGrantedEvent {
  std::uint64_t id = 0;
  bool operator==(const LockGrantedEvent&) const = default;
  HOMEFS_FIELDS(&LockGrantedEvent::id)
};

}  // namespace homefs
