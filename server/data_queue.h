// The requests of a session that run beside each other: data, and whatever takes long. Decides
// which of them may run now.
//
// * At most `running_max` at a time, so that one session never has all threads; of these at most
//   `slow_max` of the slow kind (fsync, digest), so that data passes them.
// * Writes to the same bytes of a node run one after the other, in the order of arrival. Without
//   this a write that waited here while its connection broke could run after its own resend, and
//   after what the client wrote there next.
// * Two of the same number, a request and its resend, run one after the other. Beside its first
//   execution an fsync could find nothing wrong because that one has got the error out of the disk,
//   and has not noted it yet.
//
// Owner: the Session. Executor: under the session's lock. Blocks: never.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "protocol/frame.h"
#include "protocol/ids.h"
#include "server/reply_target.h"

namespace homefs {

/// The bytes of a node that a write replaces.
struct WrittenRange {
  NodeId node{};
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] bool overlaps(const WrittenRange& other) const {
    return node == other.node && begin < other.end && other.begin < end;
  }
};

/// The range of a WRITE's body; none for another operation, or a body that is malformed.
std::optional<WrittenRange> written_range(const InFrame& frame);

struct DataJob {
  InFrame frame;
  ReplyTarget target;
  std::optional<WrittenRange> range;
  bool is_slow = false;
  std::uint64_t number = 0;  ///< given by push()
};

class DataQueue {
 public:
  struct Limits {
    std::size_t running_max = 1;
    std::size_t slow_max = 1;
  };

  explicit DataQueue(Limits limits) : limits_(limits) {}

  void push(DataJob job);
  /// The next job that may run and that `is_wanted` (its connection can take a reply); it counts as
  /// running until finish().
  std::optional<DataJob> begin_next(const std::function<bool(const DataJob&)>& is_wanted);
  std::optional<DataJob> begin_next() {
    return begin_next([](const DataJob&) { return true; });
  }
  void finish(std::uint64_t number);

  [[nodiscard]] std::size_t unfinished() const { return waiting_.size() + running_.size(); }

 private:
  struct Running {
    std::uint64_t number;
    FrameHeader header;
    std::optional<WrittenRange> range;
    bool is_slow;
  };

  [[nodiscard]] static bool exclude_each_other(const FrameHeader& one,
                                               const std::optional<WrittenRange>& its_range,
                                               const DataJob& other);
  [[nodiscard]] bool may_run(std::size_t position) const;

  const Limits limits_;
  std::uint64_t next_number_ = 1;
  std::deque<DataJob> waiting_;  // bounded: connections stop reading at kRequestsInFlightMax
  std::vector<Running> running_;
  std::size_t slow_running_ = 0;
};

}  // namespace homefs
