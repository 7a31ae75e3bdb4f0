// SharedName: a name that is kept once and referred to from many places, in 8 bytes each: a folder
// of the cache and the node that the name leads to have the same one.
//
// The count is not atomic. Owner: ClientState. Executor: whoever holds the state's lock; a copy
// that leaves it is a std::string. Blocks: never.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace homefs {

class SharedName {
 public:
  SharedName() = default;
  explicit SharedName(std::string_view text) {
    if (text.empty()) return;
    block_ = new (::operator new(std::max(sizeof(Block), offsetof(Block, text) + text.size())))
        Block{.count = 1, .length = static_cast<std::uint16_t>(text.size()), .text = {}};
    std::memcpy(block_->text, text.data(), text.size());
  }
  SharedName(const SharedName& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->count;
  }
  SharedName(SharedName&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedName& operator=(SharedName other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedName() {
    if (block_ != nullptr && --block_->count == 0) ::operator delete(block_);
  }

  [[nodiscard]] std::string_view view() const {
    return block_ == nullptr ? std::string_view() : std::string_view(block_->text, block_->length);
  }
  [[nodiscard]] std::string text() const { return std::string(view()); }
  [[nodiscard]] bool empty() const { return block_ == nullptr; }

 private:
  // In one piece with its text, which is up to 64 KiB: the target of a symlink is the longest.
  struct Block {
    std::uint32_t count;
    std::uint16_t length;
    char text[1];
  };
  Block* block_ = nullptr;
};

inline bool operator==(const SharedName& a, std::string_view b) { return a.view() == b; }

/// Looks a name up by its text.
struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
  std::size_t operator()(const SharedName& name) const { return (*this)(name.view()); }
};
struct NameEqual {
  using is_transparent = void;
  bool operator()(const SharedName& a, const SharedName& b) const { return a.view() == b.view(); }
  bool operator()(const SharedName& a, std::string_view b) const { return a.view() == b; }
  bool operator()(std::string_view a, const SharedName& b) const { return a == b.view(); }
};

}  // namespace homefs
