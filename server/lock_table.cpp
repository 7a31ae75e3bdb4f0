#include "server/lock_table.h"

#include <algorithm>
#include <set>
#include <utility>

#include "protocol/result.h"

namespace homefs {
namespace {

// Whether locks of two owners may overlap.
bool may_overlap(const LockOwner& one, LockType its, const LockOwner& other, LockType others) {
  if (its == LockType::kExclusive || others == LockType::kExclusive) return false;
  const bool is_inside_session =
      its == LockType::kSessionShared || others == LockType::kSessionShared;
  return !is_inside_session || one.session == other.session;
}

}  // namespace

// ---- Ranges of one owner ----------------------------------------------------------------------

/// `pieces` with all of `range` replaced by `set`, or by nothing.
LockTable::Pieces LockTable::with(const Pieces& pieces, const LockRange& range,
                                  std::optional<Piece> set) {
  Pieces parts;
  parts.reserve(pieces.size() + 2);
  const auto keep = [&](const Piece& piece, std::uint64_t begin, std::uint64_t end) {
    if (begin < end) parts.push_back({{begin, end}, piece.type, piece.pid});
  };
  for (const Piece& piece : pieces) {
    keep(piece, piece.range.begin, std::min(piece.range.end, range.begin));
    if (set && piece.range.end > range.begin) parts.push_back(*std::exchange(set, std::nullopt));
    keep(piece, std::max(piece.range.begin, range.end), piece.range.end);
  }
  if (set) parts.push_back(*set);
  Pieces joined;
  for (const Piece& part : parts) {
    if (!joined.empty() && joined.back().range.end == part.range.begin &&
        joined.back().type == part.type) {
      joined.back().range.end = part.range.end;
    } else {
      joined.push_back(part);
    }
  }
  return joined;
}

LockTable::Pieces LockTable::clipped(const Pieces& pieces, const LockRange& range) {
  Pieces inside;
  for (const Piece& piece : pieces) {
    if (!piece.range.overlaps(range)) continue;
    inside.push_back(
        {{std::max(piece.range.begin, range.begin), std::min(piece.range.end, range.end)},
         piece.type,
         piece.pid});
  }
  return inside;
}

// ---- Conflicts --------------------------------------------------------------------------------

bool LockTable::is_conflict(const LockOwner& holder, const Piece& piece, const LockWish& wish) {
  return piece.range.overlaps(wish.range) &&
         !may_overlap(holder, piece.type, wish.owner, wish.type);
}

bool LockTable::conflicts_with_holder(const File& file, const LockWish& wish) {
  return std::ranges::any_of(file.held, [&](const auto& held) {
    return held.first != wish.owner && std::ranges::any_of(held.second, [&](const Piece& piece) {
             return is_conflict(held.first, piece, wish);
           });
  });
}

/// Whether one of the queued requests before `end` is for something that `wish` conflicts with.
bool LockTable::conflicts_with_earlier(const File& file, const LockWish& wish,
                                       Queue::const_iterator end) {
  return std::any_of(file.queued.begin(), end, [&](const LockWish& earlier) {
    return earlier.owner != wish.owner && earlier.range.overlaps(wish.range) &&
           !may_overlap(earlier.owner, earlier.type, wish.owner, wish.type);
  });
}

// Who holds nothing keeps nobody waiting, so waiting for one's turn closes no circle.
bool LockTable::must_queue_behind(const File& file, const LockWish& wish,
                                  Queue::const_iterator end) const {
  return !files_of_owner_.contains(wish.owner) && conflicts_with_earlier(file, wish, end);
}

void LockTable::add_blockers(const LockWish& wish, std::vector<LockOwner>& blockers) const {
  const auto file = files_.find(wish.file);
  if (file == files_.end()) return;
  for (const auto& [owner, pieces] : file->second.held) {
    if (owner == wish.owner) continue;
    const auto is_in_the_way = [&](const Piece& piece) { return is_conflict(owner, piece, wish); };
    if (std::ranges::any_of(pieces, is_in_the_way)) blockers.push_back(owner);
  }
}

/// Whether the owner of `wish` would wait for itself.
bool LockTable::would_deadlock(const LockWish& wish) const {
  std::vector<LockOwner> open;
  std::set<LockOwner> seen;
  add_blockers(wish, open);
  while (!open.empty()) {
    const LockOwner owner = open.back();
    open.pop_back();
    if (owner == wish.owner) return true;
    if (!seen.insert(owner).second) continue;
    const auto [first, last] = waits_of_owner_.equal_range(owner);
    for (auto wait = first; wait != last; ++wait) {
      if (wait->second->file.kind == LockKind::kRecord) add_blockers(*wait->second, open);
    }
  }
  return false;
}

std::optional<HeldLock> LockTable::find_conflict(const LockWish& wish) const {
  std::optional<HeldLock> first;
  const auto file = files_.find(wish.file);
  if (file == files_.end()) return first;
  for (const auto& [owner, pieces] : file->second.held) {
    if (owner == wish.owner) continue;
    for (const Piece& piece : pieces) {
      if (!is_conflict(owner, piece, wish)) continue;
      if (!first || piece.range.begin < first->range.begin) {
        first = HeldLock{owner, piece.type, piece.range, piece.pid};
      }
    }
  }
  return first;
}

// ---- Requests ---------------------------------------------------------------------------------

LockOutcome LockTable::set(const LockWish& wish, LockGrants& grants) {
  File& file = files_[wish.file];
  const auto finish = [&](LockOutcome outcome) {
    tidy(wish.file);
    return outcome;
  };
  if (wish.type == LockType::kNone) {
    if (!grant(file, wish, /*is_bounded=*/true)) return finish(LockOutcome::kNoLocks);
    grant_queued(wish.file, grants);
    return finish(LockOutcome::kGranted);
  }
  // The client has missed how it stands.
  if (wish.id != 0 && find_granted(wish.owner.session, wish.id) != nullptr) {
    return finish(LockOutcome::kGranted);
  }
  const auto is_it = [&](const LockWish& queued) {
    return queued.owner.session == wish.owner.session && queued.id == wish.id;
  };
  if (wish.waits && std::ranges::any_of(file.queued, is_it)) return LockOutcome::kQueued;

  const bool has_conflict = conflicts_with_holder(file, wish);
  const bool has_to_queue = wish.waits && must_queue_behind(file, wish, file.queued.end());
  if (!has_conflict && !has_to_queue) {
    if (!grant(file, wish, /*is_bounded=*/true)) return finish(LockOutcome::kNoLocks);
    grant_queued(wish.file, grants);  // it may have been exclusive before
    std::vector<LockedFile> open;
    add_waits(wish.owner, open);
    for (const LockedFile& waited_for : open) grant_queued(waited_for, grants);
    return finish(LockOutcome::kGranted);
  }
  if (wish.file.kind == LockKind::kWhole) {
    // flock(2) converts by unlocking first: two that convert do not wait for each other.
    forget_granted(wish.file, wish.owner);
    put(file, wish.file, wish.owner, {});
    grant_queued(wish.file, grants);
  }
  if (!wish.waits) return finish(LockOutcome::kWouldBlock);
  if (wish.file.kind == LockKind::kRecord && would_deadlock(wish)) {
    return finish(LockOutcome::kDeadlock);
  }
  return finish(enqueue(file, wish));
}

LockOutcome LockTable::enqueue(File& file, const LockWish& wish) {
  Session& session = sessions_[wish.owner.session];
  if (session.waits >= waits_max_) return LockOutcome::kNoLocks;
  ++session.waits;
  file.queued.push_back(wish);
  waits_of_owner_.emplace(wish.owner, &file.queued.back());
  return LockOutcome::kQueued;
}

/// Gives the range its type. False: it would be more than a session may hold.
bool LockTable::grant(File& file, const LockWish& wish, bool is_bounded) {
  const auto found = file.held.find(wish.owner);
  const Pieces own = found == file.held.end() ? Pieces() : found->second;
  std::optional<Piece> set;
  if (wish.type != LockType::kNone) set = Piece{wish.range, wish.type, wish.pid};
  Pieces after = with(own, wish.range, set);
  const Session& session = sessions_[wish.owner.session];
  const bool grows = after.size() > own.size();
  if (is_bounded && grows && session.locks - own.size() + after.size() > locks_max_) return false;
  note_granted(wish, own);
  put(file, wish.file, wish.owner, std::move(after));
  return true;
}

const LockTable::Granted* LockTable::find_granted(std::uint64_t session, std::uint64_t id) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return nullptr;
  const auto& granted = found->second.granted;
  const auto one = std::ranges::find(granted, id, &Granted::id);
  return one == granted.end() ? nullptr : &*one;
}

