// Home: operations that change data.

#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <shared_mutex>
#include <utility>

#include "server/crash_point.h"
#include "server/disk_mode.h"
#include "server/growth.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/touched.h"
#include "server/write_log.h"

namespace homefs {
namespace {

constexpr auto kOffsetMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool is_in_range(std::uint64_t offset, std::uint64_t length) {
  return offset <= kOffsetMax && length <= kOffsetMax - offset;
}

int flags_of(FallocateMode mode) {
  switch (mode) {
    case FallocateMode::kAllocate:
      return 0;
    case FallocateMode::kKeepSize:
      return FALLOC_FL_KEEP_SIZE;
    case FallocateMode::kPunchHole:
      return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    case FallocateMode::kZero:
      return FALLOC_FL_ZERO_RANGE;
    case FallocateMode::kZeroKeepSize:
      return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  }
  return 0;
}

// The half is a place for a test to kill the server.
Result<void> append_at(int fd, std::span<const std::byte> data, std::uint64_t offset) {
  if constexpr (kHasCrashPoints) {
    const std::size_t half = data.size() / 2;
    if (auto done = disk::write_at(fd, data.first(half), offset); !done) return done;
    crash_point(CrashPoint::kMidChange);
    return disk::write_at(fd, data.subspan(half), offset + half);
  }
  return disk::write_at(fd, data, offset);
}

// Under the size lock: nobody writes between the last byte and the note.
Result<void> write_and_note(const Actor& actor, int fd, std::span<const std::byte> data,
                            std::uint64_t offset) {
  const Result<void> done = disk::write_at(fd, data, offset);
  if (actor.write != nullptr) actor.write->wrote(done ? Status::kOk : done.error().status);
  crash_point(CrashPoint::kWritten);
  return done;
}

bool may_grow(FallocateMode mode) {
  return mode == FallocateMode::kAllocate || mode == FallocateMode::kZero;
}

bool is_late(const Actor& actor) { return actor.foreign != nullptr && actor.foreign->is_late(); }

// What a session had answered early, or its kernel had stored, before another was let in.
Result<void> check_not_late(const Actor& actor, const InodeRef& inode, std::uint64_t end) {
  if (!is_late(actor) || !actor.foreign->concerns(inode->number(), end)) return {};
  return fail(Status::kLeaseLost, "another session has changed the file since it was written");
}

// Of a write(2); what its program waits for is never late.
Result<void> check_not_late_write(const Actor& actor, const InodeRef& inode, std::uint64_t end) {
  return actor.is_buffered ? check_not_late(actor, inode, end) : Result<void>();
}

// Whether pages may have been stored to before the newest change by others. A kernel that was told
// of that has written back before what it had of the file.
bool are_old(const Actor& actor, const Inode& inode, std::uint64_t page_order) {
  const std::uint64_t changed = inode.newest_changes().data_order;
  return is_late(actor) &&
         (actor.foreign->is_from_before(page_order) || changed == 0 || page_order < changed);
}

// Of a change that is under way, or has failed.
constexpr std::uint64_t kUnknownOrder = std::numeric_limits<std::uint64_t>::max();

}  // namespace

/// Notes that the data of a file of `size` bytes is going to be changed, at `from` or behind it:
/// for the other sessions, and for those that are late. Under the size lock, and before a kill can
/// leave the change to the next run of the server.
void Home::touch_data(const Actor& actor, const InodeRef& inode, std::uint64_t size,
                      std::uint64_t from) {
  actor.touched.data(inode, size);
  if (!is_late(actor)) inode->newest_changes().data_order = kUnknownOrder;
  late_sessions_.note(
      {.inode = inode->number(), .from = std::min(from, size), .made_order = inode->made_order()},
      actor.foreign);
}

void Home::note_data_order(const Inode& inode, const Attributes& after) {
  std::uint64_t& order = inode.newest_changes().data_order;
  if (order == kUnknownOrder) order = after.order;
}

Result<Attributes> Home::write(const Actor& actor, const InodeRef& inode, std::uint64_t offset,
                               std::span<const std::byte> data) {
  if (!is_in_range(offset, data.size())) return fail(Status::kTooBig);
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  const int fd = (*file)->get();
  const std::uint64_t end = offset + data.size();
  {
    // Inside of the file as it is: needs nothing of the quota.
    const std::unique_lock lock(inode->size_lock());
    const auto stat = disk::stat_fd(fd);
    if (!stat) return std::unexpected(stat.error());
    if (end <= stat->attributes.size) {
      if (auto done = check_not_late_write(actor, inode, end); !done) {
        return std::unexpected(done.error());
      }
      touch_data(actor, inode, stat->attributes.size, offset);
      if (auto done = write_and_note(actor, fd, data, offset); !done) {
        return std::unexpected(done.error());
      }
      auto after = told_changed(inode, fd);
      if (after) note_data_order(*inode, *after);
      return after;
    }
  }
  quota_->wait_until_decidable();
  auto growth = begin_growth(actor, inode, *file);
  if (!growth) return std::unexpected(growth.error());
  if (auto done = check_not_late_write(actor, inode, end); !done) {
    return std::unexpected(done.error());
  }
  if (auto reserved = reserve_to(*growth, end); !reserved) {
    return std::unexpected(reserved.error());
  }
  touch_data(actor, inode, growth->size(), offset);
  return end_growth(*growth, write_and_note(actor, fd, data, offset));
}

Result<Attributes> Home::write_back(const Actor& actor, const InodeRef& inode, std::uint64_t offset,
                                    std::span<const std::byte> data, std::uint64_t page_order) {
  if (!is_in_range(offset, data.size())) return fail(Status::kTooBig);
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  const int fd = (*file)->get();
  const std::unique_lock lock(inode->size_lock());
  const auto stat = disk::stat_fd(fd);
  if (!stat) return std::unexpected(stat.error());
  const Attributes& before = stat->attributes;
  const Inode::NewestChanges& newest = inode->newest_changes();
  std::uint64_t end = before.size;
  // Its own cuts the session's kernel has made in its pages before it wrote them back.
  if (newest.cut_order > page_order && newest.cut_by != &actor.nodes) {
    end = std::min(end, newest.cut_size);
  }
  if (offset >= end) return told_fd(inode, fd, /*is_change=*/false);
  const auto there = data.first(std::min<std::uint64_t>(data.size(), end - offset));
  if (are_old(actor, *inode, page_order)) {
    auto done = check_not_late(actor, inode, offset + there.size());
    if (!done) return std::unexpected(done.error());
  }
  touch_data(actor, inode, before.size, offset);
  auto done = write_and_note(actor, fd, there, offset);
  if (done && newest.mtime_order > page_order && newest.mtime_by != &actor.nodes) {
    done = disk::change_times(
        fd, {.tv_sec = 0, .tv_nsec = UTIME_OMIT},
        {.tv_sec = before.mtime.seconds, .tv_nsec = static_cast<long>(before.mtime.nanoseconds)});
  }
  if (!done) return std::unexpected(done.error());
  auto after = told_changed(inode, fd);
  if (after) note_data_order(*inode, *after);
  return after;
}

Result<AppendResult> Home::append(const Actor& actor, const InodeRef& inode,
                                  std::span<const std::byte> data) {
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  quota_->wait_until_decidable();
  auto growth = begin_growth(actor, inode, *file);
  if (!growth) return std::unexpected(growth.error());
  const std::uint64_t offset = growth->size();
  if (!is_in_range(offset, data.size())) return fail(Status::kTooBig);
  if (auto reserved = reserve_to(*growth, offset + data.size()); !reserved) {
    return std::unexpected(reserved.error());
  }
  touch_data(actor, inode, offset, offset);
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kAppend, inode);
    facts.numbers.size = offset;
    facts.numbers.length = data.size();
    return facts;
  });
  const Result<void> done = append_at(growth->fd(), data, offset);
  const auto attributes = end_growth(*growth, done);
  if (!attributes) return std::unexpected(attributes.error());
  step.finish({.attributes = *attributes, .number = offset});
  return AppendResult{.offset = offset, .attributes = *attributes};
}

