// What a session remembers of the changes it has applied, so that each takes effect exactly once
// however often it is sent: the highest seq applied, and the replies the client may not have yet.
//
// An interface: SessionRecord keeps it in a mapped file, so that it survives the process;
// MemoryReplayRecord does not.
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
#include "server/foreign_changes.h"
#include "server/request.h"
#include "server/write_log.h"

namespace homefs {

class ChangeJournal;

/// A hash of what a change asks for: its operation and its body without the introductions, which
/// differ between a request and its resend. Finds mistakes of a client, not forgeries: whoever
/// could forge has the session anyway.
std::uint64_t fingerprint_of(Op op, std::span<const std::byte> body);

/// All that a record knows.
struct ReplayState {
  struct Applied {
    std::uint64_t fingerprint = 0;
    std::shared_ptr<const Reply> reply;  // owners: the record, and the sending of the reply
  };

  std::uint64_t last_dropped = 0;
  std::deque<Applied> kept;  ///< of seq last_dropped + 1 and on, to the last that was applied
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
  virtual void begin(std::uint64_t seq, std::uint64_t fingerprint, Op op) = 0;
  /// It was applied, or refused for good. Precondition: follows begin() of the same seq.
  virtual void finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) = 0;

  /// The reply to a change that was applied. kSequenceConflict when it was another change, or one
  /// whose reply the client has said it has. Precondition: 1 <= seq <= last_applied().
  [[nodiscard]] virtual Result<std::shared_ptr<const Reply>> find(
      std::uint64_t seq, std::uint64_t fingerprint) const = 0;

  /// The client has the replies up to `seq`. Precondition: seq <= last_applied().
  virtual void drop_through(std::uint64_t seq) = 0;

  /// Where the change that is begun writes down what it does; null: nowhere.
  [[nodiscard]] virtual ChangeJournal* journal() { return nullptr; }
  /// What became of its writes. Outlives every thread that works for the session.
  [[nodiscard]] virtual WriteLog& writes() = 0;
  /// The same of its fsyncs.
  [[nodiscard]] virtual WriteLog& syncs() = 0;
  /// What others have changed while the session was late. Outlives every thread that works for it.
  [[nodiscard]] virtual ForeignChanges& foreign_changes() = 0;
  /// The session is over: nothing is left for a later run of the server.
  virtual void remove() {}
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
  void begin(std::uint64_t seq, std::uint64_t fingerprint, Op op) override;
  void finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) override;
  [[nodiscard]] Result<std::shared_ptr<const Reply>> find(std::uint64_t seq,
                                                          std::uint64_t fingerprint) const override;
  void drop_through(std::uint64_t seq) override;
  [[nodiscard]] WriteLog& writes() override { return writes_; }
  [[nodiscard]] WriteLog& syncs() override { return syncs_; }
  [[nodiscard]] ForeignChanges& foreign_changes() override;

 private:
  ReplayState state_;
  std::unique_ptr<WriteSlots> write_slots_ = std::make_unique<WriteSlots>();
  std::unique_ptr<WriteSlots> sync_slots_ = std::make_unique<WriteSlots>();
  WriteLog writes_{*write_slots_};
  WriteLog syncs_{*sync_slots_};
  struct Foreign {
    std::uint64_t state = 0;
    ForeignNotes notes{};
    ForeignChanges changes{state, notes};
  };
  std::unique_ptr<Foreign> foreign_;  // from when it is asked for
  std::uint64_t begun_fingerprint_ = 0;
  bool is_begun_ = false;
};

}  // namespace homefs