/// What the owner did before to this file cannot be taken back any more.
void LockTable::forget_granted(const LockedFile& file, const LockOwner& owner) {
  std::erase_if(sessions_[owner.session].granted,
                [&](const Granted& one) { return one.owner == owner && one.file == file; });
}

void LockTable::note_granted(const LockWish& wish, const Pieces& own) {
  forget_granted(wish.file, wish.owner);
  auto& granted = sessions_[wish.owner.session].granted;
  Pieces before = clipped(own, wish.range);
  if (wish.id == 0 || wish.type == LockType::kNone || before.size() > kBeforeMax) return;
  granted.push_back({wish.id, wish.file, wish.owner, wish.range, std::move(before)});
  if (granted.size() > kCancellableMax) granted.pop_front();
}

/// From now on the owner holds `pieces` in `file`.
void LockTable::put(File& file, const LockedFile& key, const LockOwner& owner, Pieces pieces) {
  const auto found = file.held.find(owner);
  const std::size_t before = found == file.held.end() ? 0 : found->second.size();
  Session& session = sessions_[owner.session];
  session.locks = session.locks - before + pieces.size();
  if (before == 0 && !pieces.empty()) ++files_of_owner_[owner];
  if (before != 0 && pieces.empty()) {
    file.held.erase(found);
    const auto count = files_of_owner_.find(owner);
    if (--count->second == 0) files_of_owner_.erase(count);
  } else if (!pieces.empty()) {
    file.held[owner] = pieces;
  }
  if (before != 0 || !pieces.empty()) tell_journal(key, owner, pieces);
}

