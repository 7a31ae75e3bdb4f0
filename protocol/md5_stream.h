// MD5 of one message that comes in portions: the digest of a whole file, `user.homefs.md5`.
// One message cannot be spread over lanes, so this runs at the speed of one core's scalar MD5;
// what moves the data is md5_blocks().
//
// Owner: the caller; a plain value. Executor: any one at a time. Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/md5_digest.h"
#include "protocol/md5_scalar.h"

namespace homefs {

/// Copyable: a copy goes on from the same point of the message.
class Md5Stream {
 public:
  /// Adds `data` to the message.
  void update(std::span<const std::byte> data);

  /// The digest of all that was added. The stream stays as it is, and more may be added to it.
  [[nodiscard]] Md5Digest finish() const;

  /// How many bytes were added.
  [[nodiscard]] std::uint64_t message_bytes() const { return message_bytes_; }

 private:
  md5::ScalarState state_ = md5::kInitialState;
  std::uint64_t message_bytes_ = 0;
  std::array<std::byte, md5::kChunkBytes> rest_{};  // the bytes behind the last whole chunk
};

/// The MD5 of `data` alone.
[[nodiscard]] Md5Digest md5_of(std::span<const std::byte> data);

}  // namespace homefs
