#include "server/digest_cache.h"

namespace homefs {

std::optional<Md5Digest> DigestCache::find(InodeNumber file, std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(file);
  if (place == places_.end() || place->second->version != version) return std::nullopt;
  used_.splice(used_.begin(), used_, place->second);
  return place->second->digest;
}

void DigestCache::put(InodeNumber file, std::uint64_t version, const Md5Digest& digest) {
  const std::lock_guard lock(mutex_);
  if (const auto place = places_.find(file); place != places_.end()) {
    used_.erase(place->second);
    places_.erase(place);
  }
  used_.push_front({file, version, digest});
  places_.emplace(file, used_.begin());
  if (used_.size() <= kFilesMax) return;
  places_.erase(used_.back().file);
  used_.pop_back();
}

std::size_t DigestCache::size() const {
  const std::lock_guard lock(mutex_);
  return used_.size();
}

}  // namespace homefs
