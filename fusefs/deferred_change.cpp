#include "fusefs/deferred_change.h"

#include <sys/stat.h>

#include <utility>

#include "fusefs/wall_clock.h"
#include "protocol/privileges.h"

namespace homefs {
namespace {

constexpr std::uint32_t kSetOwner = kSetUid | kSetGid | kSetKillPrivileges;

void apply(const SetattrRequest& change, const Timestamp& now, Attributes& to) {
  const auto has = [&](std::uint32_t bit) { return (change.which & bit) != 0; };
  if (has(kSetUid)) to.uid = change.uid;
  if (has(kSetGid)) to.gid = change.gid;
  if (has(kSetMode)) {
    to.mode = (to.mode & S_IFMT) | (change.mode & ~static_cast<std::uint32_t>(S_IFMT));
  } else if (has(kSetOwner)) {
    to.mode = without_privileges(to.mode);
  }
  if (has(kSetAtime)) to.atime = change.atime;
  if (has(kSetMtime)) to.mtime = change.mtime;
  if (has(kSetAtimeNow)) to.atime = now;
  if (has(kSetMtimeNow)) to.mtime = now;
  to.ctime = now;
}

// `first` and then `second`, in one.
void join_into(SetattrRequest& first, const SetattrRequest& second) {
  const auto has = [&](std::uint32_t bits) { return (second.which & bits) != 0; };
  if (has(kSetUid)) first.uid = second.uid;
  if (has(kSetGid)) first.gid = second.gid;
  if (has(kSetMode)) {
    first.mode = second.mode;
  } else if (has(kSetOwner)) {
    first.mode = without_privileges(first.mode);
  }
  if (has(kSetAtime | kSetAtimeNow)) first.which &= ~(kSetAtime | kSetAtimeNow);
  if (has(kSetMtime | kSetMtimeNow)) first.which &= ~(kSetMtime | kSetMtimeNow);
  if (has(kSetAtime)) first.atime = second.atime;
  if (has(kSetMtime)) first.mtime = second.mtime;
  first.which |= second.which;
}

}  // namespace

void DeferredChange::join(const SetattrRequest& change) {
  HOMEFS_CHECK(may_defer(change));
  changed_at_ = wall_clock_now();
  if (waiting_) {
    join_into(*waiting_, change);
  } else {
    waiting_ = change;
  }
}

std::optional<SetattrRequest> DeferredChange::begin_sending() {
  if (!waiting_ || sent_) return std::nullopt;
  sent_ = std::exchange(waiting_, std::nullopt);
  return sent_;
}

void DeferredChange::put_back() {
  HOMEFS_CHECK(sent_.has_value());
  if (waiting_) join_into(*sent_, *waiting_);
  waiting_ = std::exchange(sent_, std::nullopt);
}

std::vector<DeferredChange::Wake> DeferredChange::finish() {
  HOMEFS_CHECK(sent_.has_value());
  sent_.reset();
  return std::exchange(waiters_, {});
}

bool DeferredChange::when_answered(Wake& wake) {
  if (!sent_) return false;
  waiters_.push_back(std::move(wake));
  return true;
}

void DeferredChange::apply_to(Attributes& attributes) const {
  if (sent_) apply(*sent_, changed_at_, attributes);
  if (waiting_) apply(*waiting_, changed_at_, attributes);
}

}  // namespace homefs
