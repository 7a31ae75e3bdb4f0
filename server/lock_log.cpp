#include "server/lock_log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "server/change_facts.h"
#include "server/log.h"

namespace homefs {
namespace {

constexpr std::uint64_t kMagic = 0x326b636f6c656d68;  // "hmelock2"
// Room for the changes of some 200 transactions of SQLite.
constexpr std::size_t kBytesMin = 64 * 1024;
// A change clears what an owner had and sets each of its ranges again. Of what can be cancelled
// each has what was there before.
constexpr std::size_t kEntriesMax = 4 * (kLocksPerSessionMax + kLockWaitsPerSessionMax) +
                                    2 * LockTable::kCancellableMax * LockTable::kBeforeMax;

}  // namespace

struct LockLog::Header {
  std::uint64_t magic;
  std::uint64_t is_void;
  std::uint64_t count;  // entries that are there
};

struct LockLog::Entry {
  std::uint64_t inode;
  std::uint64_t owner;
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t id;
  std::uint32_t pid;
  std::uint32_t generation;
  std::uint16_t kind;
  std::uint16_t type;
  std::uint32_t note;
  std::uint64_t sum;

  [[nodiscard]] std::uint64_t sum_of() const {
    return hash_of(std::as_bytes(std::span(this, 1)).first(offsetof(Entry, sum)));
  }
  static Entry of(const SavedLock& lock) {
    Entry entry{.inode = number_of(lock.file.inode),
                .owner = lock.owner,
                .begin = lock.range.begin,
                .end = lock.range.end,
                .id = lock.id,
                .pid = lock.pid,
                .generation = lock.file.generation,
                .kind = static_cast<std::uint16_t>(lock.file.kind),
                .type = static_cast<std::uint16_t>(lock.type),
                .note = static_cast<std::uint32_t>(lock.note),
                .sum = 0};
    entry.sum = entry.sum_of();
    return entry;
  }
  [[nodiscard]] bool is_good() const {
    return sum == sum_of() && kind <= static_cast<std::uint16_t>(LockKind::kWhole) &&
           type <= static_cast<std::uint16_t>(LockType::kSessionShared) &&
           note <= static_cast<std::uint32_t>(LockNote::kBefore) && begin < end &&
           end <= kLockEndMax;
  }
  [[nodiscard]] SavedLock lock() const {
    return {.file = {InodeNumber{inode}, static_cast<LockKind>(kind), generation},
            .type = static_cast<LockType>(type),
            .owner = owner,
            .range = {begin, end},
            .pid = pid,
            .note = static_cast<LockNote>(note),
            .id = id};
  }
};

LockLog::Header& LockLog::header() const {
  return *reinterpret_cast<Header*>(file_->bytes().data());
}

LockLog::Entry* LockLog::entries() const {
  static_assert(sizeof(Header) % alignof(Entry) == 0);
  return reinterpret_cast<Entry*>(file_->bytes().data() + sizeof(Header));
}

std::size_t LockLog::room() const {
  return (file_->bytes().size() - sizeof(Header)) / sizeof(Entry);
}

Result<std::vector<SavedLock>> LockLog::load() {
  constexpr std::size_t kBytesMax = sizeof(Header) + 2 * kEntriesMax * sizeof(Entry);
  Result<MappedFile> mapped = MappedFile::open(path_, std::max(kBytesMin, kBytesMax));
  if (!mapped && mapped.error().status == Status::kNoSuchFile) return std::vector<SavedLock>();
  if (!mapped) return std::unexpected(mapped.error());
  file_.emplace(std::move(*mapped));
  if (file_->bytes().size() < sizeof(Header) || header().magic != kMagic || header().is_void != 0 ||
      header().count > room()) {
    return fail(Status::kInvalid, "its locks were not kept");
  }
  // What is put behind is read in the same order.
  LockTable table;
  for (std::size_t i = 0; i < header().count; ++i) {
    if (!entries()[i].is_good()) return fail(Status::kInvalid, "its locks are damaged");
    table.restore(1, entries()[i].lock());
  }
  return table.saved_locks_of(1);
}

void LockLog::remove() {
  if (file_) file_->remove();
}

void LockLog::changed(std::span<const SavedLock> changes,
                      const std::function<std::vector<SavedLock>()>& all) {
  if (is_void_ || (file_ && append(changes))) return;
  if (const Result<void> done = write_anew(all()); !done) {
    become_void();
    log_warn("locks-not-durable", {{"why", done.error().message()}});
  }
}

/// From now on a restart ends the session: it must not come back with other locks than it has.
void LockLog::become_void() {
  is_void_ = true;
  if (file_) {
    header().is_void = 1;
  } else {
    // No file means no locks, and for one that says otherwise there may be no room.
    (void)::unlink(record_.c_str());  // nothing is left to try
  }
}

/// False: it is full.
bool LockLog::append(std::span<const SavedLock> changes) {
  const std::uint64_t count = header().count;
  if (count + changes.size() > room()) return false;
  std::ranges::transform(changes, entries() + count, &Entry::of);
  std::atomic_ref(header().count).store(count + changes.size(), std::memory_order_release);
  return true;
}

/// With what is held now, and as much room again. The old file is there until the new one is whole.
Result<void> LockLog::write_anew(std::span<const SavedLock> all) {
  const std::size_t bytes =
      std::max(kBytesMin, sizeof(Header) + 2 * (all.size() + 16) * sizeof(Entry));
  Result<MappedFile> next = MappedFile::make(path_.string() + ".new", bytes, bytes);
  if (!next) return std::unexpected(next.error());
  std::optional<MappedFile> before = std::exchange(file_, std::move(*next));
  header().magic = kMagic;
  const bool is_whole = append(all);
  HOMEFS_CHECK(is_whole);
  Result<void> renamed = file_->rename(path_);
  if (!renamed) file_ = std::move(before);
  return renamed;
}

}  // namespace homefs
