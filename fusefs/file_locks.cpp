#include "fusefs/file_locks.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace homefs {
namespace {

bool covers_all(const FileLock& lock) { return lock.begin == 0 && lock.end == kLockEndMax; }

// The request may have taken effect all the same.
bool is_doubtful(Status status) {
  return status == Status::kTimedOut || status == Status::kInterrupted ||
         status == Status::kDisconnected || status == Status::kProtocolError;
}

}  // namespace

void FileLocks::attach(Link& link, KernelNotifier& notifier) {
  link_ = &link;
  notifier_ = &notifier;
}

std::uint64_t FileLocks::begin() {
  const auto state = state_.lock();
  const std::uint64_t id = ++state->last_id;
  state->pending.emplace(id, Pending{});
  return id;
}

Task<Result<>> FileLocks::wait_before(std::uint64_t id,
                                      std::move_only_function<void(Ready)> start) {
  Completion<Result<>> ready([this, id, &start](Done done) {
    {
      const auto state = state_.lock();
      Pending& pending = state->pending.at(id);
      if (!pending.is_interrupted) {
        pending.ready = std::exchange(done, nullptr);
      } else {
        state->pending.erase(id);
      }
    }
    if (done) {
      done(fail(Status::kInterrupted));
    } else {
      start([this, id] { on_ready(id); });
    }
  });
  Result<> result = co_await ready;
  co_return result;
}

void FileLocks::on_ready(std::uint64_t id) {
  Done ready;
  {
    const auto state = state_.lock();
    const auto found = state->pending.find(id);
    if (found == state->pending.end()) return;  // interrupted
    ready = std::exchange(found->second.ready, nullptr);
  }
  if (ready) ready({});
}

Task<Result<>> FileLocks::set(FileLock lock, std::uint64_t id) {
  // Also whoever unlocks: what was written under them was refused.
  if (is_lost(lock.handle)) {
    (void)state_.lock()->pending.erase(id);
    co_return fail(Status::kIoError, "locks of this file are lost");
  }
  Completion<Result<>> answer([this, &lock, id](Done done) { ask(lock, id, std::move(done)); });
  Result<> result = co_await answer;
  co_return result;
}

void FileLocks::ask(FileLock lock, std::uint64_t id, Done done) {
  {
    const auto state = state_.lock();
    Pending& pending = state->pending.at(id);
    if (!pending.is_interrupted) {
      pending.lock = lock;
      pending.done = std::exchange(done, nullptr);
      begin_holding(*state, pending);
    } else {
      state->pending.erase(id);
    }
  }
  if (done) {
    done(fail(Status::kInterrupted));
  } else {
    send(id);
  }
}

/// Nothing is sent for a request that is over. One that ends meanwhile ends here, so that nothing
/// of it comes behind what cancels it, or behind the unlocking of what it has got.
void FileLocks::send(std::uint64_t id) {
  FileLock lock;
  {
    const auto state = state_.lock();
    const auto found = state->pending.find(id);
    if (found == state->pending.end()) return;
    ++found->second.sending;
    found->second.asked_after = state->breaks;
    lock = found->second.lock;
  }
  send_now(lock, id);
  std::optional<Ending> ending;
  {
    const auto state = state_.lock();
    Pending& pending = state->pending.at(id);
    if (--pending.sending == 0) ending = std::exchange(pending.ending, std::nullopt);
  }
  if (ending) end(id, *std::move(ending));
}

void FileLocks::send_now(const FileLock& lock, std::uint64_t id) {
  const LockRequest request{.node = lock.locker.node,
                            .kind = lock.locker.kind,
                            .type = lock.type,
                            .waits = lock.waits,
                            .owner = lock.locker.owner,
                            .begin = lock.begin,
                            .end = lock.end,
                            .id = id,
                            .pid = lock.pid};
  (void)link_->send(make_call(Op::kLock, {request.node}, request),
                    [this, id](Result<InFrame> reply) {
                      on_answer(id, reply ? message_of<LockReply>(*reply)
                                          : Result<LockReply>(std::unexpected(reply.error())));
                    });
}

void FileLocks::on_answer(std::uint64_t id, Result<LockReply> reply) {
  if (!reply) {
    if (is_doubtful(reply.error().status)) return take_back(id, reply.error());
    finish(id, std::unexpected(reply.error()));
  } else if (reply->is_granted) {
    notifier_->when_told([this, id] { finish(id, {}); });
  } else {
    on_queued(id);
  }
}

void FileLocks::on_queued(std::uint64_t id) {
  bool is_missed = false;
  {
    const auto state = state_.lock();
    const auto found = state->pending.find(id);
    if (found == state->pending.end()) return;
    found->second.is_queued = true;
    // The answer is from before a break, and the event may have gone down with the connection.
    is_missed = found->second.asked_after != state->breaks;
  }
  if (is_missed) send(id);
}

