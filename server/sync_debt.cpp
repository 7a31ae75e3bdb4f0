#include "server/sync_debt.h"

#include <utility>
#include <vector>

namespace homefs {

void SyncDebt::add(std::span<const InodeRef> inodes) {
  const std::lock_guard lock(mutex_);
  if (due_.is_all) return;
  due_.inodes.insert(inodes.begin(), inodes.end());
  if (due_.inodes.size() <= kInodesMax) return;
  due_.inodes.clear();
  due_.is_all = true;
}

void SyncDebt::add_all() {
  const std::lock_guard lock(mutex_);
  due_.inodes.clear();
  due_.is_all = true;
}

Result<void> SyncDebt::settle(const Payment& payment) {
  const std::lock_guard settling(settling_mutex_);
  Due due;
  {
    const std::lock_guard lock(mutex_);
    due = std::exchange(due_, {});
  }
  Result<void> done{};
  if (due.is_all) {
    done = payment.sync_all();
  } else {
    for (const InodeRef& inode : due.inodes) {
      done = payment.sync_inode(inode);
      if (!done) break;
    }
  }
  if (done) return done;
  if (due.is_all) {
    add_all();
  } else {
    const std::vector<InodeRef> owed(due.inodes.begin(), due.inodes.end());
    add(owed);
  }
  return done;
}

void SyncDebt::clear() {
  Due due;  // released after the lock
  const std::lock_guard lock(mutex_);
  due = std::exchange(due_, {});
}

std::size_t SyncDebt::size() const {
  const std::lock_guard lock(mutex_);
  return due_.inodes.size() + (due_.is_all ? 1 : 0);
}

}  // namespace homefs
