#include "fusefs/fuse_locks.h"

#define FUSE_USE_VERSION 314
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/file.h>

#include <cerrno>

#include "fusefs/fuse_reply.h"
#include "fusefs/fuse_waiting.h"

namespace homefs {
namespace {

FuseOps& ops_of(fuse_req_t request) { return *static_cast<FuseOps*>(fuse_req_userdata(request)); }

// libfuse calls this with a lock of the request held, possibly while it is being answered: so it
// carries a number.
void on_interrupt(fuse_req_t request, void* id) {
  ops_of(request).files().locks().interrupt(reinterpret_cast<std::uintptr_t>(id));
}

static_assert(sizeof(void*) >= sizeof(std::uint64_t), "numbers of requests travel as pointers");

Task<> reply_waited(fuse_req_t request, Task<Result<>> work) {
  Result<> result = co_await std::move(work);
  fuse_reply_err(request, result ? 0 : errno_of(result.error().status));
}

// What does not wait for others no signal ends on a local disk. Here it may wait for the server,
// and is ended as any such call. Then the program must not hold what it was told it has not got. An
// unlocking goes on instead: nobody looks at how that ends.
Task<> reply_at_once(fuse_req_t request, std::uint64_t taken_back, Task<Result<>> work) {
  Waiting waiting(request, WaitingRequests::Kind::kCall, taken_back);
  Result<> result = co_await std::move(work);
  if (!waiting.take()) co_return;
  fuse_reply_err(request, result ? 0 : errno_of(result.error().status));
}

void set_lock(fuse_req_t request, const FileLock& lock) {
  FuseOps& ops = ops_of(request);
  const std::uint64_t id = ops.files().locks().begin();
  if (!lock.waits) {
    const std::uint64_t taken_back = lock.type == LockType::kNone ? 0 : id;
    ops.spawn(reply_at_once(request, taken_back, ops.files().set_lock(lock, id)));
    return;
  }
  // Any signal ends the wait at once; the kernel makes the call again where the program wants that.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a number is what it is given for
  fuse_req_interrupt_func(request, on_interrupt, reinterpret_cast<void*>(id));
  ops.spawn(reply_waited(request, ops.files().set_lock(lock, id)));
}

// A length of 0 reaches to the end of the file, however long it gets.
FileLock record_lock(fuse_ino_t node, const fuse_file_info& info, const struct flock& asked) {
  FileLock lock{.locker = {NodeId{node}, LockKind::kRecord, info.lock_owner},
                .type = asked.l_type == F_RDLCK   ? LockType::kShared
                        : asked.l_type == F_WRLCK ? LockType::kExclusive
                                                  : LockType::kNone,
                .begin = static_cast<std::uint64_t>(asked.l_start),
                .pid = static_cast<std::uint32_t>(asked.l_pid),
                .handle = info.fh};
  if (asked.l_len != 0) lock.end = lock.begin + static_cast<std::uint64_t>(asked.l_len);
  return lock;
}

void on_setlk(fuse_req_t request, fuse_ino_t node, fuse_file_info* info, struct flock* asked,
              int waits) {
  FileLock lock = record_lock(node, *info, *asked);
  lock.waits = waits != 0 && lock.type != LockType::kNone;
  set_lock(request, lock);
}

void on_flock(fuse_req_t request, fuse_ino_t node, fuse_file_info* info, int operation) {
  FileLock lock{.locker = {NodeId{node}, LockKind::kWhole, info->lock_owner}, .handle = info->fh};
  switch (operation & ~LOCK_NB) {
    case LOCK_SH:
      lock.type = LockType::kShared;
      break;
    case LOCK_EX:
      lock.type = LockType::kExclusive;
      break;
    case LOCK_UN:
      lock.type = LockType::kNone;
      break;
    default:
      fuse_reply_err(request, EINVAL);
      return;
  }
  lock.waits = (operation & LOCK_NB) == 0 && lock.type != LockType::kNone;
  set_lock(request, lock);
}

void reply_holder(fuse_req_t request, const std::optional<LockHolder>& holder) {
  struct flock out{};
  out.l_type = F_UNLCK;
  if (holder) {
    out.l_type = holder->type == LockType::kExclusive ? F_WRLCK : F_RDLCK;
    out.l_start = static_cast<off_t>(holder->begin);
    if (holder->end != kLockEndMax) out.l_len = static_cast<off_t>(holder->end - holder->begin);
    out.l_pid = static_cast<pid_t>(holder->pid);
  }
  fuse_reply_lock(request, &out);
}

Task<> reply_test(fuse_req_t request, Task<Result<TestLockReply>> work) {
  Waiting waiting(request);
  Result<TestLockReply> tested = co_await std::move(work);
  if (!waiting.take()) co_return;
  if (!tested) {
    reply_error(request, tested.error());
  } else {
    reply_holder(request, tested->holder);
  }
}

void on_getlk(fuse_req_t request, fuse_ino_t node, fuse_file_info* info, struct flock* asked) {
  const FileLock lock = record_lock(node, *info, *asked);
  if (lock.type == LockType::kNone) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_test(request, ops.files().locks().test(lock)));
}

}  // namespace

void add_lock_operations(fuse_lowlevel_ops& table) {
  table.getlk = on_getlk;
  table.setlk = on_setlk;
  table.flock = on_flock;
}

}  // namespace homefs
