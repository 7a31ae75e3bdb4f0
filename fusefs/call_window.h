// The calls of a Link from send() to their answer: which wait, which are under way on which
// connection, which go out again. It decides, and does no I/O itself.
//
// Calls of one lane leave in the order of add(); a call in sequence takes its seq when it first
// leaves, so the order on the wire is the order of the seqs. Writes and fsyncs have numbers of
// their own. After a break the calls of that connection stand at the head of their lane again, with
// the number that they had: by it the server knows what it has done already.
//
// Owner: ServerLink, inside its Guarded state. Executor: under that lock. Blocks: never.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "fusefs/link.h"
#include "protocol/limits.h"

namespace homefs {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Calls that wait for room in the window or for a connection. Programs that wait in the kernel are
/// bounded by the machine's processes, write-behind by its buffers; this bound is for their sum.
inline constexpr std::size_t kCallsWaitingMax = 16384;
/// Calls under way: leaves room for pings and for introductions that are sent ahead.
inline constexpr std::size_t kCallsInFlightMax = kRequestsInFlightMax - 16;
/// A file's data never takes the whole window: a stat must not wait behind 240 MiB.
inline constexpr std::size_t kBulkInFlightMax = kCallsInFlightMax * 3 / 4;

/// One call. Shared by the window and the thread that is sending it.
struct PendingCall {
  std::uint64_t number = 0;
  Call call;
  Link::Done done;  ///< empty: nobody waits any more
  SteadyTime since;
  SteadyTime moved_up;  ///< when one that left before it in its lane was last seen to be answered
  Lane lane = Lane::kControl;

  std::uint64_t seq = 0;  ///< or a number of its kind; 0: has none, or not yet in this session
  std::uint32_t tag = 0;  ///< while it is under way
  std::uint64_t connection = 0;  ///< while it is under way
  std::uint64_t sent_order = 0;  ///< grows with every sending
  int sendings = 0;              ///< in this session; over 0: it may have been applied
  int block_retries = 0;
  bool was_introduced_again = false;
  std::vector<Introduction> introductions;  ///< sent with it
  std::uint64_t incarnation = 0;            ///< that they were sent to
};

using PendingPtr = std::shared_ptr<PendingCall>;

/// Numbers that calls take one after the other, and which of those are answered.
class NumberRow {
 public:
  /// The server remembers a bounded number of them, from the first without an answer on.
  [[nodiscard]] bool is_full() const { return answered_.size() >= kCallsInFlightMax; }
  std::uint64_t take();
  void fill(std::uint64_t number);
  /// All numbers up to this one are answered.
  [[nodiscard]] std::uint64_t done() const { return done_; }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t done_ = 0;
  std::deque<bool> answered_;  // answered_[i]: done_ + 1 + i
};

class CallWindow {
 public:
  /// False when kCallsWaitingMax calls wait already: not taken.
  [[nodiscard]] bool add(PendingPtr call);

  /// The next call of `lane`, from now on under way on `connection` with a tag and, where it is in
  /// sequence, a seq. Null when none waits or the window is full.
  [[nodiscard]] PendingPtr take_next(Lane lane, std::uint64_t connection);
  /// The call that take_next() would look at; null when none waits.
  [[nodiscard]] const PendingCall* front(Lane lane) const {
    return queue(lane).empty() ? nullptr : queue(lane).front().get();
  }
  /// Puts a call of our own under way, past the window: introductions that are sent ahead.
  void put_under_way(const PendingPtr& call, std::uint64_t connection);

  /// The channel did not take what take_next() gave: back to the head of its lane.
  void put_back(const PendingPtr& call);
  /// The answer to `tag` has come on `connection`. Null when no call has that tag.
  [[nodiscard]] PendingPtr take_answered(std::uint32_t tag, std::uint64_t connection);
  /// An answered call is to be sent once more, as a new one: with a new seq.
  void send_again(PendingPtr call);

  /// All calls under way on `connection` wait again.
  void on_break(std::uint64_t connection);
  /// The same of every connection.
  void on_break_all();
  /// The server knows nothing of what was sent: seqs start from 1. Returns calls that must not be
  /// sent twice, since they may have been applied (appends, changes of names, which would now mean
  /// something else), or belong to the session that is lost; the caller fails them.
  [[nodiscard]] std::vector<PendingPtr> on_new_session();

  /// Takes the `done` of a call away; empty when it was answered already. A call that may have
  /// reached the server stays, so that its seq is filled.
  [[nodiscard]] Link::Done abandon(std::uint64_t number);
  /// What has been answered until `now` was all that calls behind it in their lane waited for:
  /// their time begins anew. Answers to calls that left later say nothing of those before: one that
  /// the server never answers is found out. To be called before the next two.
  void note_progress(SteadyTime now);
  /// The same as abandon() for all calls whose time began before `limit`, and that change nothing.
  [[nodiscard]] std::vector<Link::Done> abandon_older_than(SteadyTime limit);
  /// When the time of the change began that has waited longest for its answer.
  [[nodiscard]] std::optional<SteadyTime> oldest_change() const;
  /// Empties the window; returns what waited for an answer.
  [[nodiscard]] std::vector<Link::Done> clear();

  [[nodiscard]] std::uint64_t session_number() const { return session_number_; }
  /// Replies to all seqs up to this one have arrived.
  [[nodiscard]] std::uint64_t seq_done() const { return sequence_.done(); }
  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_[0].size() + waiting_[1].size(); }
  [[nodiscard]] bool is_waiting(Lane lane) const { return !queue(lane).empty(); }
  /// Whether calls wait in `lane` that have been sent on a connection that is broken now.
  [[nodiscard]] bool has_resends(Lane lane) const;
  [[nodiscard]] std::uint64_t waiting_payload_bytes() const;

 private:
  using Queue = std::deque<PendingPtr>;

  [[nodiscard]] Queue& queue(Lane lane) { return waiting_[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] const Queue& queue(Lane lane) const {
    return waiting_[static_cast<std::size_t>(lane)];
  }
  [[nodiscard]] bool has_room(Lane lane) const;
  void leave_under_way(const PendingPtr& call);
  [[nodiscard]] NumberRow* row_of(Op op);
  template <class Function>
  void for_each(Function function) const;
  void drop_abandoned(Queue& calls);
  void wait_again(std::vector<PendingPtr> broken);

  std::array<Queue, 2> waiting_;
  std::unordered_map<std::uint32_t, PendingPtr> under_way_;
  std::size_t bulk_under_way_ = 0;
  std::uint32_t last_tag_ = 0;
  std::uint64_t last_sent_order_ = 0;
  static constexpr std::uint64_t kNoneAnswered = ~std::uint64_t{0};
  /// Of each lane: the lowest sent_order of what was answered since note_progress().
  std::array<std::uint64_t, 2> first_answered_{kNoneAnswered, kNoneAnswered};

  std::uint64_t session_number_ = 1;
  NumberRow sequence_;
  NumberRow writes_;
  NumberRow syncs_;  // of their own: one that takes long must not hold up the writes
};

/// The lane that a call takes: all of the sequence goes over one connection, in order.
[[nodiscard]] Lane lane_of(const Call& call);

}  // namespace homefs
