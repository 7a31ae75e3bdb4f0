// The locks of a session in a mapped file: each change of what an owner holds in a file is put
// behind those of before, by stores to memory; now and then the file is written anew. What is held
// survives a kill of the server and an orderly stop. Made when the session gets its first lock. For
// locks that the disk has no room for, a kill or a stop ends the session.
//
// Owner: HomeLocks while the session is there, or SavedSession. Executor: under the owner's lock.
// Blocks: on the disk at the first lock, and when the file is full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "protocol/result.h"
#include "server/lock_table.h"
#include "server/mapped_file.h"

namespace homefs {

class LockLog final : public LockJournal {
 public:
  /// Of a session without locks. `record`: the file of its SessionRecord, which goes when the disk
  /// has no room for its first lock: then the session ends with this run of the server.
  LockLog(std::filesystem::path file, std::filesystem::path record)
      : path_(std::move(file)), record_(std::move(record)) {}

  /// What an earlier run has left; none is no error. kInvalid when it cannot be trusted.
  Result<std::vector<SavedLock>> load();
  void remove();

  // ---- LockJournal ----
  void changed(std::span<const SavedLock> changes,
               const std::function<std::vector<SavedLock>()>& all) override;

 private:
  struct Header;
  struct Entry;

  [[nodiscard]] Header& header() const;
  [[nodiscard]] Entry* entries() const;
  [[nodiscard]] std::size_t room() const;
  bool append(std::span<const SavedLock> changes);
  Result<void> write_anew(std::span<const SavedLock> all);
  void become_void();

  const std::filesystem::path path_;
  const std::filesystem::path record_;
  std::optional<MappedFile> file_;
  bool is_void_ = false;
};

}  // namespace homefs
