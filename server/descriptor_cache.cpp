#include "server/descriptor_cache.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "protocol/result.h"

namespace homefs {
namespace {

std::size_t default_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  constexpr std::size_t kLeast = 16;
  return std::clamp<std::size_t>(limit.rlim_cur / 4, kLeast,
                                 DescriptorCache::kDescriptorsMaxDefault);
}

}  // namespace

DescriptorCache::DescriptorCache(std::size_t descriptors_max)
    : descriptors_max_(descriptors_max == 0 ? default_limit() : descriptors_max) {}

// Inodes drop what they have before they go, and they hold what owns this cache.
DescriptorCache::~DescriptorCache() { HOMEFS_CHECK(used_.empty()); }

disk::FdRef DescriptorCache::find(Inode& inode) {
  const std::lock_guard lock(mutex_);
  if (inode.descriptor_ == nullptr) return nullptr;
  used_.splice(used_.begin(), used_, inode.descriptor_place_);
  return inode.descriptor_;
}

disk::FdRef DescriptorCache::put(Inode& inode, UniqueFd descriptor) {
  auto fresh = std::make_shared<const UniqueFd>(std::move(descriptor));
  std::list<disk::FdRef> evicted;
  const std::lock_guard lock(mutex_);
  if (inode.descriptor_ != nullptr) return inode.descriptor_;
  evicted = evict_down_to(descriptors_max_ - 1);
  inode.descriptor_ = fresh;
  inode.descriptor_place_ = used_.insert(used_.begin(), &inode);
  return fresh;
}

void DescriptorCache::drop(Inode& inode) {
  disk::FdRef dropped;
  const std::lock_guard lock(mutex_);
  if (inode.descriptor_ == nullptr) return;
  dropped = std::exchange(inode.descriptor_, nullptr);
  used_.erase(inode.descriptor_place_);
}

void DescriptorCache::shrink() {
  std::list<disk::FdRef> evicted;
  const std::lock_guard lock(mutex_);
  evicted = evict_down_to(used_.size() / 2);
}

std::size_t DescriptorCache::size() const {
  const std::lock_guard lock(mutex_);
  return used_.size();
}

// Precondition: mutex_ is held. The caller lets go of the result after it has let go of the lock,
// because closing a file may wait for the disk.
std::list<disk::FdRef> DescriptorCache::evict_down_to(std::size_t count) {
  std::list<disk::FdRef> evicted;
  while (used_.size() > count) {
    Inode* const oldest = used_.back();
    evicted.push_back(std::exchange(oldest->descriptor_, nullptr));
    used_.pop_back();
  }
  return evicted;
}

}  // namespace homefs
