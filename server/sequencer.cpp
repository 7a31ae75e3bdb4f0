#include "server/sequencer.h"

#include <utility>

namespace homefs {

Sequencer::Sequencer(std::unique_ptr<ReplayRecord> record) : record_(std::move(record)) {
  HOMEFS_CHECK(record_ != nullptr);
}

std::uint64_t Sequencer::last_received() const { return record_->last_applied() + waiting_.size(); }

Result<std::shared_ptr<const Reply>> Sequencer::accept(InFrame frame, std::uint64_t fingerprint,
                                                       ReplyTarget target) {
  const std::uint64_t seq = frame.header.seq;
  if (seq == 0) return fail(Status::kProtocolError, "a change without a seq");
  if (seq <= last_received()) return accept_again(seq, fingerprint, std::move(target));
  if (seq != last_received() + 1) {
    return fail(Status::kSequenceGap, "expected seq " + std::to_string(last_received() + 1) +
                                          ", found " + std::to_string(seq));
  }
  if (seq - record_->last_dropped() > kRequestsInFlightMax) {
    return fail(Status::kProtocolError, "too many changes without an acknowledgement");
  }
  waiting_.push_back(Waiting{std::move(frame), fingerprint, std::move(target)});
  return nullptr;
}

Result<std::shared_ptr<const Reply>> Sequencer::accept_again(std::uint64_t seq,
                                                             std::uint64_t fingerprint,
                                                             ReplyTarget target) {
  if (seq > record_->last_applied()) {
    Waiting& waiting = waiting_[seq - record_->last_applied() - 1];
    if (waiting.fingerprint != fingerprint) {
      return fail(Status::kSequenceConflict, "a seq was used again for another request");
    }
    waiting.target = std::move(target);
    return nullptr;
  }
  Result<std::shared_ptr<const Reply>> reply = record_->find(seq, fingerprint);
  if (!reply) return reply;
  const auto spreading = spreading_.find(seq);
  if (spreading == spreading_.end()) return reply;
  spreading->second = std::move(target);
  return nullptr;
}

Result<void> Sequencer::acknowledge(std::uint64_t seq_done) {
  if (seq_done <= record_->last_dropped()) return {};
  const bool has_them = seq_done <= record_->last_applied() &&
                        (spreading_.empty() || seq_done < spreading_.begin()->first);
  if (!has_them) {
    return fail(Status::kProtocolError, "an acknowledgement of a reply that was not sent");
  }
  record_->drop_through(seq_done);
  return {};
}

const InFrame* Sequencer::next() const {
  return is_begun_ || waiting_.empty() ? nullptr : &waiting_.front().frame;
}

std::optional<InFrame> Sequencer::begin_next() {
  if (next() == nullptr) return std::nullopt;
  const Waiting& waiting = waiting_.front();
  const FrameHeader& header = waiting.frame.header;
  record_->begin(header.seq, waiting.fingerprint, header.op);
  is_begun_ = true;
  return waiting.frame;  // the body is shared
}

std::uint64_t Sequencer::finish(std::shared_ptr<const Reply> reply) {
  HOMEFS_CHECK(is_begun_);
  is_begun_ = false;
  Waiting done = std::move(waiting_.front());
  waiting_.pop_front();
  const std::uint64_t seq = done.frame.header.seq;
  record_->finish(seq, std::move(reply));
  spreading_.emplace(seq, std::move(done.target));
  return seq;
}

ReplyTarget Sequencer::settle(std::uint64_t seq) {
  auto spreading = spreading_.extract(seq);
  HOMEFS_CHECK(!spreading.empty());
  return std::move(spreading.mapped());
}

}  // namespace homefs
