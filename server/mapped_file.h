// A file that is memory: what is stored in it survives the end of the process, however that comes,
// without a system call. It does not survive the loss of power.
//
// The disk's blocks are allocated before they are stored to, since a store that finds the disk full
// would end the process.
//
// Owner: whoever holds it. Executor: one thread at a time, for the bytes as their owner says.
// Blocks: on the disk, but for bytes().
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "protocol/result.h"

namespace homefs {

class MappedFile {
 public:
  /// Makes the file (mode 0600) with `bytes` of zeros, or replaces the one that is there. It may
  /// grow to `bytes_max`. kNoSpace and others of the disk.
  static Result<MappedFile> make(const std::filesystem::path& file, std::size_t bytes,
                                 std::size_t bytes_max);
  /// One that exists. kInvalid when it is larger than `bytes_max`, or no file.
  static Result<MappedFile> open(const std::filesystem::path& file, std::size_t bytes_max);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  /// Stays where it is in memory when the file grows.
  [[nodiscard]] std::span<std::byte> bytes() const { return {begin_, bytes_}; }
  /// What is new is zeros. Precondition: `bytes` is not less than now, not over bytes_max.
  Result<void> grow(std::size_t bytes);
  /// Takes its name away; the memory stays until the object goes.
  void remove();
  /// From now on it has this name, in the same folder; one that is there is replaced.
  Result<void> rename(const std::filesystem::path& file);

 private:
  MappedFile(std::filesystem::path file, std::byte* begin, std::size_t bytes, std::size_t bytes_max)
      : file_(std::move(file)), begin_(begin), bytes_(bytes), bytes_max_(bytes_max) {}
  void unmap();

  std::filesystem::path file_;
  std::byte* begin_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t bytes_max_ = 0;
};

}  // namespace homefs
