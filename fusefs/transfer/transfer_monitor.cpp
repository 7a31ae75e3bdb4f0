#include "fusefs/transfer/transfer_monitor.h"

#include <algorithm>
#include <utility>

#include "fusefs/transfer/side_log.h"

namespace homefs {

TransferMonitor::TransferMonitor(TransferDirection direction, SideLog& side_log, Note note)
    : direction_(direction), side_log_(side_log), note_(std::move(note)) {}

void TransferMonitor::plan(std::uint64_t files, std::uint64_t bytes) {
  const auto figures = figures_.lock();
  figures->files = files;
  figures->bytes = bytes;
}

void TransferMonitor::add_file(std::uint64_t bytes) {
  const auto figures = figures_.lock();
  ++figures->files;
  figures->bytes += bytes;
}

void TransferMonitor::begin(NodeId node, const std::string& path, std::uint64_t size) {
  files_.lock()->insert_or_assign(
      node, FileUnderWay{.path = path, .total = size, .began = std::chrono::steady_clock::now()});
  side_log_.on_started(node, direction_, path, size);
}

void TransferMonitor::move(NodeId node, std::uint64_t bytes) {
  {
    const auto files = files_.lock();
    const auto found = files->find(node);
    if (found != files->end()) found->second.bytes += bytes;
  }
  side_log_.on_verified(node, direction_, bytes);
}

void TransferMonitor::sent(NodeId node, std::uint64_t bytes) {
  {
    const auto figures = figures_.lock();
    figures->bytes_sent += bytes;
    figures->bytes_finished += bytes;
  }
  move(node, bytes);
}

void TransferMonitor::resumed(NodeId node, std::uint64_t bytes) {
  {
    const auto figures = figures_.lock();
    figures->bytes_resumed += bytes;
    figures->bytes_finished += bytes;
  }
  move(node, bytes);
}

void TransferMonitor::copied(NodeId node, std::uint64_t bytes) {
  {
    const auto figures = figures_.lock();
    figures->bytes_copied += bytes;
    figures->bytes_finished += bytes;
  }
  move(node, bytes);
}

void TransferMonitor::verified(NodeId node, const Md5Digest& md5) {
  side_log_.on_file_verified(node, direction_, md5);
}

void TransferMonitor::begin_again(NodeId node) {
  std::uint64_t bytes = 0;
  {
    const auto files = files_.lock();
    const auto found = files->find(node);
    if (found != files->end()) bytes = std::exchange(found->second.bytes, 0);
  }
  const auto figures = figures_.lock();
  figures->bytes_finished -= std::min(figures->bytes_finished, bytes);
}

void TransferMonitor::end(NodeId node, const std::string& path, const Result<>& result) {
  FileUnderWay file;
  if (auto taken = files_.lock()->extract(node)) file = std::move(taken.mapped());
  side_log_.on_finished(node, direction_, result);
  {
    const auto figures = figures_.lock();
    if (result) {
      ++figures->files_sent;
    } else {
      ++figures->files_failed;
      // What it lacks is not waited for any more.
      figures->bytes_finished += file.total - std::min(file.total, file.bytes);
    }
  }
  note_(result ? Line::kDone : Line::kFailed, path, result ? "" : result.error().message());
}

void TransferMonitor::symlink_made(const std::string& path) {
  ++figures_.lock()->symlinks_made;
  note_(Line::kDone, path, "");
}

void TransferMonitor::skipped(const std::string& path, const std::string& why) {
  ++figures_.lock()->files_skipped;
  note_(Line::kSkipped, path, why);
}

void TransferMonitor::failed(const std::string& path, const Error& error) {
  ++figures_.lock()->files_failed;
  note_(Line::kFailed, path, error.message());
}

TransferFigures TransferMonitor::figures() { return *figures_.lock(); }

std::vector<FileUnderWay> TransferMonitor::under_way() {
  std::vector<FileUnderWay> list;
  {
    const auto files = files_.lock();
    for (const auto& [node, file] : *files) list.push_back(file);
  }
  std::ranges::stable_sort(list, {}, &FileUnderWay::began);
  return list;
}

void tell_of_untouched(const PlanItem& item, TransferMonitor& monitor) {
  if (item.step == PlanStep::kUnchanged) return monitor.unchanged();
  if (item.step == PlanStep::kSkipSpecial) {
    return monitor.skipped(item.path, "neither a file nor a folder nor a symlink");
  }
  HOMEFS_CHECK(item.step == PlanStep::kConflict);
  monitor.failed(item.path,
                 {item.source->is_folder() ? Status::kNotDirectory : Status::kIsDirectory,
                  "something of another kind is there"});
}

}  // namespace homefs
