// The file of the side log: lines are appended whole, and the file makes place for a new one when
// it is large. Several processes (a mount, a `homefs put`) may write to one file.
//
// Owner: SideLog. Executor: its thread. Blocks: on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs {

class SideLogFile {
 public:
  struct Limits {
    std::uint64_t bytes_max = std::uint64_t{4} * 1024 * 1024;
    int kept = 3;  ///< older files, transfers.jsonl.1 being the newest of them
  };

  SideLogFile(std::filesystem::path path, Limits limits)
      : path_(std::move(path)), limits_(limits) {}

  /// Appends `lines`, which end with a line's end. Errors: those of the disk; what was not written
  /// is lost.
  Result<> append(std::string_view lines);

 private:
  Result<> reopen_if_replaced();
  void rotate();
  [[nodiscard]] std::filesystem::path older(int number) const;

  const std::filesystem::path path_;
  const Limits limits_;
  UniqueFd file_;
};

}  // namespace homefs
