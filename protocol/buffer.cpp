#include "protocol/buffer.h"

#include <cstdlib>
#include <new>

#include "protocol/result.h"

namespace homefs {
namespace {

constexpr std::size_t kPageBytes = 4096;

std::byte* allocate(std::size_t bytes) {
  void* memory = bytes >= BufferPool::kLargeBytes ? std::aligned_alloc(kPageBytes, bytes)
                                                  : std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

std::size_t page_multiple(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

Buffer::Buffer(std::size_t bytes)
    : memory_(allocate(bytes >= BufferPool::kLargeBytes ? page_multiple(bytes) : bytes)),
      capacity_(bytes),
      size_(bytes) {}

Buffer::Buffer(std::byte* memory, std::size_t capacity, std::size_t bytes,
               std::shared_ptr<BufferPool> pool)
    : memory_(memory), capacity_(capacity), size_(bytes), pool_(std::move(pool)) {}

Buffer::~Buffer() {
  if (pool_ != nullptr) {
    pool_->put_back(memory_);
  } else {
    std::free(memory_);
  }
}

void Buffer::resize(std::size_t bytes) {
  HOMEFS_CHECK(bytes <= capacity_);
  size_ = bytes;
}

std::shared_ptr<BufferPool> BufferPool::make(std::size_t kept_max) {
  return std::shared_ptr<BufferPool>(new BufferPool(kept_max));
}

BufferPool::~BufferPool() {
  for (std::byte* memory : unused_) std::free(memory);
}

SharedBuffer BufferPool::get(std::size_t bytes) {
  if (bytes <= kSmallBytesMax || bytes > kLargeBytes) return std::make_shared<Buffer>(bytes);
  std::byte* memory = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!unused_.empty()) {
      memory = unused_.back();
      unused_.pop_back();
    }
  }
  if (memory == nullptr) memory = allocate(kLargeBytes);
  return SharedBuffer(new Buffer(memory, kLargeBytes, bytes, shared_from_this()));
}

void BufferPool::put_back(std::byte* memory) {
  {
    const std::lock_guard lock(mutex_);
    if (unused_.size() < kept_max_) {
      unused_.push_back(memory);
      return;
    }
  }
  std::free(memory);
}

}  // namespace homefs
