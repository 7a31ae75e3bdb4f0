// The server's data folder: made at the first start, and held by one server at a time.
//
// Owner: the server. Executor: one thread. Blocks: on the disk, never on another server.
#pragma once

#include <filesystem>

#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class DataFolder {
 public:
  /// Makes `folder` (mode 0700) where it is missing, and locks it.
  /// Errors: kBusy when another server has it; kAccessDenied and others of the file system.
  static Result<DataFolder> open(const std::filesystem::path& folder);

  /// Makes the folder where it is missing, and does not lock it. For the command line.
  static Result<void> make(const std::filesystem::path& folder);
  /// kNotPermitted, with what to do, when the folder is another user's: files that root makes in
  /// there the server could not use afterwards.
  static Result<void> check_owner(const std::filesystem::path& folder);

 private:
  explicit DataFolder(UniqueFd lock) : lock_(std::move(lock)) {}

  UniqueFd lock_;
};

}  // namespace homefs
