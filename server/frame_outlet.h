// The frames that leave over one connection: in the order in which they were put, also where the
// channel has no room for a while, and held back altogether until the reply to the login is there.
//
// What is parked is bounded by its users: nobody begins a request for a congested connection, and
// a connection that is congested reads no further requests.
//
// Owner: the Connection. Executor: thread-safe. Blocks: never.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "protocol/channel.h"
#include "protocol/frame.h"
#include "server/request.h"

namespace homefs {

/// The frame that answers `request`.
OutFrame make_reply_frame(const FrameHeader& request, const Reply& reply);

class FrameOutlet {
 public:
  FrameOutlet() = default;
  FrameOutlet(const FrameOutlet&) = delete;
  FrameOutlet& operator=(const FrameOutlet&) = delete;

  /// Once, before anything is put.
  void set_channel(std::shared_ptr<Channel> channel) { channel_ = std::move(channel); }

  void put(OutFrame frame);
  /// From now on frames wait for release_with().
  void hold();
  /// `first` leaves, and then what was held back.
  void release_with(OutFrame first);

  /// For Channel's on_send_space. True when nothing is parked any more.
  bool on_send_space();
  /// The channel refused a frame, and has not taken it yet.
  [[nodiscard]] bool is_congested() const;
  /// Takes no more frames; when those that it has are with the channel, close_after_flush(why) of
  /// that. While it is congested at once: then the channel's own queue is long enough to wait for.
  /// Idempotent: the first error wins.
  void end(const Error& why);
  /// The connection is gone: drops what is parked.
  void close();

 private:
  void flush(std::unique_lock<std::mutex> lock);

  std::shared_ptr<Channel> channel_;  // owners: this, and its own I/O
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::deque<OutFrame> parked_;
  bool is_flushing_ = false;
  bool is_space_new_ = false;  // on_send_space came while flushing
  bool is_refused_ = false;    // on_send_space will come
  bool is_held_ = false;
  bool is_closed_ = false;
  std::optional<Error> end_;  // nothing more is taken
};

}  // namespace homefs
