// Makes frames of a stream of bytes: says where the next bytes belong, and hands out the frame
// when they are all there. The bytes of a body go straight into the frame's own buffer.
//
// This is where a frame from the peer is judged by its header alone; what its fields say is judged
// by whoever decodes them.
//
// Owner: the channel's receiving side. Executor: one thread at a time. Blocks: never.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "protocol/buffer.h"
#include "protocol/frame.h"
#include "protocol/limits.h"
#include "protocol/result.h"

namespace homefs {

/// A request without payload, an acknowledgement: a page of fields, or the JSON of a login.
inline constexpr std::size_t kSmallBodyBytesMax = kLoginBodyBytesMax;
static_assert(kSmallBodyBytesMax >= kFieldBytesMax);

class FrameAssembler {
 public:
  /// `from_client`: the peer is the client, who sends requests and acknowledgements.
  FrameAssembler(std::shared_ptr<BufferPool> pool, bool from_client)
      : pool_(std::move(pool)), from_client_(from_client) {}

  /// Where the next bytes go; never empty. Valid until commit().
  [[nodiscard]] std::span<std::byte> wanted();

  /// `count` bytes of wanted() were written. The frame that they complete, if any.
  /// kProtocolError: the header is not one this peer may send now; the stream is useless then.
  Result<std::optional<InFrame>> commit(std::size_t count, std::size_t body_bytes_max);

  /// True between two frames.
  [[nodiscard]] bool is_at_boundary() const { return have_ == 0 && frame_.body == nullptr; }

 private:
  Result<void> begin_body(std::size_t body_bytes_max);

  std::shared_ptr<BufferPool> pool_;
  const bool from_client_;
  FrameHeaderBytes header_bytes_{};
  InFrame frame_;         // its body is null while the header is read
  std::size_t have_ = 0;  // of the header, or of the body
};

}  // namespace homefs
