// One daemon a state folder: side log, journal and client id are of one mount at a time.
//
// Owner: the mount command. Executor: the main thread. Blocks: on the disk.
#pragma once

#include <filesystem>
#include <string>

#include "config/client_paths.h"
#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class StateLock {
 public:
  /// Locks the state folder `name`. Errors: kBusy when another daemon has it.
  static Result<StateLock> acquire(const ClientPaths& paths, const std::string& name);
  /// The first of "name", "name-2", ... that is free: the same home may be mounted twice.
  static Result<StateLock> acquire_any(const ClientPaths& paths, const std::string& name);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  StateLock(UniqueFd file, std::string name, std::filesystem::path folder)
      : file_(std::move(file)), name_(std::move(name)), folder_(std::move(folder)) {}

  UniqueFd file_;  // the lock goes with it
  std::string name_;
  std::filesystem::path folder_;
};

}  // namespace homefs
