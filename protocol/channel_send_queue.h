// The frames a channel has yet to send, as the plaintext of TLS records: full records as long as
// there is enough, whatever the sizes of the frames. Small frames and the heads of large ones are
// gathered in one record; large payload is encrypted from where it lies.
//
// Owner: the channel, behind its lock. Executor: one thread at a time. Blocks: never.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>

#include "protocol/frame.h"

namespace homefs {

class ChannelSendQueue {
 public:
  /// Precondition: a body of at most kBodyBytesMax. Fills in header.body_bytes.
  void push(OutFrame&& frame);

  /// The next plaintext, at most one record; the same until consume(). Empty when all is taken.
  [[nodiscard]] std::span<const std::byte> next();
  /// `count` bytes of next() were encrypted.
  void consume(std::size_t count);

  void clear();
  /// Bytes of all frames, with their headers, that were not consumed.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Item {
    FrameHeaderBytes header;
    OutFrame frame;
    std::size_t part = 0;    // 0 header, 1 fields, 2.. payload
    std::size_t offset = 0;  // in that part
  };

  std::span<const std::byte> front_part();
  void advance(std::size_t count);
  void stage();

  std::deque<Item> items_;
  std::size_t bytes_ = 0;
  std::unique_ptr<std::byte[]> staged_;  // gathered plaintext; null when there is none
  std::size_t staged_begin_ = 0;
  std::size_t staged_end_ = 0;
};

}  // namespace homefs
