#include "fusefs/transfer/transfer_table.h"

#include <algorithm>

#include "protocol/block.h"

namespace homefs {

void TransferTable::start(NodeId node, TransferDirection direction, const std::string& path,
                          std::uint64_t total, Time now) {
  const Key key{node, direction};
  auto found = transfers_.find(key);
  if (found == transfers_.end()) {
    if (transfers_.size() >= kTransfersMax) return;
    Transfer transfer;
    transfer.id = ++last_id_;
    transfer.path = path;
    transfer.started = transfer.moved = transfer.told = now;
    found = transfers_.emplace(key, std::move(transfer)).first;
  }
  found->second.total = std::max(found->second.total, total);
}

void TransferTable::move(NodeId node, TransferDirection direction, std::uint64_t bytes, Time now) {
  const auto found = transfers_.find({node, direction});
  if (found == transfers_.end()) {
    batch_of(direction).bytes += bytes;
    return;
  }
  found->second.bytes += bytes;
  found->second.moved = now;
}

void TransferTable::set_md5(NodeId node, TransferDirection direction, const Md5Digest& md5) {
  const auto found = transfers_.find({node, direction});
  if (found != transfers_.end()) found->second.md5 = md5;
}

std::string TransferTable::path_of(NodeId node, TransferDirection direction) const {
  const auto found = transfers_.find({node, direction});
  return found == transfers_.end() ? std::string() : found->second.path;
}

bool TransferTable::is_shown(const Transfer& transfer, Time now) {
  return std::max(transfer.bytes, transfer.total) >= kSmallBytes ||
         now - transfer.started >= kShownAfter;
}

TransferRecord TransferTable::record_of(TransferEvent event, TransferDirection direction,
                                        const Transfer& transfer, Time now) const {
  TransferRecord record;
  record.event = event;
  record.time = now;
  record.id = transfer.id;
  record.direction = direction;
  record.path = transfer.path;
  record.bytes = transfer.bytes;
  record.total = std::max(transfer.total, transfer.bytes);
  record.blocks = transfer.bytes / kBlockBytes;
  record.rate = static_cast<std::uint64_t>(transfer.rate);
  record.md5 = transfer.md5;
  return record;
}

void TransferTable::add_end(TransferRecord record) {
  if (ends_.size() >= kEndsMax) {
    ++dropped_;
    return;
  }
  ends_.push_back(std::move(record));
}

void TransferTable::finish(NodeId node, TransferDirection direction, const Result<>& result,
                           Time now) {
  Batch& batch = batch_of(direction);
  const auto found = transfers_.find({node, direction});
  if (found == transfers_.end()) {
    ++batch.files;
    if (!result) ++batch.failed;
    return;
  }
  Transfer transfer = std::move(found->second);
  transfers_.erase(found);
  // A failure is told of by itself, however small the file is.
  if (result && !transfer.is_told && !is_shown(transfer, now)) {
    ++batch.files;
    batch.bytes += transfer.bytes;
    return;
  }
  const auto taken = std::chrono::duration<double>(now - transfer.started).count();
  transfer.rate = taken > 0 ? static_cast<double>(transfer.bytes) / taken : 0;
  if (!transfer.is_told) {
    TransferRecord started =
        record_of(TransferEvent::kStarted, direction, transfer, transfer.started);
    started.bytes = started.blocks = started.rate = 0;
    add_end(std::move(started));
  }
  if (result && transfer.md5)
    add_end(record_of(TransferEvent::kVerified, direction, transfer, now));
  TransferRecord end =
      record_of(result ? TransferEvent::kDone : TransferEvent::kFailed, direction, transfer, now);
  if (!result) end.error = result.error().message();
  add_end(std::move(end));
}

void TransferTable::note_mismatch(const std::string& path, TransferDirection direction,
                                  std::uint64_t offset, int attempt, Time now) {
  TransferRecord record;
  record.event = TransferEvent::kBlockMismatch;
  record.time = now;
  record.direction = direction;
  record.path = path;
  record.offset = offset;
  record.attempt = attempt;
  add_end(std::move(record));
}

bool TransferTable::is_idle() const {
  return transfers_.empty() && ends_.empty() && batches_[0].files == 0 && batches_[1].files == 0;
}

void TransferTable::note_resumed() {
  for (auto& [key, transfer] : transfers_) transfer.is_resumed = transfer.is_told;
}

void TransferTable::end_idle_reads(Time now) {
  std::vector<Key> idle;
  for (const auto& [key, transfer] : transfers_) {
    if (key.second == TransferDirection::kDown && now - transfer.moved >= kReadIdle)
      idle.push_back(key);
  }
  for (const Key& key : idle) finish(key.first, key.second, {}, now);
}

void TransferTable::tell(const Key& key, Transfer& transfer, Time now,
                         std::vector<TransferRecord>& records) {
  const auto since = now - transfer.told;
  const bool has_moved = transfer.bytes != transfer.bytes_told;
  if (!transfer.is_told) {
    TransferRecord started =
        record_of(TransferEvent::kStarted, key.second, transfer, transfer.started);
    started.bytes = started.blocks = 0;
    records.push_back(std::move(started));
    transfer.is_told = true;
  } else if (since < (has_moved ? std::chrono::nanoseconds(kProgressEvery)
                                : std::chrono::nanoseconds(kStandsStillEvery))) {
    return;
  }
  const double seconds = std::chrono::duration<double>(since).count();
  const auto moved = static_cast<double>(transfer.bytes - transfer.bytes_told);
  const double lately = seconds > 0 ? moved / seconds : 0;
  // Half of the last quarter second, half of what was: steady enough for a time left.
  transfer.rate = transfer.rate == 0 ? lately : (transfer.rate + lately) / 2;
  transfer.told = now;
  transfer.bytes_told = transfer.bytes;
  const auto event = transfer.is_resumed ? TransferEvent::kResumed : TransferEvent::kProgress;
  transfer.is_resumed = false;
  records.push_back(record_of(event, key.second, transfer, now));
}

std::vector<TransferRecord> TransferTable::take_records(Time now, bool is_end) {
  if (ends_idle_reads_) end_idle_reads(now);
  std::vector<TransferRecord> records;
  for (auto& [key, transfer] : transfers_) {
    if (transfer.is_told || is_shown(transfer, now)) tell(key, transfer, now, records);
    if (is_end && transfer.is_told) {
      records.push_back(record_of(TransferEvent::kCut, key.second, transfer, now));
    }
  }
  if (is_end) transfers_.clear();
  records.insert(records.end(), std::make_move_iterator(ends_.begin()),
                 std::make_move_iterator(ends_.end()));
  ends_.clear();
  for (const TransferDirection direction : {TransferDirection::kUp, TransferDirection::kDown}) {
    Batch& batch = batch_of(direction);
    if (batch.files == 0) continue;
    TransferRecord record;
    record.event = TransferEvent::kBatch;
    record.time = now;
    record.direction = direction;
    record.files = batch.files;
    record.files_failed = batch.failed;
    record.bytes = batch.bytes;
    records.push_back(std::move(record));
    batch = {};
  }
  if (!records.empty()) records.front().dropped = std::exchange(dropped_, 0);
  return records;
}

}  // namespace homefs
