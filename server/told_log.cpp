#include "server/told_log.h"

namespace homefs {

void ToldLog::note_inode(InodeNumber inode, std::int64_t ctime_ns) {
  Period old;  // released after the lock
  const std::lock_guard lock(mutex_);
  if (now_.inodes.size() >= kNotesMax) rotate_locked(old);
  now_.inodes[inode] = ctime_ns;
}

void ToldLog::note_entry(InodeNumber folder, const std::string& name, InodeNumber target) {
  Period old;  // released after the lock
  const std::lock_guard lock(mutex_);
  if (now_.entries.size() >= kNotesMax) rotate_locked(old);
  now_.entries[{folder, name}] = target;
}

bool ToldLog::has_inode(InodeNumber inode, std::int64_t ctime_ns) const {
  const std::lock_guard lock(mutex_);
  for (const Period* period : {&now_, &before_}) {
    const auto found = period->inodes.find(inode);
    if (found == period->inodes.end()) continue;
    return found->second == ctime_ns || found->second == kUnseen;
  }
  return false;
}

bool ToldLog::has_entry(InodeNumber folder, const std::string& name, InodeNumber target) const {
  const std::lock_guard lock(mutex_);
  for (const Period* period : {&now_, &before_}) {
    const auto found = period->entries.find({folder, name});
    if (found != period->entries.end()) return found->second == target;
  }
  return false;
}

void ToldLog::rotate() {
  Period old;  // released after the lock
  const std::lock_guard lock(mutex_);
  rotate_locked(old);
}

void ToldLog::rotate_locked(Period& old) { old = std::exchange(before_, std::exchange(now_, {})); }

}  // namespace homefs
