#include "protocol/tls_wire_buffer.h"

#include <algorithm>
#include <cstring>

#include "protocol/result.h"

namespace homefs {
namespace {

// A record of a small frame, and what a handshake sends at once.
constexpr std::size_t kFirstBytes = 2048;

SharedBuffer whole_buffer(BufferPool& pool, std::size_t bytes) {
  SharedBuffer buffer = pool.get(bytes);
  buffer->resize(buffer->capacity());
  return buffer;
}

}  // namespace

void WireBuffer::reserve(std::size_t bytes) {
  bytes = std::min(bytes, kBytesMax);
  if (memory_ != nullptr && memory_->capacity() - begin_ >= bytes) return;
  if (memory_ == nullptr) {
    memory_ = whole_buffer(*pool_, std::max(bytes, kFirstBytes));
    return;
  }
  // Twice the size each time: over kSmallBytesMax it is the pool's large block, which fits all.
  SharedBuffer larger = whole_buffer(*pool_, std::max(bytes, 2 * memory_->capacity()));
  std::memcpy(larger->writable().data(), memory_->bytes().data() + begin_, size());
  end_ -= begin_;
  begin_ = 0;
  memory_ = std::move(larger);
}

bool WireBuffer::append(std::span<const std::byte> bytes) {
  if (bytes.size() > kBytesMax - size()) return false;
  reserve(size() + bytes.size());
  std::memcpy(memory_->writable().data() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
  return true;
}

std::span<const std::byte> WireBuffer::bytes() const {
  return memory_ == nullptr ? std::span<const std::byte>()
                            : memory_->bytes().subspan(begin_, size());
}

void WireBuffer::consume(std::size_t count) {
  HOMEFS_CHECK(count <= size());
  begin_ += count;
  if (is_empty()) clear();
}

void WireBuffer::clear() {
  memory_ = nullptr;
  begin_ = end_ = 0;
}

void WireBuffer::swap(WireBuffer& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
}

}  // namespace homefs
