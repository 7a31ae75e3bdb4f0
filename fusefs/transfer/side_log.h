// The side log: transfers.jsonl, where `homefs progress` and people see what is being transferred,
// and from which a broken transfer is found again. man/homefs-transfers.5 is its format.
//
// Reporting costs a lock and an addition; a thread of the log makes the records. A log that cannot
// be written loses records, says so once, and never fails or delays a transfer.
//
// Owner: the command that transfers or mounts. Executor: thread-safe. Blocks: open() and the
// destructor on the disk, set_paths() while a path is being asked for; nothing else.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "fusefs/transfer/side_log_file.h"
#include "fusefs/transfer/transfer_table.h"
#include "protocol/guarded.h"

namespace homefs {

struct SideLogOptions {
  std::filesystem::path file;  ///< .../transfers.jsonl; its folder exists
  std::string mount;           ///< the mount point; empty for a command without a mount
  SideLogFile::Limits limits;
};

class SideLog {
 public:
  /// Says where a node is, below the mount's root; empty when it is not known. Called on the log's
  /// thread, for transfers that are told of by themselves; must not call the log.
  using PathOf = std::function<std::string(NodeId)>;

  explicit SideLog(SideLogOptions options);
  ~SideLog();  ///< what is still under way is recorded as cut
  SideLog(const SideLog&) = delete;
  SideLog& operator=(const SideLog&) = delete;

  /// Set by the client core, and taken away (null) before it goes.
  void set_paths(PathOf path_of);

  // ---- Writing: program -> server ----
  /// A program begins to write. A file that is under way already goes on.
  void file_write_started(NodeId node);
  /// `bytes` more were taken from the program and wait to be sent.
  void bytes_accepted(NodeId node, std::uint64_t bytes);
  /// `bytes` more were acknowledged by the server, which has verified their MD5s.
  void bytes_acknowledged(NodeId node, std::uint64_t bytes);
  /// The last program has closed the file and all is acknowledged, or it has failed for good.
  void write_finished(NodeId node, const Result<>& result);

  // ---- Reading: server -> program ----
  /// `bytes` more of a file of `size` have arrived and agree with their MD5s. A file that nobody
  /// reads on from for 5 s is done.
  void read_progress(NodeId node, std::uint64_t bytes, std::uint64_t size);
  void read_finished(NodeId node, const Result<>& result);

  // ---- Both ----
  /// For `get` and `put`: the file's name is known, and its whole size.
  void transfer_started(NodeId node, Direction direction, std::string path, std::uint64_t total);
  /// The MD5 of the whole file agrees at both ends; recorded when it finishes.
  void verified(NodeId node, Direction direction, const Md5Digest& md5);
  /// A block did not fit its MD5 and is sent again (`attempt` 1, 2, ...).
  void block_mismatch(NodeId node, Direction direction, std::uint64_t offset, int attempt);
  /// The link is up again: what was under way goes on.
  void resumed();

  /// Writes what there is to write now, for tests and for the end of a command.
  void flush();

 private:
  [[nodiscard]] static TransferTable::Time now() { return std::chrono::system_clock::now(); }
  void run();
  void write_records(bool is_end);

  const SideLogOptions options_;
  const std::string process_;
  Guarded<TransferTable> table_;

  std::mutex paths_mutex_;  // held while a path is asked for
  PathOf path_of_;          // guarded by paths_mutex_

  std::mutex file_mutex_;    // held while records are written
  SideLogFile file_;         // guarded by file_mutex_
  bool has_failed_ = false;  // guarded by file_mutex_: said so already

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace homefs
