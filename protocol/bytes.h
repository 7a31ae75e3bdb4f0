// Bounded cursors over bytes, little-endian: the only way the code reads or writes the wire.
//
// A cursor that would pass its end does nothing, and is not ok from then on: a decoder reads all
// its fields and asks once at the end. Executor: one thread. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace homefs {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  std::uint8_t get_u8() { return get<std::uint8_t>(); }
  std::uint16_t get_u16() { return get<std::uint16_t>(); }
  std::uint32_t get_u32() { return get<std::uint32_t>(); }
  std::uint64_t get_u64() { return get<std::uint64_t>(); }
  /// `count` bytes, or none when fewer are left.
  std::span<const std::byte> get_bytes(std::size_t count) {
    if (count > rest_.size()) {
      set_bad();
      return {};
    }
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  /// What has not been read yet.
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }
  [[nodiscard]] bool is_ok() const { return is_ok_; }
  void set_bad() {
    is_ok_ = false;
    rest_ = {};
  }

 private:
  template <class T>
  T get() {
    const auto bytes = get_bytes(sizeof(T));
    T value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value = static_cast<T>(value | static_cast<T>(std::to_integer<T>(bytes[i]) << (8 * i)));
    }
    return value;
  }

  std::span<const std::byte> rest_;
  bool is_ok_ = true;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::byte> bytes) : bytes_(bytes) {}

  void put_u8(std::uint8_t value) { put<std::uint8_t>(value); }
  void put_u16(std::uint16_t value) { put(value); }
  void put_u32(std::uint32_t value) { put(value); }
  void put_u64(std::uint64_t value) { put(value); }
  void put_bytes(std::span<const std::byte> bytes) {
    if (!is_ok_ || bytes.size() > bytes_.size() - written_) {
      is_ok_ = false;
      return;
    }
    if (!bytes.empty()) std::memcpy(bytes_.data() + written_, bytes.data(), bytes.size());
    written_ += bytes.size();
  }
  [[nodiscard]] std::size_t written() const { return written_; }
  [[nodiscard]] std::size_t left() const { return is_ok_ ? bytes_.size() - written_ : 0; }
  [[nodiscard]] bool is_ok() const { return is_ok_; }

 private:
  template <class T>
  void put(T value) {
    std::byte bytes[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes[i] = static_cast<std::byte>((value >> (8 * i)) & 0xff);
    }
    put_bytes(bytes);
  }

  std::span<std::byte> bytes_;
  std::size_t written_ = 0;
  bool is_ok_ = true;
};

}  // namespace homefs
