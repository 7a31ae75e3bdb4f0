#include "server/handlers.h"
#include "server/home_locks.h"
#include "server/inode.h"
#include "server/posix_disk.h"

namespace homefs::handlers {
namespace {

bool is_range(std::uint64_t begin, std::uint64_t end) { return begin < end && end <= kLockEndMax; }

LockedFile file_of(const Inode& inode, LockKind kind) {
  return {inode.number(), kind, disk::generation_of(inode.identity().birth_ns)};
}

bool is_well_formed(const LockRequest& request) {
  if (!is_range(request.begin, request.end)) return false;
  if (request.waits && request.id == 0) return false;
  return request.kind == LockKind::kRecord || (request.begin == 0 && request.end == kLockEndMax);
}

Status status_of(LockOutcome outcome) {
  switch (outcome) {
    case LockOutcome::kGranted:
    case LockOutcome::kQueued:
      return Status::kOk;
    case LockOutcome::kWouldBlock:
      return Status::kWouldBlock;
    case LockOutcome::kDeadlock:
      return Status::kDeadlock;
    case LockOutcome::kNoLocks:
      return Status::kNoLocks;
  }
  return Status::kIoError;
}

}  // namespace

Reply lock(HandlerContext& context, const LockRequest& request) {
  if (!is_well_formed(request)) {
    return error_reply({.status = Status::kInvalid, .context = "a lock without a proper range"});
  }
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const LockOutcome outcome = context.home.locks().set({.file = file_of(**inode, request.kind),
                                                        .type = request.type,
                                                        .waits = request.waits,
                                                        .owner = {context.locker, request.owner},
                                                        .range = {request.begin, request.end},
                                                        .id = request.id,
                                                        .pid = request.pid});
  const Status status = status_of(outcome);
  if (!is_success(status)) return error_reply({.status = status, .context = {}});
  return reply_with(LockReply{outcome == LockOutcome::kGranted});
}

Reply cancel_lock(HandlerContext& context, const CancelLockRequest& request) {
  context.home.locks().cancel(context.locker, request.id);
  return reply_with(EmptyMessage{});
}

Reply test_lock(HandlerContext& context, const TestLockRequest& request) {
  if (!is_range(request.begin, request.end) || request.type == LockType::kNone) {
    return error_reply({.status = Status::kInvalid, .context = "no lock to test for"});
  }
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto held = context.home.locks().find_conflict({.file = file_of(**inode, LockKind::kRecord),
                                                        .type = request.type,
                                                        .owner = {context.locker, request.owner},
                                                        .range = {request.begin, request.end}});
  TestLockReply reply;
  if (held) {
    reply.holder = LockHolder{.type = held->type,
                              .begin = held->range.begin,
                              .end = held->range.end,
                              .pid = held->owner.session == context.locker ? held->pid : 0};
  }
  return reply_with(reply);
}

}  // namespace homefs::handlers
