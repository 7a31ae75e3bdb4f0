// WriteQueue: the writes of one file that a program has done and the server has not acknowledged.
//
// Segments are sent in the background, several at once; two that overlap are never under way
// together, so the server's order of arrival does not matter. Small writes that follow each other
// are joined: the last segment is held back until it is full, somebody waits for it, or
// stop_holding() says that it has been long enough. An error stays until everybody who has the file
// open was told of it.
//
// Pure state: it sends nothing itself. Owner: FileData. Executor: whoever holds the state's lock.
// Blocks: never.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "fusefs/error_sequence.h"
#include "protocol/buffer.h"
#include "protocol/result.h"

namespace homefs {

/// One WRITE request to be: bytes of the file at `offset`.
struct WriteSegment {
  std::uint64_t number = 0;  ///< in the order of arrival, from 1
  std::uint64_t offset = 0;
  Slice data;
  std::uint64_t growth = 0;  ///< what of the quota's grant is taken for it
  bool is_growing = false;   ///< it was seen to extend the file
  bool is_sent = false;
  bool is_joinable = false;  ///< its buffer is ours alone, so more can be put behind the data
  bool is_append = false;    ///< of O_APPEND: `offset` is the end that we knew when it was written
  bool is_moved = false;     ///< the file has another end by now: it goes there, wherever that is
  std::uint64_t page_order = 0;  ///< not 0: a page that is written back, see WriteRequest
  std::uint64_t session = 0;     ///< see FileLocks::session_for()
  std::vector<std::move_only_function<void(Result<>)>> waiters;  ///< told of its own end

  [[nodiscard]] std::uint64_t end() const { return offset + data.bytes.size(); }
};

class WriteQueue {
 public:
  /// Joined writes grow to this: enough to be efficient on the wire, little enough to be copied.
  static constexpr std::size_t kJoinedBytesMax = 256 * 1024;
  /// Segments of one file on the wire at once; the rest of the window is other files'.
  static constexpr std::size_t kSentMax = 16;

  [[nodiscard]] bool is_dirty() const { return !segments_.empty(); }
  /// Somebody waits for each of the writes: no program believes that it has done one.
  [[nodiscard]] bool is_awaited() const;
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// The end of the furthest write that is not acknowledged and may make the file longer, where its
  /// place is known; 0 when there is none.
  [[nodiscard]] std::uint64_t end() const;
  [[nodiscard]] bool overlaps(std::uint64_t offset, std::uint64_t length) const;

  /// Appends the bytes to the last segment when they follow it, it is not sent and there is room.
  /// False: nothing was done, use push().
  bool join(std::uint64_t offset, std::span<const std::byte> bytes, std::uint64_t growth,
            bool is_append = false, std::uint64_t page_order = 0, std::uint64_t session = 0);
  /// The reference is good until the next call.
  WriteSegment& push(std::uint64_t offset, Slice data, std::uint64_t growth, bool is_joinable,
                     bool is_append = false, std::uint64_t page_order = 0);

  /// What one WRITE request needs.
  struct Outgoing {
    std::uint64_t number = 0;
    std::uint64_t offset = 0;
    Slice data;
    bool is_alone = false;     ///< no other write of the file waits or is under way
    bool is_append = false;    ///< see WriteSegment
    bool is_moved = false;     ///< likewise
    bool is_buffered = false;  ///< nobody waits for it: its program was told that it is done
    /// What is taken of the grant for all writes that are not acknowledged: one that arrives before
    /// those in front of it makes the file longer by their bytes as well.
    std::uint64_t growth = 0;
    std::uint64_t page_order = 0;
    std::uint64_t session = 0;  ///< see WriteSegment
  };
  /// The next segment that may be sent now, marked as sent; nothing when there is none.
  std::optional<Outgoing> next_to_send();
  /// The last segment waits for more, and for nothing else.
  [[nodiscard]] bool is_holding() const;
  /// What is held back may be sent, as it is.
  void stop_holding();

  struct Finished {
    std::uint64_t growth = 0;
    std::uint64_t offset = 0;
    Slice data;
    bool is_page = false;
    std::vector<std::move_only_function<void()>> wake;  ///< to be called without the lock
  };
  /// The server has answered for segment `number`. An error is kept, unless the writer of the
  /// segment itself waits for it.
  Finished finish(std::uint64_t number, const Result<>& result);

  /// The server has refused segment `number`, since another session has changed the file. True: it
  /// was appended, and is sent again for the end of the file, as are the appends behind it: one by
  /// one, so that they keep their order.
  bool move_to_end(std::uint64_t number);

  /// `wake` is called when every write that is in the queue now is answered for. False: there is
  /// none, and `wake` is not kept.
  bool when_drained(std::move_only_function<void()>& wake);

  /// What failed about the file that nobody waited for.
  [[nodiscard]] ErrorSequence& errors() { return errors_; }

 private:
  [[nodiscard]] std::uint64_t growth() const;

  struct DrainWaiter {
    std::uint64_t up_to = 0;  // segment number
    std::move_only_function<void()> wake;
  };

  std::deque<WriteSegment> segments_;  // by number
  std::vector<DrainWaiter> drain_waiters_;
  ErrorSequence errors_;
  std::size_t bytes_ = 0;
  std::size_t sent_ = 0;
  std::uint64_t next_number_ = 1;
};

}  // namespace homefs