Result<CopyResult> Home::copy(const Actor& actor, const InodeRef& source, const InodeRef& target,
                              const CopyRange& range) {
  if (!is_in_range(range.source_offset, range.length) ||
      !is_in_range(range.target_offset, range.length)) {
    return fail(Status::kOverflow);
  }
  const auto from = open_file(source);
  if (!from) return std::unexpected(from.error());
  const auto to = open_file(target);
  if (!to) return std::unexpected(to.error());
  quota_->wait_until_decidable();
  // The source must not be cut or grow under the copy, else too little is reserved.
  auto growth = begin_growth(actor, target, *to, source);
  if (!growth) return std::unexpected(growth.error());
  const auto stat = disk::stat_fd((*from)->get());
  if (!stat) return std::unexpected(stat.error());
  const std::uint64_t there =
      stat->attributes.size - std::min(stat->attributes.size, range.source_offset);
  const std::uint64_t length = std::min(range.length, there);
  if (length > 0) {
    if (auto reserved = reserve_to(*growth, range.target_offset + length); !reserved) {
      return std::unexpected(reserved.error());
    }
  }
  touch_data(actor, target, growth->size(), range.target_offset);
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kCopy, target);
    ChangeFacts origin = facts_of(ChangeKind::kCopy, source);
    facts.numbers.to = origin.numbers.at;
    facts.to_path = std::move(origin.path);
    facts.numbers.size = growth->size();
    facts.numbers.offset = range.target_offset;
    facts.numbers.source_offset = range.source_offset;
    facts.numbers.length = length;
    return facts;
  });
  Result<void> done{};
  crash_point(CrashPoint::kMidChange);
  CopyResult result;
  const auto copied = disk::copy_range((*from)->get(), range.source_offset, growth->fd(),
                                       range.target_offset, length);
  if (copied) result.length = *copied;
  if (!copied) done = std::unexpected(copied.error());
  const auto attributes = end_growth(*growth, done);
  if (!attributes) return std::unexpected(attributes.error());
  result.attributes = *attributes;
  step.finish({.attributes = *attributes, .number = result.length});
  return result;
}