void LockTable::drop_wait(File& file, Queue::iterator place) {
  const auto [first, last] = waits_of_owner_.equal_range(place->owner);
  const auto wait =
      std::find_if(first, last, [&](const auto& one) { return one.second == &*place; });
  HOMEFS_CHECK(wait != last);
  waits_of_owner_.erase(wait);
  --sessions_[place->owner.session].waits;
  file.queued.erase(place);
}

/// Gives what is free in a file to those who wait for it, the oldest first.
void LockTable::grant_queued(const LockedFile& key, LockGrants& grants) {
  std::vector<LockedFile> open{key};
  while (!open.empty()) {
    const auto found = files_.find(open.back());
    open.pop_back();
    if (found == files_.end()) continue;
    const std::size_t before = grants.size();
    grant_queued_of(found->second, grants, open);
    // An owner that had some of it exclusively may have set somebody before it free.
    if (grants.size() > before) open.push_back(found->first);
  }
}

void LockTable::grant_queued_of(File& file, LockGrants& grants, std::vector<LockedFile>& open) {
  for (auto place = file.queued.begin(); place != file.queued.end();) {
    const auto next = std::next(place);
    const LockWish wish = *place;
    if (!conflicts_with_holder(file, wish) && !must_queue_behind(file, wish, place)) {
      drop_wait(file, place);
      (void)grant(file, wish, /*is_bounded=*/false);  // bounded by the queued requests
      grants.push_back({wish.owner.session, wish.id});
      add_waits(wish.owner, open);
    }
    place = next;
  }
}

/// Where an owner waits that has got something: it need not queue behind others any more.
void LockTable::add_waits(const LockOwner& owner, std::vector<LockedFile>& open) const {
  const auto [first, last] = waits_of_owner_.equal_range(owner);
  for (auto wait = first; wait != last; ++wait) open.push_back(wait->second->file);
}

/// What its owner holds in the file when the grant is taken back.
LockTable::Pieces LockTable::without(const File& file, const Granted& granted) {
  const auto held = file.held.find(granted.owner);
  const Pieces now = held == file.held.end() ? Pieces() : held->second;
  Pieces pieces = with(now, granted.range, std::nullopt);
  for (const Piece& before : granted.before) {
    const LockWish wish{
        .file = granted.file, .type = before.type, .owner = granted.owner, .range = before.range};
    // It was exclusive, and others share it by now: there it stays as it is.
    const bool is_taken = conflicts_with_holder(file, wish);
    for (const Piece& piece : is_taken ? clipped(now, before.range) : Pieces{before}) {
      pieces = with(pieces, piece.range, piece);
    }
  }
  return pieces;
}

void LockTable::cancel(std::uint64_t session, std::uint64_t id, LockGrants& grants) {
  if (id == 0) return;
  for (auto& [key, file] : files_) {
    const auto place = std::ranges::find_if(file.queued, [&](const LockWish& wish) {
      return wish.owner.session == session && wish.id == id;
    });
    if (place == file.queued.end()) continue;
    drop_wait(file, place);
    const LockedFile changed = key;
    grant_queued(changed, grants);  // those behind it
    tidy(changed);
    return;
  }
  const Granted* found = find_granted(session, id);
  if (found == nullptr) return;
  const Granted granted = *found;
  std::erase_if(sessions_[session].granted, [&](const Granted& one) { return one.id == id; });
  File& file = files_[granted.file];
  put(file, granted.file, granted.owner, without(file, granted));
  grant_queued(granted.file, grants);
  tidy(granted.file);
}

// ---- Sessions ---------------------------------------------------------------------------------

