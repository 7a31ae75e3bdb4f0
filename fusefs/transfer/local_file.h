// A file of the local disk: read and written by offset, hashed by blocks.
//
// Executor: the calling thread. Blocks: on the disk.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "protocol/attributes.h"
#include "protocol/md5_digest.h"
#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class LocalFile {
 public:
  /// A regular file, not through a symlink. Errors: those of open(2); kInvalid for another kind.
  static Result<LocalFile> open_to_read(const std::filesystem::path& path);
  /// The partial file of a get: made with mode 0600, or the one that is there. Locked against other
  /// processes. Errors: kBusy when one has it.
  static Result<LocalFile> open_partial(const std::filesystem::path& path);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  Result<struct stat> stat() const;
  /// The same, a tick of the clock later if it was changed in this one: any change that follows
  /// shows in its times.
  Result<struct stat> settled_stat() const;
  /// Fewer bytes only at the end of the file.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> buffer) const;
  Result<> write_at(std::uint64_t offset, std::span<const std::byte> data) const;
  Result<> truncate(std::uint64_t size) const;
  /// The MD5 of each block in [offset, offset + length), which begins with a block.
  Result<std::vector<Md5Digest>> digests(std::uint64_t offset, std::uint64_t length) const;
  Result<Md5Digest> whole_digest() const;
  /// Sets mode and times, and gives it its name, replacing what has it.
  Result<> publish(const Attributes& attributes, const std::filesystem::path& name) const;

 private:
  LocalFile(UniqueFd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::filesystem::path path_;
};

/// Sets mode (not of a symlink) and times of what is at `path`.
Result<> set_local_attributes(const std::filesystem::path& path, const Attributes& attributes);

}  // namespace homefs
