#include "fusefs/transfer/transfer_table.h"

#include <algorithm>

#include "protocol/block.h"

namespace homefs {

TransferTable::Transfer* TransferTable::find(NodeId node, Direction direction, Time now) {
  const Key key{node, direction};
  const auto found = transfers_.find(key);
  if (found != transfers_.end()) return &found->second;
  if (transfers_.size() >= kTransfersMax) return nullptr;
  Transfer transfer;
  transfer.id = ++last_id_;
  transfer.started = transfer.moved = transfer.told = now;
  return &transfers_.emplace(key, std::move(transfer)).first->second;
}

void TransferTable::start(NodeId node, Direction direction, std::string path, Time now) {
  Transfer* transfer = find(node, direction, now);
  if (transfer != nullptr && !path.empty()) transfer->path = std::move(path);
}

void TransferTable::grow_total(NodeId node, Direction direction, std::uint64_t bytes, Time now) {
  Transfer* transfer = find(node, direction, now);
  if (transfer == nullptr) return;
  transfer->total += bytes;
  transfer->is_total_known = true;
}

void TransferTable::set_total(NodeId node, Direction direction, std::uint64_t bytes, Time now) {
  Transfer* transfer = find(node, direction, now);
  if (transfer == nullptr) return;
  transfer->total = bytes;
  transfer->is_total_known = true;
}

void TransferTable::move(NodeId node, Direction direction, std::uint64_t bytes, Time now) {
  Transfer* transfer = find(node, direction, now);
  if (transfer == nullptr) {
    batches_[static_cast<int>(direction)].bytes += bytes;
    return;
  }
  transfer->bytes += bytes;
  transfer->moved = now;
}

void TransferTable::set_md5(NodeId node, Direction direction, const Md5Digest& md5) {
  const auto found = transfers_.find({node, direction});
  if (found != transfers_.end()) found->second.md5 = md5;
}

bool TransferTable::is_shown(const Transfer& transfer, Time now) {
  return std::max(transfer.bytes, transfer.total) >= kSmallBytes ||
         now - transfer.started >= kShownAfter;
}

TransferRecord TransferTable::record_of(TransferEvent event, Direction direction,
                                        const Transfer& transfer, Time now) const {
  TransferRecord record;
  record.event = event;
  record.time = now;
  record.id = transfer.id;
  record.direction = direction;
  record.path = transfer.path;
  record.bytes = transfer.bytes;
  if (transfer.is_total_known) record.total = std::max(transfer.total, transfer.bytes);
  record.blocks = transfer.bytes / kBlockBytes;
  record.rate = static_cast<std::uint64_t>(transfer.rate);
  record.md5 = transfer.md5;
  return record;
}

void TransferTable::add_end(NodeId node, TransferRecord record) {
  if (ends_.size() >= kEndsMax) {
    ++dropped_;
    return;
  }
  ends_.push_back({std::move(record), node});
}

void TransferTable::finish(NodeId node, Direction direction, const Result<>& result, Time now) {
  Batch& batch = batches_[static_cast<int>(direction)];
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
    add_end(node, std::move(started));
  }
  if (result && transfer.md5)
    add_end(node, record_of(TransferEvent::kVerified, direction, transfer, now));
  TransferRecord end =
      record_of(result ? TransferEvent::kDone : TransferEvent::kFailed, direction, transfer, now);
  if (!result) end.error = result.error().message();
  add_end(node, std::move(end));
}

void TransferTable::note_mismatch(NodeId node, Direction direction, std::uint64_t offset,
                                  int attempt, Time now) {
  Transfer* transfer = find(node, direction, now);
  TransferRecord record =
      record_of(TransferEvent::kBlockMismatch, direction, transfer ? *transfer : Transfer{}, now);
  record.offset = offset;
  record.attempt = attempt;
  add_end(node, std::move(record));
}

void TransferTable::note_resumed() {
  for (auto& [key, transfer] : transfers_) transfer.is_resumed = transfer.is_told;
}

void TransferTable::end_idle_reads(Time now) {
  std::vector<Key> idle;
  for (const auto& [key, transfer] : transfers_) {
    if (key.second == Direction::kDown && now - transfer.moved >= kReadIdle) idle.push_back(key);
  }
  for (const Key& key : idle) finish(key.first, key.second, {}, now);
}

void TransferTable::tell(const Key& key, Transfer& transfer, Time now, std::vector<Told>& records) {
  const auto since = now - transfer.told;
  const bool has_moved = transfer.bytes != transfer.bytes_told;
  if (!transfer.is_told) {
    TransferRecord started =
        record_of(TransferEvent::kStarted, key.second, transfer, transfer.started);
    started.bytes = started.blocks = 0;
    records.push_back({std::move(started), key.first});
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
  records.push_back({record_of(event, key.second, transfer, now), key.first});
}

std::vector<TransferTable::Told> TransferTable::take_records(Time now, bool is_end) {
  end_idle_reads(now);
  std::vector<Told> records;
  for (auto& [key, transfer] : transfers_) {
    if (transfer.is_told || is_shown(transfer, now)) tell(key, transfer, now, records);
    if (is_end && transfer.is_told) {
      records.push_back({record_of(TransferEvent::kCut, key.second, transfer, now), key.first});
    }
  }
  if (is_end) transfers_.clear();
  records.insert(records.end(), std::make_move_iterator(ends_.begin()),
                 std::make_move_iterator(ends_.end()));
  ends_.clear();
  for (const Direction direction : {Direction::kUp, Direction::kDown}) {
    Batch& batch = batches_[static_cast<int>(direction)];
    if (batch.files == 0) continue;
    TransferRecord record;
    record.event = TransferEvent::kBatch;
    record.time = now;
    record.direction = direction;
    record.files = batch.files;
    record.files_failed = batch.failed;
    record.bytes = batch.bytes;
    records.push_back({std::move(record), kNoNode});
    batch = {};
  }
  if (!records.empty()) records.front().record.dropped = std::exchange(dropped_, 0);
  return records;
}

void TransferTable::set_path(NodeId node, Direction direction, const std::string& path) {
  const auto found = transfers_.find({node, direction});
  if (found != transfers_.end()) found->second.path = path;
}

}  // namespace homefs
