// Locks and the data that they guard: what was written under one is at the server before the next
// owner gets it. That nothing old is read under one is FileLocks' part.
#include "fusefs/file_system.h"

namespace homefs {

Task<Result<>> FileSystem::set_lock(FileLock lock, std::uint64_t id) {
  if (lock.type != LockType::kExclusive) co_await drained(lock.locker.node);
  Result<> result = co_await locks_.set(lock, id);
  co_return result;
}

Task<Result<>> FileSystem::close(NodeId id, std::uint64_t lock_owner) {
  Result<> flushed = co_await flush(id);
  const FileLocker closer{id, LockKind::kRecord, lock_owner};
  if (locks_.may_hold(closer)) {
    Result<> dropped = co_await locks_.drop(closer);
    if (flushed) flushed = dropped;
  }
  co_return flushed;
}

void FileSystem::release_with_locks(std::uint64_t handle) {
  const std::vector<FileLocker> lockers = locks_.close_handle(handle);
  if (lockers.empty()) {
    release(handle);
  } else {
    background_.spawn(drop_and_release(handle, lockers));
  }
}

// The file stays open meanwhile: as long as it is, the server can be told which one is meant.
Task<> FileSystem::drop_and_release(std::uint64_t handle, std::vector<FileLocker> lockers) {
  for (const FileLocker& locker : lockers) {
    co_await drained(locker.node);
    (void)co_await locks_.drop(locker);  // nobody is there any more to hear of it
  }
  release(handle);
}

void FileSystem::on_lock_granted(std::uint64_t id) { locks_.on_granted(id); }

void FileSystem::on_session(bool is_same_session) { locks_.on_session(is_same_session); }

}  // namespace homefs
