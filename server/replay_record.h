// What a session remembers of the changes it has applied, so that each takes effect exactly once
// however often it is sent: the highest seq applied, and the replies the client may not have yet.
//
// An interface, so that the record can live in a mapped file and survive a kill of the server:
// begin() is the intent, durable before the change; finish() the outcome, after it.
//
// Owner: the session's Sequencer. Executor: under the session's lock. Blocks: never.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "protocol/frame.h"
#include "protocol/limits.h"
#include "protocol/result.h"
#include "server/request.h"

namespace homefs {

/// A hash of what a change asks for: its operation and its body without the introductions, which
/// differ between a request and its resend. Finds mistakes of a client, not forgeries: whoever
/// could forge has the session anyway.
std::uint64_t fingerprint_of(Op op, std::span<const std::byte> body);

/// All that a record knows.
struct ReplayState {
  struct Applied {
    std::uint64_t fingerprint = 0;
    std::shared_ptr<const Reply> reply;  // owners: the record, and the sending of the reply

    bool operator==(const Applied& other) const {
      return fingerprint == other.fingerprint && reply->status == other.reply->status &&
             reply->fields == other.reply->fields;
    }
  };

  std::uint64_t last_dropped = 0;
  std::deque<Applied> kept;  ///< of seq last_dropped + 1 and on, to the last that was applied

  bool operator==(const ReplayState&) const = default;
};

class ReplayRecord {
 public:
  virtual ~ReplayRecord() = default;

  /// The highest seq that took effect; 0 before the first.
  [[nodiscard]] virtual std::uint64_t last_applied() const = 0;
  /// The highest seq whose reply is dropped: the client has it.
  [[nodiscard]] virtual std::uint64_t last_dropped() const = 0;

  /// The next change is about to be applied. Precondition: seq == last_applied() + 1, and at most
  /// kRequestsInFlightMax replies are kept.
  virtual void begin(std::uint64_t seq, std::uint64_t fingerprint) = 0;
  /// It was applied, or refused for good. Precondition: follows begin() of the same seq.
  virtual void finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) = 0;

  /// The reply to a change that was applied. kSequenceConflict when it was another change, or one
  /// whose reply the client has said it has. Precondition: 1 <= seq <= last_applied().
  [[nodiscard]] virtual Result<std::shared_ptr<const Reply>> find(
      std::uint64_t seq, std::uint64_t fingerprint) const = 0;

  /// The client has the replies up to `seq`. Precondition: seq <= last_applied().
  virtual void drop_through(std::uint64_t seq) = 0;

  /// For a restart of the server. Precondition: nothing is begun.
  [[nodiscard]] virtual ReplayState state() const = 0;
};

/// In memory: lost with a process that is killed.
class MemoryReplayRecord final : public ReplayRecord {
 public:
  MemoryReplayRecord() = default;
  explicit MemoryReplayRecord(ReplayState state) : state_(std::move(state)) {}

  [[nodiscard]] std::uint64_t last_applied() const override {
    return state_.last_dropped + state_.kept.size();
  }
  [[nodiscard]] std::uint64_t last_dropped() const override { return state_.last_dropped; }
  void begin(std::uint64_t seq, std::uint64_t fingerprint) override;
  void finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) override;
  [[nodiscard]] Result<std::shared_ptr<const Reply>> find(std::uint64_t seq,
                                                          std::uint64_t fingerprint) const override;
  void drop_through(std::uint64_t seq) override;
  [[nodiscard]] ReplayState state() const override;

 private:
  ReplayState state_;
  std::uint64_t begun_fingerprint_ = 0;
  bool is_begun_ = false;
};

}  // namespace homefs
