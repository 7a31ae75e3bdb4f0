// The operations of the protocol, and what is fixed about each. One line an operation: this is
// the surface of the protocol on one screen.
//
// Executor: immutable data, thread-safe. Blocks: never.
#pragma once

#include <cstdint>
#include <string_view>

namespace homefs {

enum class Op : std::uint16_t {
  // Login and session; bodies are JSON.
  kHello = 1,       ///< versions, client name -> server's versions, mechanisms
  kAuthStart = 2,   ///< SCRAM client-first -> server-first
  kAuthFinish = 3,  ///< SCRAM client-final -> server-final and the session
  kResume = 4,      ///< re-join a session with a further or a new connection
  kToken = 5,       ///< make or revoke a device token
  kGoodbye = 6,     ///< end the session now: orphans and grants are released
  kPing = 7,        ///< empty -> empty
  // Names and attributes: in sequence.
  kCreate = 20,
  kMkdir = 21,
  kMknod = 22,
  kSymlink = 23,
  kLink = 24,
  kUnlink = 25,
  kRmdir = 26,
  kRename = 27,
  kSetattr = 28,
  kSetxattr = 29,
  kRemovexattr = 30,
  kFallocate = 31,
  kCopy = 32,
  kAppend = 33,
  kLock = 34,        ///< sets or clears a file lock; one that has to wait is queued, not held
  kCancelLock = 35,  ///< takes a lock request back, wherever it stands
  // Looking: any order.
  kLookup = 50,
  kGetattr = 51,
  kList = 52,
  kReadlink = 53,
  kGetxattr = 54,
  kListxattr = 55,
  kStatfs = 56,
  kForget = 57,
  kSeek = 58,
  kDigest = 59,    ///< MD5 of a whole file or of its blocks
  kTestLock = 60,  ///< who is in the way of a record lock
  // Data: any order, usually on a bulk connection.
  kRead = 70,
  kReadMany = 71,
  kWrite = 72,
  kFsync = 73,
  // Events: server -> client.
  kMode = 90,          ///< the home is sole or shared from now on; acknowledged when caches obey
  kChanged = 91,       ///< another session changed these nodes or names
  kQuotaChanged = 92,  ///< limit or use of the home changed
  kGoingAway = 93,     ///< the server shuts down
  kLockGranted = 94,   ///< a lock request that was queued has its lock
};

struct OpTraits {
  Op op;
  std::string_view name;  ///< as in logs and PROTOCOL.md: "mkdir"
  bool is_sequenced;      ///< carries a seq, applied in order, exactly once
  bool has_payload;       ///< a request of up to kBodyBytesMax; else up to kLoginBodyBytesMax
};

/// The traits of `op`, or null for a number that is no operation.
const OpTraits* find_op(std::uint16_t number);

/// "mkdir"; "op-4711" never occurs, since frames with unknown operations are refused.
std::string_view name_of(Op op);

/// True when requests of this operation carry a seq. Precondition: a known op.
bool is_sequenced(Op op);

}  // namespace homefs