void FileLocks::on_granted(std::uint64_t id) {
  notifier_->when_told([this, id] { post_([this, id] { finish(id, {}); }); });
}

void FileLocks::finish(std::uint64_t id, Result<> result) {
  end(id, {.result = std::move(result), .cancels = false});
}

/// The server takes the request back, however far it got.
void FileLocks::take_back(std::uint64_t id, Error why) {
  end(id, {.result = std::unexpected(std::move(why)), .cancels = true});
}

/// Whoever comes first answers the request; nothing happens when it was answered. What was granted
/// before a break is asked for once more: the session may be lost that had it. (It waited for the
/// kernel to be told of what others had changed, which may take longer than a session lives.)
void FileLocks::end(std::uint64_t id, Ending ending) {
  Done done;
  bool must_ask_again = false;
  {
    const auto state = state_.lock();
    const auto found = state->pending.find(id);
    if (found == state->pending.end() || !found->second.done) return;
    Pending& pending = found->second;
    if (pending.sending > 0) {
      if (!pending.ending) pending.ending = std::move(ending);
      return;
    }
    const bool is_lock = ending.result && pending.lock.type != LockType::kNone;
    must_ask_again = is_lock && pending.asked_after != state->breaks;
    if (!must_ask_again) {
      done = std::move(pending.done);
      end_asking(*state, pending, ending.result.has_value());
      state->pending.erase(found);
    }
  }
  if (must_ask_again) return send(id);
  if (ending.cancels) cancel(id);
  done(std::move(ending.result));
}

void FileLocks::interrupt(std::uint64_t id) {
  // The caller holds a lock of libfuse.
  post_([this, id] { end_request(id, Status::kInterrupted); });
}

void FileLocks::end_request(std::uint64_t id, Status status) {
  Done ready;
  {
    const auto state = state_.lock();
    const auto found = state->pending.find(id);
    if (found == state->pending.end()) return;
    ready = std::exchange(found->second.ready, nullptr);
    if (ready) {
      state->pending.erase(found);
    } else if (!found->second.done) {
      found->second.is_interrupted = true;
      return;
    }
  }
  if (ready) return ready(fail(status));
  take_back(id, {status, ""});
}

void FileLocks::end_waits() {
  std::vector<std::uint64_t> ids;
  {
    const auto state = state_.lock();
    for (const auto& [id, pending] : state->pending) {
      if (pending.is_queued) ids.push_back(id);
    }
  }
  // Not EINTR, which the kernel takes for a call that it has to make again.
  for (const std::uint64_t id : ids) take_back(id, {Status::kIoError, "the mount ends"});
}

void FileLocks::cancel(std::uint64_t id) {
  // In sequence behind the request: it is carried out once, whatever happens to the connection.
  (void)link_->send(make_call(Op::kCancelLock, {}, CancelLockRequest{id}), [](Result<InFrame>) {});
}

Task<Result<TestLockReply>> FileLocks::test(FileLock lock) {
  const TestLockRequest request{.node = lock.locker.node,
                                .type = lock.type,
                                .owner = lock.locker.owner,
                                .begin = lock.begin,
                                .end = lock.end};
  auto waiting = link_->call(make_call(Op::kTestLock, {request.node}, request));
  Result<InFrame> reply = co_await waiting;
  if (!reply) co_return std::unexpected(reply.error());
  co_return message_of<TestLockReply>(*reply);
}

// ---- Who may hold what ------------------------------------------------------------------------

void FileLocks::count(const State& state) {
  lost_ = state.lost.size();  // first: who does not find a holding any more has to find this
  holdings_ = state.holdings.size();
}

void FileLocks::begin_holding(State& state, Pending& pending) {
  const FileLock& lock = pending.lock;
  if (lock.type == LockType::kNone) {
    const auto found = state.holdings.find(lock.locker);
    if (found == state.holdings.end() || !covers_all(lock)) return;
    pending.handles = found->second.handles;
    // From here on, not from its answer on: a request that is made meanwhile comes behind it.
    found->second.has_lock = false;
    if (found->second.asking == 0) state.holdings.erase(found);
  } else {
    if (lock.locker.kind == LockKind::kRecord) had_record_locks_ = true;
    Holding& holding = state.holdings[lock.locker];
    holding.handles.insert(lock.handle);
    ++holding.asking;
  }
  count(state);
}

void FileLocks::end_asking(State& state, const Pending& pending, bool is_granted) {
  const FileLock& lock = pending.lock;
  if (lock.type == LockType::kNone) {
    // It holds what it held, for as long as one of those handles is open: the last one that is
    // closed clears it.
    if (!is_granted && !pending.handles.empty()) {
      Holding& holding = state.holdings[lock.locker];
      holding.handles.insert(pending.handles.begin(), pending.handles.end());
      holding.has_lock = true;
    }
  } else {
    const auto found = state.holdings.find(lock.locker);
    HOMEFS_CHECK(found != state.holdings.end() && found->second.asking > 0);
    --found->second.asking;
    found->second.has_lock |= is_granted;
    if (found->second.asking == 0 && !found->second.has_lock) state.holdings.erase(found);
  }
  count(state);
}

