#include "server/orphanage.h"

#include <algorithm>
#include <charconv>

#include "server/disk_mode.h"

namespace homefs {
namespace {

constexpr std::string_view kMakingPrefix = "making-";

std::string name_of(InodeNumber number) { return std::to_string(number_of(number)); }

}  // namespace

Result<void> Orphanage::load(Clock::time_point now, std::chrono::seconds linger) {
  std::vector<std::string> unfinished;
  auto done = disk::read_folder(folder_->get(), [&](std::uint64_t inode, std::string_view name) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.begin(), name.end(), number);
    if (error == std::errc() && end == name.end() && number == inode) {
      insert(InodeNumber{number}, now + linger);
    } else if (name.starts_with(kMakingPrefix)) {
      unfinished.emplace_back(name);
    }
    return true;
  });
  if (!done) return done;
  for (const std::string& name : unfinished) {
    // Only folders are made here, and they are empty.
    (void)disk::remove_folder_at(folder_->get(), name.c_str());  // left for the next start then
  }
  return {};
}

Result<void> Orphanage::hold(int fd, InodeNumber number) {
  const std::string orphan = name_of(number);
  auto done = disk::link_fd_at(fd, folder_->get(), orphan.c_str());
  if (done) insert(number, kNoDate);
  return done;
}

Result<void> Orphanage::remove(InodeNumber number) {
  const std::string orphan = name_of(number);
  auto done = disk::unlink_at(folder_->get(), orphan.c_str());
  if (!done && done.error().status != Status::kNoSuchFile) return done;
  const std::lock_guard lock(mutex_);
  count_.fetch_sub(kept_until_.erase(number_of(number)), std::memory_order_relaxed);
  return {};
}

void Orphanage::adopt(InodeNumber number, Clock::time_point kept_until) {
  const std::lock_guard lock(mutex_);
  const auto orphan = kept_until_.find(number_of(number));
  if (orphan != kept_until_.end()) orphan->second = kept_until;
}

void Orphanage::set_date_of_undecided(Clock::time_point kept_until) {
  const std::lock_guard lock(mutex_);
  for (auto& [number, date] : kept_until_) {
    if (date == kUndecided) date = kept_until;
  }
}

bool Orphanage::has(InodeNumber number) const {
  if (size() == 0) return false;
  const std::lock_guard lock(mutex_);
  return kept_until_.contains(number_of(number));
}

Result<disk::Stat> Orphanage::stat(InodeNumber number) const {
  return stat_true_at(folder_->get(), name_of(number).c_str());
}

bool Orphanage::may_go(InodeNumber number, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const auto orphan = kept_until_.find(number_of(number));
  return orphan != kept_until_.end() && (orphan->second == kNoDate || orphan->second <= now);
}

bool Orphanage::has_waiting() const {
  if (size() == 0) return false;
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(kept_until_, [](const auto& one) { return one.second != kNoDate; });
}

std::vector<InodeNumber> Orphanage::overdue(Clock::time_point now) const {
  std::vector<InodeNumber> numbers;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, kept_until] : kept_until_) {
    if (kept_until != kNoDate && kept_until <= now) numbers.push_back(InodeNumber{number});
  }
  return numbers;
}

std::string Orphanage::name_in_making() {
  return std::string(kMakingPrefix) + std::to_string(made_.fetch_add(1));
}

void Orphanage::insert(InodeNumber number, Clock::time_point kept_until) {
  const std::lock_guard lock(mutex_);
  if (kept_until_.emplace(number_of(number), kept_until).second) {
    count_.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace homefs
