// Locks and the data that they guard: what was written under one is at the server before the next
// owner gets it. That nothing old is read under one is FileLocks' part.
#include "fusefs/file_system.h"

namespace homefs {
namespace {

// SQLite's index of a write-ahead log is memory that the processes share by mmap(2): those of two
// mounts cannot. Each holds a shared lock on this byte of NAME-shm while it uses it (os_unix.c,
// UNIX_SHM_DMS); it is given to one mount at a time, so that the others hear "busy" or "locking
// protocol" and no transaction is lost.
constexpr std::uint64_t kSqliteUserByte = 128;
constexpr std::string_view kSqliteIndexEnd = "-shm";

bool is_use_of_shared_memory(const FileLock& lock, std::string_view name) {
  return lock.locker.kind == LockKind::kRecord && lock.type == LockType::kShared &&
         lock.begin == kSqliteUserByte && lock.end == kSqliteUserByte + 1 &&
         name.ends_with(kSqliteIndexEnd);
}

}  // namespace

Task<Result<>> FileSystem::set_lock(FileLock lock, std::uint64_t id) {
  if (lock.type != LockType::kExclusive) {
    const NodeId node = lock.locker.node;
    Result<> ready = co_await locks_.wait_before(id, [this, node](FileLocks::Ready done) {
      background_.spawn(take_pages_and_drain(node, std::move(done)));
    });
    if (!ready) co_return ready;
  }
  {
    auto state = state_.lock();
    const Node* node = state->nodes.find(lock.locker.node);
    if (node != nullptr && is_use_of_shared_memory(lock, node->name.view())) {
      lock.type = LockType::kSessionShared;
    }
  }
  Result<> result = co_await locks_.set(lock, id);
  co_return result;
}

Task<Result<>> FileSystem::close(NodeId id, std::uint64_t handle, std::uint64_t lock_owner) {
  Result<> flushed = co_await flush(id, handle);
  if (flushed) {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node != nullptr && node->data != nullptr) node->data->was_closed = true;
  }
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
  // The session may have been lost meanwhile. What was written under the lock has been refused.
  locks_.forget_handle(handle);
  release(handle);
}

void FileSystem::on_lock_granted(std::uint64_t id) { locks_.on_granted(id); }

void FileSystem::on_session(bool is_same_session) { locks_.on_session(is_same_session); }

}  // namespace homefs