void LockTable::drop_session(std::uint64_t session, LockGrants& grants) {
  set_journal(session, nullptr);  // it is removed as a whole
  std::vector<LockedFile> changed;
  for (auto& [key, file] : files_) {
    bool is_changed = false;
    for (auto place = file.queued.begin(); place != file.queued.end();) {
      const auto next = std::next(place);
      if (place->owner.session == session) {
        drop_wait(file, place);
        is_changed = true;
      }
      place = next;
    }
    std::vector<LockOwner> owners;
    for (const auto& [owner, pieces] : file.held) {
      if (owner.session == session) owners.push_back(owner);
    }
    for (const LockOwner& owner : owners) put(file, key, owner, {});
    if (is_changed || !owners.empty()) changed.push_back(key);
  }
  sessions_.erase(session);
  for (const LockedFile& key : changed) {
    grant_queued(key, grants);
    tidy(key);
  }
}

std::vector<SavedLock> LockTable::locks_of(std::uint64_t session) const {
  std::vector<SavedLock> locks;
  for (const auto& [key, file] : files_) {
    for (const auto& [owner, pieces] : file.held) {
      if (owner.session != session) continue;
      for (const Piece& piece : pieces) {
        locks.push_back({key, piece.type, owner.owner, piece.range, piece.pid});
      }
    }
  }
  return locks;
}

std::vector<SavedLock> LockTable::saved_locks_of(std::uint64_t session) const {
  std::vector<SavedLock> locks = locks_of(session);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return locks;
  for (const Granted& granted : found->second.granted) add_granted(locks, granted);
  return locks;
}

void LockTable::add_granted(std::vector<SavedLock>& locks, const Granted& granted) {
  SavedLock note{.file = granted.file,
                 .type = LockType::kNone,
                 .owner = granted.owner.owner,
                 .range = granted.range,
                 .note = LockNote::kGranted,
                 .id = granted.id};
  locks.push_back(note);
  note.note = LockNote::kBefore;
  for (const Piece& piece : granted.before) {
    note.range = piece.range;
    note.type = piece.type;
    note.pid = piece.pid;
    locks.push_back(note);
  }
}

void LockTable::restore_granted(std::uint64_t session, const SavedLock& lock) {
  auto& granted = sessions_[session].granted;
  const LockOwner owner{session, lock.owner};
  if (lock.note == LockNote::kGranted) {
    granted.push_back({lock.id, lock.file, owner, lock.range, {}});
    if (granted.size() > kCancellableMax) granted.pop_front();
  } else if (!granted.empty() && granted.back().id == lock.id &&
             granted.back().before.size() < kBeforeMax) {
    granted.back().before.push_back({lock.range, lock.type, lock.pid});
  }
}

void LockTable::restore(std::uint64_t session, const SavedLock& lock) {
  if (lock.note != LockNote::kHeld) return restore_granted(session, lock);
  forget_granted(lock.file, {session, lock.owner});
  File& file = files_[lock.file];
  const LockOwner owner{session, lock.owner};
  const auto held = file.held.find(owner);
  const Pieces own = held == file.held.end() ? Pieces() : held->second;
  std::optional<Piece> set;
  if (lock.type != LockType::kNone) set = Piece{lock.range, lock.type, lock.pid};
  put(file, lock.file, owner, with(own, lock.range, set));
  tidy(lock.file);
}

void LockTable::set_journal(std::uint64_t session, LockJournal* journal) {
  sessions_[session].journal = journal;
}

void LockTable::tell_journal(const LockedFile& key, const LockOwner& owner, const Pieces& pieces) {
  LockJournal* const journal = sessions_[owner.session].journal;
  if (journal == nullptr) return;
  std::vector<SavedLock> changes;
  changes.reserve(1 + pieces.size());
  changes.push_back({.file = key, .type = LockType::kNone, .owner = owner.owner, .range = {}});
  for (const Piece& piece : pieces) {
    changes.push_back({key, piece.type, owner.owner, piece.range, piece.pid});
  }
  for (const Granted& granted : sessions_[owner.session].granted) {
    if (granted.owner == owner && granted.file == key) add_granted(changes, granted);
  }
  journal->changed(changes, [this, session = owner.session] { return saved_locks_of(session); });
}

std::size_t LockTable::size() const {
  std::size_t count = files_of_owner_.size() + waits_of_owner_.size();
  for (const auto& [key, file] : files_) {
    ++count;
    for (const auto& [owner, pieces] : file.held) count += pieces.size();
  }
  return count;
}

void LockTable::tidy(const LockedFile& key) {
  const auto found = files_.find(key);
  if (found != files_.end() && found->second.held.empty() && found->second.queued.empty()) {
    files_.erase(found);
  }
}

}  // namespace homefs
