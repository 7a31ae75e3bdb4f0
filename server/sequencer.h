// The order of a session's changes: which of the requests that arrive is new, which is a resend,
// which is next; and where each reply has to go by the time it is known.
//
// A change is *waiting* until it is begun, *spreading* from when it was applied until the other
// sessions of the home know of it, and then only its reply is kept, in the ReplayRecord. A resend
// in any of these states moves the reply to the connection it came on, and applies nothing.
//
// Owner: the Session. Executor: under the session's lock. Blocks: never.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "protocol/frame.h"
#include "protocol/result.h"
#include "server/replay_record.h"
#include "server/reply_target.h"

namespace homefs {

class Sequencer {
 public:
  explicit Sequencer(std::unique_ptr<ReplayRecord> record);

  /// Takes a change that has arrived; `fingerprint` is fingerprint_of() it. Returns the reply when
  /// there is one already, to be sent to `target`; else null, and the reply follows.
  /// Errors close the connection: kSequenceGap (a seq was skipped), kSequenceConflict (used again
  /// for another change), kProtocolError (no seq, or more than kRequestsInFlightMax unanswered).
  Result<std::shared_ptr<const Reply>> accept(InFrame frame, std::uint64_t fingerprint,
                                              ReplyTarget target);

  /// The client has all replies up to `seq_done`. kProtocolError when it cannot have them.
  Result<void> acknowledge(std::uint64_t seq_done);

  /// The change to apply next, which is then *begun*; none when nothing waits or one is begun.
  std::optional<InFrame> begin_next();
  /// What the begun change came to; it spreads from now on. Returns its seq.
  std::uint64_t finish(std::shared_ptr<const Reply> reply);
  /// The others know of it: where its reply has to go.
  ReplyTarget settle(std::uint64_t seq);

  /// The change that begin_next() would begin, or null.
  [[nodiscard]] const InFrame* next() const;
  [[nodiscard]] std::uint64_t last_applied() const { return record_->last_applied(); }
  /// See ReplayRecord.
  [[nodiscard]] ChangeJournal* journal() { return record_->journal(); }
  [[nodiscard]] WriteLog& writes() { return record_->writes(); }
  [[nodiscard]] WriteLog& syncs() { return record_->syncs(); }
  [[nodiscard]] ForeignChanges& foreign_changes() { return record_->foreign_changes(); }
  void remove_record() { record_->remove(); }
  /// Changes that wait, are begun or spread.
  [[nodiscard]] std::size_t unsettled() const { return waiting_.size() + spreading_.size(); }

 private:
  struct Waiting {
    InFrame frame;
    std::uint64_t fingerprint;
    ReplyTarget target;
  };

  [[nodiscard]] std::uint64_t last_received() const;
  Result<std::shared_ptr<const Reply>> accept_again(std::uint64_t seq, std::uint64_t fingerprint,
                                                    ReplyTarget target);

  std::unique_ptr<ReplayRecord> record_;
  std::deque<Waiting> waiting_;  // seq last_applied() + 1 and on; the first may be begun
  bool is_begun_ = false;
  std::map<std::uint64_t, ReplyTarget> spreading_;  // by seq
};

}  // namespace homefs
