#include "fusefs/unsynced_changes.h"

#include <utility>

namespace homefs {

void UnsyncedChanges::changed(InodeNumber inode) {
  recent_[inode] = ++last_change_;
  if (recent_.size() >= kChangedMax) older_ = std::exchange(recent_, {});
}

void UnsyncedChanges::synced(InodeNumber inode, std::uint64_t change) {
  for (Changes* changes : {&recent_, &older_}) {
    const auto found = changes->find(inode);
    if (found != changes->end() && found->second <= change) changes->erase(found);
  }
}

std::size_t UnsyncedChanges::lose() {
  for (Changes* changes : {&recent_, &older_}) {
    for (const auto& [inode, change] : *changes) lost_.insert(inode);
    *changes = {};
  }
  return lost_.size();
}

}  // namespace homefs
