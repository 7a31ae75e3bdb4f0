// Home: the frame around everything that may change a file's size: reserve, change, settle.

#include "server/growth.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/disk_mode.h"
#include "server/inode_table.h"
#include "server/touched.h"

namespace homefs {

// Waits until the file is ours alone, and `source_or_null` does not change its size. kStale when
// the file was removed while we waited.
Result<Home::Growth> Home::begin_growth(const Actor& actor, const InodeRef& inode,
                                        const disk::FdRef& file, const InodeRef& source_or_null) {
  // Size locks in the order of the numbers, and only then the Change.
  std::unique_lock size_lock(inode->size_lock(), std::defer_lock);
  std::shared_lock<std::shared_mutex> source_lock;
  if (source_or_null != nullptr && source_or_null != inode) {
    source_lock = std::shared_lock(source_or_null->size_lock(), std::defer_lock);
    if (source_or_null->number() < inode->number()) source_lock.lock();
  }
  size_lock.lock();
  if (source_lock.mutex() != nullptr && !source_lock.owns_lock()) source_lock.lock();
  // What is gone is not accounted any more; nothing of it may grow.
  if (inodes_->is_gone(*inode)) return fail(Status::kStale);
  auto change = scan_->change();
  auto before = stat_true(file->get());
  if (!before) return std::unexpected(before.error());
  if (inode->is_file()) change.touch(*before);  // nothing else has a size that counts
  return Growth{.actor = actor,
                .inode = inode,
                .file = file,
                .size_lock = std::move(size_lock),
                .source_lock = std::move(source_lock),
                .change = std::move(change),
                .before = *before,
                .reservation = {}};
}

// Makes sure that the file may have `size` bytes. kOverQuota: nothing was changed.
Result<void> Home::reserve_to(Growth& growth, std::uint64_t size) {
  if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return fail(Status::kTooBig);
  }
  if (size <= growth.size()) return {};
  auto reservation =
      quota_->reserve(growth.actor.grant, {.bytes = size - growth.size()}, growth.actor.from_grant);
  if (!reservation) return std::unexpected(reservation.error());
  growth.reservation.emplace(*std::move(reservation));
  growth.size_reserved = size;
  return {};
}

// Accounts for what became of the size, and returns the attributes. After an error the file gets
// its old size back: a change that failed half way leaves no half. Programs on the server may have
// changed the size as well: what they have appended stays, and whatever it is then is what counts.
Result<Attributes> Home::end_growth(Growth& growth, const Result<void>& done) {
  auto after = disk::stat_fd(growth.fd());
  // Sizes of folders and symlinks are none of the quota's business.
  const bool is_file = growth.inode->is_file();
  if (is_file && after && !done && after->attributes.size > growth.size() &&
      after->attributes.size <= growth.size_reserved) {
    (void)disk::truncate(growth.fd(), growth.size());  // what it is then is what counts
    after = disk::stat_fd(growth.fd());
  }
  // The disk fails: what was reserved is given back, and a recount finds the truth.
  if (!after) return std::unexpected(after.error());
  const std::uint64_t size = after->attributes.size;
  growth.actor.touched.sized(*growth.inode, size);
  if (is_file && size < growth.size()) quota_->release({.bytes = growth.size() - size});
  const Usage grown{.bytes = is_file ? size - std::min(size, growth.size()) : 0};
  if (growth.reservation) {
    growth.reservation->settle(grown);
  } else {
    quota_->count(grown);
  }
  if (!done) return std::unexpected(done.error());
  if (auto made = make_true(growth.fd(), *after); !made) return std::unexpected(made.error());
  const Attributes attributes = told(growth.inode, *after, /*is_change=*/true);
  note_data_order(*growth.inode, attributes);
  return attributes;
}

}  // namespace homefs
