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
  if (is_running_.load()) return;
  if (thread_.joinable()) thread_.join();
  {
    const std::lock_guard lock(mutex_);
    counted_ = {number_of(root->number())};  // the root itself does not count
    folders_.assign(1, root);
    quota_.begin_count(estimate);
    is_running_.store(true);
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void UsageScan::stop() {
  const std::lock_guard thread_lock(thread_mutex_);
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  const std::lock_guard lock(mutex_);
  counted_ = {};
  folders_.clear();
}

UsageScan::Change::Change(UsageScan& scan) : scan_(scan) {
  if (!scan.is_running_.load()) return;
  lock_ = std::unique_lock(scan.mutex_);
  // It may have ended while we waited.
  if (!scan.is_running_.load()) lock_.unlock();
}

void UsageScan::Change::touch(const disk::Stat& stat, const InodeRef& inode_or_null) {
  if (lock_.owns_lock()) scan_.count(stat, inode_or_null);
}

void UsageScan::Change::made(const disk::Stat& stat) {
  if (lock_.owns_lock()) scan_.counted_.insert(number_of(stat.attributes.inode));
}

// Precondition: mutex_ is held, or the scan's own thread holds it.
void UsageScan::count(const disk::Stat& stat, const InodeRef& inode_or_null) {
  if (!counted_.insert(number_of(stat.attributes.inode)).second) return;
  quota_.count(usage_of(stat));
  if (inode_or_null != nullptr && inode_or_null->is_folder()) folders_.push_back(inode_or_null);
}

void UsageScan::run(const std::stop_token& stop) {
  (void)::pthread_setname_np(::pthread_self(), "usage-scan");  // only a name
  count_orphans(stop);
  while (!stop.stop_requested()) {
    InodeRef folder;
    {
      const std::lock_guard lock(mutex_);
      if (folders_.empty()) {
        quota_.finish_count();
        is_running_.store(false);
        counted_ = {};
        return;
      }
      folder = std::move(folders_.front());
      folders_.pop_front();
    }
    walk(stop, folder);
  }
  is_running_.store(false);
}

void UsageScan::walk(const std::stop_token& stop, const InodeRef& folder) {
  const auto descriptor = inodes_.open(folder);
  if (!descriptor) return;  // removed meanwhile; whoever did it counted what it moved
  std::vector<std::string> names;
  // An error half way through: the rest is missing from the sum, which no second try would mend.
  (void)disk::read_folder((*descriptor)->get(), [&](std::uint64_t, std::string_view name) {
    names.emplace_back(name);
    return true;
  });
  std::span<const std::string> rest(names);
  while (!rest.empty() && !stop.stop_requested()) {
    const auto turn = rest.first(std::min(rest.size(), kEntriesPerTurn));
    count_entries(folder, *descriptor, turn);
    rest = rest.subspan(turn.size());
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
    // Gone: who removed or moved it counted it.
    if (!stat || stat->is_mount) return;
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
