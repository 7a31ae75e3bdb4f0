#include "server/data_queue.h"

#include <algorithm>
#include <limits>

#include "protocol/codec.h"
#include "protocol/numbered_op.h"

namespace homefs {

std::optional<WrittenRange> written_range(const InFrame& frame) {
  if (frame.header.op != Op::kWrite) return std::nullopt;
  ByteReader in(frame.bytes());
  if (!decode<Introductions>(in)) return std::nullopt;
  const Result<WriteRequest> request = decode<WriteRequest>(in);
  if (!request) return std::nullopt;
  const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - request->offset;
  const std::uint64_t length = std::min<std::uint64_t>(in.rest().size(), room);
  return WrittenRange{request->node, request->offset, request->offset + length};
}

void DataQueue::push(DataJob job) {
  job.number = next_number_++;
  waiting_.push_back(std::move(job));
}

bool DataQueue::exclude_each_other(const FrameHeader& one,
                                   const std::optional<WrittenRange>& its_range,
                                   const DataJob& other) {
  if (its_range && other.range && its_range->overlaps(*other.range)) return true;
  const FrameHeader& header = other.frame.header;
  return is_numbered(one.op) && one.op == header.op && one.seq == header.seq && one.seq != 0;
}

bool DataQueue::may_run(std::size_t position) const {
  const DataJob& job = waiting_[position];
  if (job.is_slow && slow_running_ >= limits_.slow_max) return false;
  if (!job.range && !is_numbered(job.frame.header.op)) return true;
  const auto is_beside = [&job](const Running& other) {
    return exclude_each_other(other.header, other.range, job);
  };
  const auto is_before = [&job](const DataJob& other) {
    return exclude_each_other(other.frame.header, other.range, job);
  };
  return std::ranges::none_of(running_, is_beside) &&
         std::none_of(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(position),
                      is_before);
}

std::optional<DataJob> DataQueue::begin_next(const std::function<bool(const DataJob&)>& is_wanted) {
  if (running_.size() >= limits_.running_max) return std::nullopt;
  for (std::size_t position = 0; position < waiting_.size(); ++position) {
    if (!may_run(position) || !is_wanted(waiting_[position])) continue;
    DataJob job = std::move(waiting_[position]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(position));
    running_.push_back(Running{job.number, job.frame.header, job.range, job.is_slow});
    if (job.is_slow) ++slow_running_;
    return job;
  }
  return std::nullopt;
}

void DataQueue::finish(std::uint64_t number) {
  const auto done = std::ranges::find(running_, number, &Running::number);
  HOMEFS_CHECK(done != running_.end());
  if (done->is_slow) --slow_running_;
  running_.erase(done);
}

}  // namespace homefs
