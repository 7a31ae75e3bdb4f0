// Memory for frames: blocks of one size that are used again and again, and shared views into them.
//
// A 1 MiB malloc is an mmap, and touching it again costs 256 page faults (about 0.1 ms, as much as
// encrypting it); hence the pool for large bodies. Small bodies come from malloc.
//
// Owner: whoever holds the SharedBuffer. Executor: thread-safe (a Buffer's bytes are written by
// its one maker before it is shared, and are immutable then). Blocks: never.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace homefs {

class BufferPool;

/// Bytes with a capacity. Non-copyable; the memory goes back to its pool.
class Buffer {
 public:
  /// A buffer outside every pool.
  explicit Buffer(std::size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] std::span<std::byte> writable() { return {memory_, size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {memory_, size_}; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  /// Precondition: bytes <= capacity().
  void resize(std::size_t bytes);

 private:
  friend class BufferPool;
  Buffer(std::byte* memory, std::size_t capacity, std::size_t bytes,
         std::shared_ptr<BufferPool> pool);

  std::byte* memory_;
  std::size_t capacity_;
  std::size_t size_;
  std::shared_ptr<BufferPool> pool_;  // null: malloc's; owners: the pool's maker and its buffers
};

using SharedBuffer = std::shared_ptr<Buffer>;

/// Part of a buffer, kept alive by it.
struct Slice {
  SharedBuffer owner;
  std::span<const std::byte> bytes;

  [[nodiscard]] Slice subslice(std::size_t offset, std::size_t count) const {
    return {owner, bytes.subspan(offset, count)};
  }
};

/// A whole buffer as a slice.
inline Slice slice_of(const SharedBuffer& buffer) { return {buffer, buffer->bytes()}; }

class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  /// Keeps up to `kept_max` unused large buffers (each kLargeBytes).
  static std::shared_ptr<BufferPool> make(std::size_t kept_max);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// A buffer of `bytes`, its contents undefined. Over kSmallBytesMax it is a large one of the
  /// pool; over kLargeBytes it is malloc's.
  SharedBuffer get(std::size_t bytes);

  /// A FUSE request of 1 MiB with its header (1 MiB + 4 KiB), or a frame's body; page multiple.
  static constexpr std::size_t kLargeBytes = 1024 * 1024 + 8192;
  /// Up to here malloc serves from its own arenas without mmap (its threshold is 128 KiB).
  static constexpr std::size_t kSmallBytesMax = 64 * 1024;

 private:
  friend class Buffer;
  explicit BufferPool(std::size_t kept_max) : kept_max_(kept_max) {}
  void put_back(std::byte* memory);

  const std::size_t kept_max_;
  std::mutex mutex_;
  std::vector<std::byte*> unused_;  // guarded by mutex_
};

}  // namespace homefs
