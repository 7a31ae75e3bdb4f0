// The side log: transfers.jsonl, where `homefs progress` and people see what is being transferred,
// and from which a broken transfer is found again. man/homefs-transfers.5 is its format.
//
// Reporting costs a lock and an addition; a thread of the log makes the records. A log that cannot
// be written loses records, says so once, and never fails or delays a transfer.
//
// Owner: the command that transfers or mounts. Executor: thread-safe. Blocks: flush() and
// the destructor, on the disk; nothing else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
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

class SideLog final : public TransferEvents {
 public:
  explicit SideLog(SideLogOptions options);
  ~SideLog() override;  ///< what is still under way is recorded as cut
  SideLog(const SideLog&) = delete;
  SideLog& operator=(const SideLog&) = delete;

  // TransferEvents. A file that is under way already goes on, with the larger total.
  void on_started(NodeId node, TransferDirection direction, const std::string& path,
                  std::uint64_t bytes_total) override;
  void on_verified(NodeId node, TransferDirection direction, std::uint64_t bytes) override;
  void on_finished(NodeId node, TransferDirection direction, const Result<>& result) override;
  void on_block_mismatch(const std::string& path, TransferDirection direction, std::uint64_t offset,
                         int attempt) override;

  /// The same of a block that arrived damaged at the server, where only the node is known.
  void on_write_mismatch(NodeId node, std::uint64_t offset, int attempt);
  /// The MD5 of the whole file agrees at both ends; recorded when it finishes.
  void on_file_verified(NodeId node, TransferDirection direction, const Md5Digest& md5);
  /// The link is up again: what was under way goes on.
  void on_resumed();

  /// Writes what there is to write now, for tests and for the end of a command.
  void flush();

 private:
  [[nodiscard]] static TransferTable::Time now() { return std::chrono::system_clock::now(); }
  void run();
  void wake();
  void write_records(bool is_end);

  const SideLogOptions options_;
  const std::string process_;
  Guarded<TransferTable> table_;

  std::mutex file_mutex_;    // held while records are written
  SideLogFile file_;         // guarded by file_mutex_
  bool has_failed_ = false;  // guarded by file_mutex_: said so already

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;          // guarded by mutex_
  std::atomic<bool> is_awake_{true};  // false: the thread sleeps until something is reported
  std::thread thread_;
};

}  // namespace homefs
