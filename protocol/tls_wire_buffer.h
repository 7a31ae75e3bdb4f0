// Bytes on their way to the socket: TLS records are appended, send(2) takes from the front.
// Holds memory only while it holds bytes, so that an idle connection costs none.
//
// Owner: TlsStream and the channel's sending side. Executor: one thread at a time. Blocks: never.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "protocol/buffer.h"

namespace homefs {

class WireBuffer {
 public:
  explicit WireBuffer(std::shared_ptr<BufferPool> pool) : pool_(std::move(pool)) {}
  WireBuffer(const WireBuffer&) = delete;
  WireBuffer& operator=(const WireBuffer&) = delete;

  /// Makes room for `bytes` in all (at most kBytesMax), ahead of many appends.
  void reserve(std::size_t bytes);
  /// False, and nothing appended, when that would be over kBytesMax.
  [[nodiscard]] bool append(std::span<const std::byte> bytes);
  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// Drops `count` bytes from the front.
  void consume(std::size_t count);
  void clear();
  void swap(WireBuffer& other) noexcept;

  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool is_empty() const { return begin_ == end_; }

  static constexpr std::size_t kBytesMax = 512 * 1024;

 private:
  std::shared_ptr<BufferPool> pool_;  // owners: the channel's maker, its channels and buffers
  SharedBuffer memory_;               // null while empty
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace homefs
