#include "fusefs/transfer/side_log.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <utility>

namespace homefs {

SideLog::SideLog(SideLogOptions options)
    : options_(std::move(options)),
      process_(process_name()),
      table_(/*ends_idle_reads=*/!options_.mount.empty()),
      file_(options_.file, options_.limits),
      thread_([this] { run(); }) {}

SideLog::~SideLog() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    stopping_.notify_all();
  }
  thread_.join();
  write_records(/*is_end=*/true);
}

void SideLog::on_started(NodeId node, TransferDirection direction, const std::string& path,
                         std::uint64_t bytes_total) {
  table_.lock()->start(node, direction, path, bytes_total, now());
  wake();
}

void SideLog::on_verified(NodeId node, TransferDirection direction, std::uint64_t bytes) {
  table_.lock()->move(node, direction, bytes, now());
  wake();
}

void SideLog::on_finished(NodeId node, TransferDirection direction, const Result<>& result) {
  table_.lock()->finish(node, direction, result, now());
  wake();
}

void SideLog::on_block_mismatch(const std::string& path, TransferDirection direction,
                                std::uint64_t offset, int attempt) {
  table_.lock()->note_mismatch(path, direction, offset, attempt, now());
  wake();
}

void SideLog::on_write_mismatch(NodeId node, std::uint64_t offset, int attempt) {
  {
    auto table = table_.lock();
    const std::string path = table->path_of(node, TransferDirection::kUp);
    table->note_mismatch(path, TransferDirection::kUp, offset, attempt, now());
  }
  wake();
}

void SideLog::on_file_verified(NodeId node, TransferDirection direction, const Md5Digest& md5) {
  table_.lock()->set_md5(node, direction, md5);
}

void SideLog::on_resumed() { table_.lock()->note_resumed(); }

void SideLog::flush() { write_records(/*is_end=*/false); }

void SideLog::write_records(bool is_end) {
  std::vector<TransferRecord> records = table_.lock()->take_records(now(), is_end);
  if (records.empty()) return;
  std::string lines;
  for (TransferRecord& record : records) {
    record.process = process_;
    record.mount = options_.mount;
    lines += line_of(record);
  }
  const std::lock_guard lock(file_mutex_);
  const Result<> written = file_.append(lines);
  if (!written && !has_failed_) {
    spdlog::warn("the side log cannot be written, going on without: {}", written.error().message());
  }
  has_failed_ = !written;
}

void SideLog::run() {
  sigset_t all;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, nullptr);         // fails only for a bad `how`
  (void)::pthread_setname_np(::pthread_self(), "homefs-log");  // a name is a comfort, no more
  std::unique_lock lock(mutex_);
  while (
      !stopping_.wait_for(lock, TransferTable::kProgressEvery, [this] { return is_stopping_; })) {
    lock.unlock();
    write_records(/*is_end=*/false);
    // A mount that transfers nothing wakes nobody. What is reported from here on either is seen by
    // is_idle(), or finds that it has to wake us.
    is_awake_ = false;
    if (!table_.lock()->is_idle()) is_awake_ = true;
    lock.lock();
    stopping_.wait(lock, [this] { return is_stopping_ || is_awake_; });
  }
}

void SideLog::wake() {
  if (is_awake_.exchange(true)) return;
  const std::lock_guard lock(mutex_);  // or the thread could miss it between looking and waiting
  stopping_.notify_all();
}

}  // namespace homefs
