#include "server/usage_scan.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "protocol/name.h"
#include "server/disk_mode.h"

namespace homefs {
namespace {

// Entries that are counted before others may change something: about 50 us of their waiting.
constexpr std::size_t kEntriesPerTurn = 64;

// A recount works for a fourth of the time.
constexpr int kRecountShare = 4;

Usage usage_of(const disk::Stat& stat) {
  const bool is_file = S_ISREG(stat.attributes.mode);
  return {.bytes = is_file ? stat.attributes.size : 0, .files = 1};
}

}  // namespace

UsageScan::UsageScan(InodeTable& inodes, Quota& quota, disk::FdRef orphans)
    : inodes_(inodes), quota_(quota), orphans_(std::move(orphans)) {}

UsageScan::~UsageScan() { stop(); }

void UsageScan::start(const InodeRef& root, const Usage& estimate) {
  const std::lock_guard thread_lock(thread_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (is_running_.load()) return;
    is_recount_ = false;
    is_running_.store(true);
    wait_for_changes();
    begin_count(root);
    quota_.begin_count(estimate);
  }
  start_thread(root);
}

void UsageScan::start_recount(const InodeRef& root) {
  const std::lock_guard thread_lock(thread_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (is_running_.load()) {
      is_wanted_again_ = true;
      return;
    }
    is_recount_ = true;
    is_running_.store(true);
    wait_for_changes();
    begin_count(root);
    quota_.begin_recount();
  }
  start_thread(root);
}

// Precondition: is_running_ was set, and thread_mutex_ is held.
void UsageScan::start_thread(const InodeRef& root) {
  if (thread_.joinable()) thread_.join();  // it has ended, or is about to
  thread_ = std::jthread([this, root](const std::stop_token& stop) { run(stop, root); });
}

// Those that began when no count ran: what they do to the use is not for the sum. Others wait for
// the mutex until then. Precondition: is_running_ is set, and mutex_ held.
void UsageScan::wait_for_changes() {
  for (std::size_t left = changes_.load(); left > 0; left = changes_.load()) changes_.wait(left);
}

void UsageScan::stop() {
  const std::lock_guard thread_lock(thread_mutex_);
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

UsageScan::Change::Change(UsageScan& scan) : scan_(&scan) {
  for (;;) {
    scan.changes_.fetch_add(1);
    if (!scan.is_running_.load()) return;
    // It goes with the count: one at a time.
    if (scan.changes_.fetch_sub(1) == 1) scan.changes_.notify_all();
    lock_ = std::unique_lock(scan.mutex_);
    if (scan.is_running_.load()) return;
    lock_.unlock();  // it has ended while we waited
  }
}

UsageScan::Change::Change(Change&& other) noexcept
    : scan_(std::exchange(other.scan_, nullptr)), lock_(std::move(other.lock_)) {}

UsageScan::Change::~Change() {
  if (scan_ == nullptr || lock_.owns_lock()) return;
  if (scan_->changes_.fetch_sub(1) == 1 && scan_->is_running_.load()) scan_->changes_.notify_all();
}

void UsageScan::Change::touch(const disk::Stat& stat, const InodeRef& inode_or_null) {
  if (lock_.owns_lock()) scan_->count(stat, inode_or_null);
}

void UsageScan::Change::made(const disk::Stat& stat) {
  if (lock_.owns_lock()) scan_->counted_.insert(number_of(stat.attributes.inode));
}

// Precondition: mutex_ is held, or the scan's own thread holds it.
void UsageScan::count(const disk::Stat& stat, const InodeRef& inode_or_null) {
  if (!counted_.insert(number_of(stat.attributes.inode)).second) return;
  quota_.count_found(usage_of(stat));
  if (inode_or_null != nullptr && inode_or_null->is_folder()) folders_.push_back(inode_or_null);
}

void UsageScan::run(const std::stop_token& stop, const InodeRef& root) {
  (void)::pthread_setname_np(::pthread_self(), "usage-scan");  // only a name
  do {
    const auto start = std::chrono::steady_clock::now();
    count_orphans(stop);
    while (const InodeRef folder = next_folder(stop, root, start)) walk(stop, folder);
  } while (is_running_.load());
}

// Precondition: mutex_ is held, and no change is under way.
void UsageScan::begin_count(const InodeRef& root) {
  counted_ = {number_of(root->number())};  // the root itself does not count
  folders_.assign(1, root);
  missing_ = 0;
}

// Null: the count has ended, or is to stop.
InodeRef UsageScan::next_folder(const std::stop_token& stop, const InodeRef& root,
                                std::chrono::steady_clock::time_point start) {
  const std::lock_guard lock(mutex_);
  if (!folders_.empty() && !stop.stop_requested()) {
    InodeRef folder = std::move(folders_.front());
    folders_.pop_front();
    return folder;
  }
  counted_ = {};
  folders_.clear();
  missed_.store(missing_);
  last_took_ns_.store((std::chrono::steady_clock::now() - start).count());
  if (!stop.stop_requested()) {
    quota_.finish_count();
  } else if (is_recount_) {
    quota_.cancel_recount();
  } else {
    quota_.give_up_count();
  }
  if (std::exchange(is_wanted_again_, false) && !stop.stop_requested()) {
    is_recount_ = true;
    begin_count(root);
    quota_.begin_recount();
  } else {
    is_running_.store(false);
    is_running_.notify_all();
  }
  return nullptr;
}

// A folder that is not found any more was removed. What the process has no descriptor for is tried
// again, a few times.
Result<disk::FdRef> UsageScan::open(const std::stop_token& stop, const InodeRef& folder) {
  constexpr int kAttempts = 50;
  auto descriptor = inodes_.open(folder);
  for (int attempt = 1; attempt < kAttempts && !descriptor && !stop.stop_requested(); ++attempt) {
    const Status status = descriptor.error().status;
    if (status != Status::kTooManyOpen && status != Status::kNoMemory) break;
    std::unique_lock lock(mutex_);
    resting_.wait_for(lock, stop, std::chrono::milliseconds(20), [] { return false; });
    lock.unlock();
    descriptor = inodes_.open(folder);
  }
  return descriptor;
}

// A recount leaves the disk to others for most of the time.
void UsageScan::rest(const std::stop_token& stop, std::chrono::steady_clock::time_point since) {
  std::unique_lock lock(mutex_);
  if (!is_recount_) return;
  const auto worked = std::chrono::steady_clock::now() - since;
  resting_.wait_for(lock, stop, worked * (kRecountShare - 1), [] { return false; });
}

void UsageScan::walk(const std::stop_token& stop, const InodeRef& folder) {
  auto since = std::chrono::steady_clock::now();
  const auto descriptor = open(stop, folder);
  if (!descriptor) {
    const Status status = descriptor.error().status;
    // Removed meanwhile; whoever did it counted what it moved.
    if (status != Status::kNoSuchFile && status != Status::kStale) ++missing_;
    return;
  }
  std::vector<std::string> names;
  const auto read =
      disk::read_folder((*descriptor)->get(), [&](std::uint64_t, std::string_view name) {
        names.emplace_back(name);
        return true;
      });
  if (!read) ++missing_;
  std::span<const std::string> rest_of(names);
  while (!rest_of.empty() && !stop.stop_requested()) {
    const auto turn = rest_of.first(std::min(rest_of.size(), kEntriesPerTurn));
    count_entries(folder, *descriptor, turn);
    rest_of = rest_of.subspan(turn.size());
    rest(stop, since);
    since = std::chrono::steady_clock::now();
  }
}

void UsageScan::count_entries(const InodeRef& folder, const disk::FdRef& descriptor,
                              std::span<const std::string> names) {
  const std::lock_guard lock(mutex_);
  for (const std::string& text : names) {
    const auto name = Name::make(text);
    if (name) count_entry(folder, descriptor, *name);
  }
}

void UsageScan::count_entry(const InodeRef& folder, const disk::FdRef& descriptor,
                            const Name& name) {
  // A change that began before the count did may still be moving things; there are few of these.
  for (;;) {
    const std::uint64_t moves = inodes_.moves();
    const auto stat = stat_true_at(descriptor->get(), name.c_str());
    if (!stat) {
      // Gone: who removed or moved it counted it.
      if (stat.error().status != Status::kNoSuchFile) ++missing_;
      return;
    }
    if (stat->is_mount) return;
    InodeRef inode;
    if (S_ISDIR(stat->attributes.mode)) {
      inode = inodes_.found_since(moves, *stat, folder, name);
      if (inode == nullptr) continue;
    }
    return count(*stat, inode);
  }
}

void UsageScan::count_orphans(const std::stop_token& stop) {
  std::vector<std::string> names;
  (void)disk::read_folder(orphans_->get(), [&](std::uint64_t, std::string_view name) {
    names.emplace_back(name);
    return true;
  });
  for (const std::string& name : names) {
    if (stop.stop_requested()) return;
    const std::lock_guard lock(mutex_);
    const auto stat = stat_true_at(orphans_->get(), name.c_str());
    // Folders are things in the making.
    if (stat && !S_ISDIR(stat->attributes.mode)) count(*stat, nullptr);
  }
}

}  // namespace homefs
