// TransferMonitor: how a put or get stands. The jobs tell it what they do; the command draws it,
// sums it up, and hands it on to the side log.
//
// Owner: the command. Executor: thread-safe. Blocks: never, but for `note`, which may print.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fusefs/transfer/transfer_plan.h"
#include "fusefs/transfer_events.h"
#include "protocol/guarded.h"
#include "protocol/md5_digest.h"
#include "protocol/result.h"

namespace homefs {

class SideLog;

struct TransferFigures {
  std::uint64_t files = 0;            ///< to be sent
  std::uint64_t files_sent = 0;       ///< in whole or in part
  std::uint64_t files_unchanged = 0;  ///< were on the other side already
  std::uint64_t files_failed = 0;     ///< and folders and symlinks
  std::uint64_t files_skipped = 0;    ///< special files
  std::uint64_t folders_made = 0;
  std::uint64_t symlinks_made = 0;
  std::uint64_t bytes = 0;           ///< of the files to be sent
  std::uint64_t bytes_sent = 0;      ///< crossed the network and arrived
  std::uint64_t bytes_resumed = 0;   ///< were in the partial file of an earlier try
  std::uint64_t bytes_copied = 0;    ///< taken from the older file under the name
  std::uint64_t bytes_finished = 0;  ///< of all three, and of files that failed
};

struct FileUnderWay {
  std::string path;
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;
  std::chrono::steady_clock::time_point began;
};

class TransferMonitor {
 public:
  enum class Line { kDone, kFailed, kSkipped };
  /// A line about one file, for who follows: its path, and what failed.
  using Note = std::function<void(Line line, const std::string& path, const std::string& text)>;

  TransferMonitor(TransferDirection direction, SideLog& side_log, Note note);

  void plan(std::uint64_t files, std::uint64_t bytes);
  /// One more file than was planned.
  void add_file(std::uint64_t bytes);

  // Of one file, by the number of its node (for the side log).
  void begin(NodeId node, const std::string& path, std::uint64_t size);
  void sent(NodeId node, std::uint64_t bytes);
  void resumed(NodeId node, std::uint64_t bytes);
  void copied(NodeId node, std::uint64_t bytes);
  void verified(NodeId node, const Md5Digest& md5);
  void end(NodeId node, const std::string& path, const Result<>& result);
  /// It is begun anew: what it has done so far is not counted twice.
  void begin_again(NodeId node);
  /// It goes on under another number.
  void forget(NodeId node) { files_.lock()->erase(node); }

  // Of what is no file, or was not begun.
  void unchanged() { ++figures_.lock()->files_unchanged; }
  void folder_made() { ++figures_.lock()->folders_made; }
  void symlink_made(const std::string& path);
  void skipped(const std::string& path, const std::string& why);
  void failed(const std::string& path, const Error& error);

  [[nodiscard]] TransferFigures figures();
  [[nodiscard]] std::vector<FileUnderWay> under_way();

 private:
  void move(NodeId node, std::uint64_t bytes);

  const TransferDirection direction_;
  SideLog& side_log_;
  const Note note_;
  Guarded<TransferFigures> figures_;
  Guarded<std::map<NodeId, FileUnderWay>> files_;
};

/// Tells of an item that nothing is done for: unchanged, special, or in conflict.
void tell_of_untouched(const PlanItem& item, TransferMonitor& monitor);

}  // namespace homefs