Result<Attributes> Home::fallocate(const Actor& actor, const InodeRef& inode,
                                   const FallocateRequest& request) {
  if (request.length == 0) return fail(Status::kInvalid);
  if (!is_in_range(request.offset, request.length)) return fail(Status::kTooBig);
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  if (may_grow(request.mode)) quota_->wait_until_decidable();
  auto growth = begin_growth(actor, inode, *file);
  if (!growth) return std::unexpected(growth.error());
  std::uint64_t end = request.offset + request.length;
  if (may_grow(request.mode)) {
    if (auto reserved = reserve_to(*growth, end); !reserved) {
      return std::unexpected(reserved.error());
    }
  } else if (quota_->has_limits()) {
    // Space behind the end of a file is no part of its size: whoever has a quota could fill the
    // disk with it. It is only a hint; there it is not taken.
    end = std::min(end, std::max(growth->size(), request.offset));
  }
  touch_data(actor, inode, growth->size(), request.offset);
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kFallocate, inode);
    facts.numbers.size = growth->size();
    facts.numbers.offset = request.offset;
    facts.numbers.length = end - std::min(end, request.offset);
    facts.numbers.flags = flags_of(request.mode);
    return facts;
  });
  Result<void> done{};
  crash_point(CrashPoint::kMidChange);
  if (end > request.offset) {
    done =
        disk::allocate(growth->fd(), flags_of(request.mode), request.offset, end - request.offset);
  }
  const auto attributes = end_growth(*growth, done);
  if (attributes) step.finish({.attributes = *attributes});
  return attributes;
}

}  // namespace homefs