bool FileLocks::may_hold(const FileLocker& locker) {
  return holdings_ != 0 && state_.lock()->holdings.contains(locker);
}

bool FileLocks::concern(NodeId node) {
  if (holdings_ == 0) return false;
  const auto state = state_.lock();
  const auto first = state->holdings.lower_bound({node, LockKind::kRecord, 0});
  return first != state->holdings.end() && first->first.node == node;
}

bool FileLocks::has_record_locks(NodeId node) {
  if (holdings_ == 0) return false;
  const auto state = state_.lock();
  const auto first = state->holdings.lower_bound({node, LockKind::kRecord, 0});
  return first != state->holdings.end() && first->first.node == node &&
         first->first.kind == LockKind::kRecord;
}

Task<Result<>> FileLocks::drop(FileLocker locker) {
  const std::uint64_t id = begin();
  FileLock all{.locker = locker, .type = LockType::kNone};
  Result<> result = co_await set(all, id);
  co_return result;
}

std::vector<FileLocker> FileLocks::close_handle(std::uint64_t handle) {
  std::vector<FileLocker> last;
  if (holdings_ == 0 && lost_ == 0) return last;
  const auto state = state_.lock();
  state->lost.erase(handle);
  for (auto& [id, pending] : state->pending) pending.handles.erase(handle);
  for (auto& [locker, holding] : state->holdings) {
    if (!holding.handles.contains(handle)) continue;
    if (holding.handles.size() == 1) {
      last.push_back(locker);
    } else {
      holding.handles.erase(handle);
    }
  }
  count(*state);
  return last;
}

void FileLocks::forget_handle(std::uint64_t handle) {
  const auto state = state_.lock();
  state->lost.erase(handle);
  for (auto& [id, pending] : state->pending) pending.handles.erase(handle);
  for (auto& [locker, holding] : state->holdings) holding.handles.erase(handle);
  std::erase_if(state->holdings, [](const auto& entry) {
    return entry.second.handles.empty() && entry.second.asking == 0;
  });
  count(*state);
}

bool FileLocks::is_lost(std::uint64_t handle) {
  return lost_ != 0 && state_.lock()->lost.contains(handle);
}

// The session's number is asked for first: if the session is lost after that, the link finds out;
// if before, the lock is known to be lost by now.
Result<std::uint64_t> FileLocks::session_for(NodeId node, std::uint64_t handle) {
  if (holdings_ == 0 && lost_ == 0) return 0;
  const std::uint64_t session = link_->session_number();
  const auto state = state_.lock();
  if (state->lost.contains(handle)) {
    return fail(Status::kIoError, "locks of this file are lost");
  }
  const auto first = state->holdings.lower_bound({node, LockKind::kRecord, 0});
  const auto is_other = [&](const auto& entry) { return entry.first.node != node; };
  const auto end = std::find_if(first, state->holdings.end(), is_other);
  const bool is_locked =
      std::any_of(first, end, [](const auto& entry) { return entry.second.has_lock; });
  return is_locked ? session : 0;
}

std::vector<std::uint64_t> FileLocks::lost_handles(NodeId node) {
  std::vector<std::uint64_t> handles;
  if (lost_ == 0) return handles;
  const auto state = state_.lock();
  for (const auto& [handle, locked] : state->lost) {
    if (locked == node) handles.push_back(handle);
  }
  return handles;
}

// ---- Sessions ---------------------------------------------------------------------------------

void FileLocks::on_session(bool is_same_session) {
  std::vector<std::uint64_t> queued;
  std::size_t owners = 0;
  {
    const auto state = state_.lock();
    ++state->breaks;
    if (!is_same_session) {
      for (auto& [locker, holding] : state->holdings) {
        if (!std::exchange(holding.has_lock, false)) continue;
        ++owners;
        for (const std::uint64_t handle : holding.handles) state->lost[handle] = locker.node;
      }
      std::erase_if(state->holdings, [](const auto& entry) { return entry.second.asking == 0; });
      count(*state);
    }
    for (auto& [id, pending] : state->pending) {
      if (pending.done && pending.is_queued) queued.push_back(id);
    }
  }
  if (owners > 0) {
    spdlog::warn(
        "the server has lost the locks of this mount: owners={}; what was opened to take "
        "them fails with EIO until it is closed",
        owners);
  }
  for (const std::uint64_t id : queued) {
    post_([this, id] { send(id); });
  }
}

}  // namespace homefs
