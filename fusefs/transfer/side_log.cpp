#include "fusefs/transfer/side_log.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <utility>

namespace homefs {

SideLog::SideLog(SideLogOptions options)
    : options_(std::move(options)),
      process_(process_name()),
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

void SideLog::set_paths(PathOf path_of) {
  const std::lock_guard lock(paths_mutex_);
  path_of_ = std::move(path_of);
}

void SideLog::file_write_started(NodeId node) {
  table_.lock()->start(node, Direction::kUp, {}, now());
}

void SideLog::bytes_accepted(NodeId node, std::uint64_t bytes) {
  table_.lock()->grow_total(node, Direction::kUp, bytes, now());
}

void SideLog::bytes_acknowledged(NodeId node, std::uint64_t bytes) {
  table_.lock()->move(node, Direction::kUp, bytes, now());
}

void SideLog::write_finished(NodeId node, const Result<>& result) {
  table_.lock()->finish(node, Direction::kUp, result, now());
}

void SideLog::read_progress(NodeId node, std::uint64_t bytes, std::uint64_t size) {
  const auto time = now();
  auto table = table_.lock();
  table->set_total(node, Direction::kDown, size, time);
  table->move(node, Direction::kDown, bytes, time);
}

void SideLog::read_finished(NodeId node, const Result<>& result) {
  table_.lock()->finish(node, Direction::kDown, result, now());
}

void SideLog::transfer_started(NodeId node, Direction direction, std::string path,
                               std::uint64_t total) {
  const auto time = now();
  auto table = table_.lock();
  table->start(node, direction, std::move(path), time);
  table->set_total(node, direction, total, time);
}

void SideLog::verified(NodeId node, Direction direction, const Md5Digest& md5) {
  table_.lock()->set_md5(node, direction, md5);
}

void SideLog::block_mismatch(NodeId node, Direction direction, std::uint64_t offset, int attempt) {
  table_.lock()->note_mismatch(node, direction, offset, attempt, now());
}

void SideLog::resumed() { table_.lock()->note_resumed(); }

void SideLog::flush() { write_records(/*is_end=*/false); }

void SideLog::write_records(bool is_end) {
  std::vector<TransferTable::Told> told = table_.lock()->take_records(now(), is_end);
  if (told.empty()) return;
  std::string lines;
  for (auto& [record, node] : told) {
    if (record.path.empty() && node != kNoNode) {
      {
        const std::lock_guard lock(paths_mutex_);
        if (path_of_) record.path = path_of_(node);
      }
      if (!record.path.empty()) table_.lock()->set_path(node, record.direction, record.path);
    }
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
    lock.lock();
  }
}

}  // namespace homefs
