// Reading and replacing small text files: configuration, accounts, profiles, tokens.
//
// A file is replaced whole or not at all, also across a power cut: a temporary file in the same
// folder, fsync, rename, fsync of the folder. Writers that read first take a FileLock, so that none
// of them loses another's change.
//
// Executor: thread-safe (no state). Blocks: on the disk; FileLock on other processes, for at most
// kFileLockWait.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "config/owned_fd.h"
#include "protocol/result.h"

namespace homefs {

/// Tells one state of a file from the next, without reading it.
struct FileVersion {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::chrono::nanoseconds modified{};  ///< Since the epoch.
  std::chrono::nanoseconds changed{};   ///< Since the epoch; also moves where mtime was set back.

  bool operator==(const FileVersion&) const = default;
};

struct TextFile {
  std::string text;
  FileVersion version;
  mode_t mode = 0;  ///< The permission bits.
  uid_t uid = 0;
};

/// The whole file. Errors: those of open and read; kInvalid if it is no regular file; kTooBig over
/// `bytes_max`.
[[nodiscard]] Result<TextFile> read_text_file(const std::filesystem::path& path,
                                              std::size_t bytes_max);

/// The version of the file as it is now. Errors: those of stat.
[[nodiscard]] Result<FileVersion> file_version(const std::filesystem::path& path);

/// Replaces the file by one with `text`. An existing file keeps its mode, owner and group (a group
/// that cannot be kept loses its rights); a new one gets `mode`, and the folder's owner if we are
/// root. A symlink is followed: its target is replaced. On an error the old file is untouched.
[[nodiscard]] Result<> replace_text_file(const std::filesystem::path& path, std::string_view text,
                                         mode_t mode);

inline constexpr std::chrono::seconds kFileLockWait{10};

/// Holds "<path>.lock" against all other processes and threads, until destroyed. The lock file is
/// left behind: removing it would let two writers hold two different ones.
class FileLock {
 public:
  /// Errors: those of open; kTimedOut if somebody else holds it for kFileLockWait.
  [[nodiscard]] static Result<FileLock> acquire(const std::filesystem::path& path);

 private:
  explicit FileLock(OwnedFd fd) : fd_(std::move(fd)) {}

  OwnedFd fd_;
};

/// Load, modify, save under the FileLock: calls `change` with the file's text ("" if there is no
/// file) and replaces the file by the text it returns, unless that is the same.
/// Errors: those of the above, and of `change` (then nothing is written).
[[nodiscard]] Result<> edit_text_file(
    const std::filesystem::path& path, std::size_t bytes_max, mode_t mode_if_new,
    const std::function<Result<std::string>(const std::string& text)>& change);

}  // namespace homefs
