// The folder where sessions outlive the process: a SessionRecord each, and a LockLog where there
// are locks. The same files serve an orderly stop and a kill; what differs is only whether they are
// still true when the machine has gone down: after an orderly stop they are.
//
// Owner: the server. Executor: thread-safe. Blocks: on the disk.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "protocol/result.h"
#include "server/saved_session.h"
#include "server/session_record.h"

namespace homefs {

/// What is still in memory of the file system of `folder` reaches the disk. Errors: those of the
/// disk, also of what was written before.
Result<void> sync_file_system(const std::filesystem::path& folder);

class SessionStore {
 public:
  /// Makes the folder where it is missing. Errors: those of the disk.
  static Result<SessionStore> open(std::filesystem::path folder);

  /// Names this run of the machine.
  [[nodiscard]] const std::string& boot() const { return boot_; }

  /// The sessions of the last run, once. Those that cannot be trusted are deleted. One that the
  /// disk does not give is over, and its files are set aside for the administrator (".unreadable").
  /// Errors: the process has no descriptor or memory for them, or the disk does not tell which
  /// there are. Then none is lost, and the server must not go on: its next start finds them all.
  Result<std::vector<SavedSession>> load();

  /// The files of a new session. Errors: those of the disk.
  [[nodiscard]] Result<std::unique_ptr<SessionRecord>> make_record(
      const SessionIdentity& identity) const;
  [[nodiscard]] std::unique_ptr<LockLog> make_lock_log(const SessionId& id) const;

  /// The files of all sessions are true and will not change any more: the next run may take them
  /// up in another boot as well. Precondition: nothing is stored to them any more.
  Result<void> note_orderly_stop() const;

 private:
  SessionStore(std::filesystem::path folder, std::string boot, bool was_orderly)
      : folder_(std::move(folder)), boot_(std::move(boot)), was_orderly_(was_orderly) {}
  [[nodiscard]] std::filesystem::path file_of(const SessionId& id, const char* suffix) const;
  [[nodiscard]] Result<std::vector<std::filesystem::path>> list() const;
  Result<std::vector<SavedSession>> load_all(const std::vector<std::filesystem::path>& files) const;
  Result<SavedSession> load_session(const std::filesystem::path& file) const;
  [[nodiscard]] Result<void> give_up(const std::filesystem::path& file, const Error& why) const;
  void delete_leftovers(const std::vector<std::filesystem::path>& files) const;

  std::filesystem::path folder_;
  std::string boot_;
  bool was_orderly_;
};

}  // namespace homefs
