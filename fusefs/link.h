// Link: the client core's only way to the server. Calls go in, answers come out, whatever happens
// to the connections in between.
//
// A call is answered exactly once. While the connection is down calls wait (hard), or those that
// change nothing fail with kTimedOut after `timeo` (soft); a change may still be done, so it keeps
// its caller until that is known. After a reconnect every call that has no answer is sent again;
// calls in sequence keep their seq, so that the server applies each of them once.
//
// Owner: the mount. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "protocol/codec.h"
#include "protocol/frame.h"
#include "protocol/messages.h"
#include "protocol/result.h"
#include "protocol/task.h"

namespace homefs {

/// Which connection a call takes: small ones must not wait behind a file's data.
enum class Lane { kControl, kBulk };

struct Call {
  Op op{};
  std::vector<NodeId> nodes;      ///< the nodes its message names: introduced where necessary
  std::vector<std::byte> fields;  ///< the encoded message, without introductions
  std::vector<Slice> payload;
  Lane lane = Lane::kControl;
  std::uint64_t session = 0;  ///< it must not be made in another one (session_number()); 0: in any
};

/// A call of `message`, which names `nodes`.
template <class Message>
Call make_call(Op op, std::vector<NodeId> nodes, const Message& message) {
  return Call{.op = op, .nodes = std::move(nodes), .fields = encode_fields(message)};
}

/// Knows how the server can find a node. Implemented by the node table; called by the Link when a
/// call is sent or sent again. Thread-safe, must not call the Link.
class IntroductionSource {
 public:
  virtual ~IntroductionSource() = default;
  /// Appends what the server incarnation `incarnation` has to be told before it knows `nodes`,
  /// parents first; nothing for nodes that it is known to know.
  virtual void introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                         std::vector<Introduction>& out) = 0;
  /// The server incarnation has accepted a request that introduced `introductions`.
  virtual void confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) = 0;
  /// The server does not know one of `nodes` (kStale): introduce all of them again.
  virtual void distrust(std::span<const NodeId> nodes) = 0;
};

/// What a new connection after a break says of the caches.
struct Reconnected {
  /// False: whatever is cached is void. The server has forgotten the session (with its orphans),
  /// was restarted, or could not tell us of changes in the meantime.
  bool are_valid = false;
  /// The session goes on, in the same run of the server: so do the stamps of its grant.
  bool is_same_run = false;
  /// The server's order of then. A reply with a lower one is of before, given once more.
  std::uint64_t order = 0;
};

/// What the server says unasked. Called on the net thread that received it, one at a time, in the
/// order of arrival; what is about the session, on the thread that connects.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  /// The home is shared with another session, or sole again. `acknowledge` is called, from any
  /// thread, when no cache and no grant is relied on any more that the new mode does not allow.
  virtual void on_mode(bool is_shared, std::move_only_function<void()> acknowledge) = 0;
  virtual void on_changed(ChangedEvent event, std::move_only_function<void()> acknowledge) = 0;
  virtual void on_quota(const GrantState& grant) = 0;
  /// A connection is up again after a break. No answer of an earlier one comes from now on, and
  /// none is being worked on.
  virtual void on_reconnected(const Reconnected& caches) = 0;
  /// Before on_session(): the server's machine has lost its power, and with it what was not synced.
  virtual void on_power_lost() = 0;
  /// Before on_reconnected(): whether the session is still the one of before, with its locks. If
  /// not, calls of the session that was lost are failed afterwards.
  virtual void on_session(bool is_same_session) = 0;
  /// The lock request `id`, which was queued, has its lock.
  virtual void on_lock_granted(std::uint64_t id) = 0;
};

class Link {
 public:
  using Done = std::move_only_function<void(Result<InFrame>)>;

  virtual ~Link() = default;

  /// Sends `call`; `done` gets the reply when its status is a success, else an Error with the
  /// reply's status and text. `done` is called exactly once: on the net thread that received the
  /// reply, on the thread that ends the call without one, or before send() returns. Returns a
  /// number for interrupt().
  virtual std::uint64_t send(Call call, Done done) = 0;

  /// The caller of a call does not want to wait any longer: it is answered with kInterrupted now,
  /// unless it was answered already. A call in sequence that may have reached the server still
  /// takes effect.
  virtual void interrupt(std::uint64_t call_number) = 0;

  /// A block of `node` in a reply did not fit its MD5; `attempt` from 1. The caller asks for it
  /// again or gives up; here it is counted and logged.
  virtual void note_damaged_block(NodeId node, std::uint64_t offset, int attempt) = 0;

  /// Grows when the server has lost our session, and with it what it held for us.
  [[nodiscard]] virtual std::uint64_t session_number() { return 1; }

  /// Whether an answer can be hoped for soon.
  [[nodiscard]] virtual bool is_connected() { return true; }

  /// The same as send() for a coroutine.
  Completion<Result<InFrame>> call(Call call);
};

/// The message in a reply; kProtocolError when it is malformed.
template <class Message>
Result<Message> message_of(const InFrame& reply) {
  return decode_all<Message>(reply.bytes());
}

}  // namespace homefs
