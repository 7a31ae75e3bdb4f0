#include "server/data_queue.h"

#include <algorithm>
#include <limits>

#include "protocol/codec.h"

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

bool DataQueue::may_run(std::size_t position) const {
  const DataJob& job = waiting_[position];
  if (job.is_slow && slow_running_ >= limits_.slow_max) return false;
  if (!job.range) return true;
  const auto overlaps = [&job](const auto& other) {
    return other.range && other.range->overlaps(*job.range);
  };
  return std::ranges::none_of(running_, overlaps) &&
         std::none_of(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(position),
                      overlaps);
}

std::optional<DataJob> DataQueue::begin_next(const std::function<bool(const DataJob&)>& is_wanted) {
  if (running_.size() >= limits_.running_max) return std::nullopt;
  for (std::size_t position = 0; position < waiting_.size(); ++position) {
    if (!may_run(position) || !is_wanted(waiting_[position])) continue;
    DataJob job = std::move(waiting_[position]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(position));
    running_.push_back(Running{job.number, job.range, job.is_slow});
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
