// Home: names that go, and what becomes of their inodes.
//
// A regular file that is open somewhere when its last name goes gets a link in the orphanage first.
// "Somewhere" is where the asking session says so, or where another session knows its node: the
// server is not told of every open. And it may be with a session that is not back after a restart.
// The same is done for what has other names left and is known to a session: the name that goes may
// be the only one that the session, or the server, knows.

#include <fcntl.h>

#include <utility>

#include "server/crash_point.h"
#include "server/disk_mode.h"
#include "server/farewell.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/node_table.h"
#include "server/orphanage.h"
#include "server/quota.h"
#include "server/told_log.h"
#include "server/touched.h"

namespace homefs {
namespace {

// Whether the session that asks may have open what it knows as `going`.
bool may_be_open(const NodeTable& session, const KeepRule& rule, const Inode& going) {
  if (rule.keep || rule.meant == kNoNode) return rule.keep;
  return !session.is_node_of(rule.meant, going);
}

// Whether the session names what it has open by a number that was dropped to make room. With an
// introduction the request says which file it is.
bool must_introduce(const NodeTable& session, const KeepRule& rule, const Inode& going) {
  return rule.keep && rule.meant != kNoNode && !session.knows(going) && !session.has(rule.meant);
}

}  // namespace

// Precondition: names_mutex is held. After this the name has to be removed, and then
// finish_farewell() called; or cancel_farewell() when that failed.
Result<Home::Farewell> Home::prepare_farewell(const Actor& actor, const InodeRef& parent,
                                              int folder, const Name& name, const KeepRule& rule) {
  Farewell farewell;
  auto stat = stat_true_at(folder, name.c_str());
  if (!stat) return std::unexpected(stat.error());
  if (stat->is_mount) return fail(Status::kBusy, "something is mounted there");
  const InodeNumber number = stat->attributes.inode;
  InodeRef known = inodes_->find(number);
  // The number of one that was removed beside the server may be another's by now.
  if (known != nullptr && known->identity().birth_ns != stat->birth_ns) known = nullptr;
  farewell.inode = known != nullptr ? known : inodes_->found(*stat, parent, name);
  const bool is_file = S_ISREG(stat->attributes.mode);
  if (is_file && must_introduce(actor.nodes, rule, *farewell.inode)) {
    return fail(Status::kStale, "the file is to be introduced again");
  }
  if (is_file) {
    farewell.size_lock = std::unique_lock(farewell.inode->size_lock());
    stat = stat_true_at(folder, name.c_str());  // its size was not settled before
    if (!stat) return std::unexpected(stat.error());
  }
  farewell.stat = *stat;
  farewell.change.emplace(scan_->change());
  farewell.change->touch(*stat, farewell.inode);

  const bool has_orphan_link = orphanage_->has(number);
  const std::uint32_t names = stat->attributes.links - (has_orphan_link ? 1 : 0);
  farewell.is_last = S_ISDIR(stat->attributes.mode) || names <= 1;
  farewell.is_kept = has_orphan_link;
  const std::uint32_t sessions = inodes_->sessions_of(*farewell.inode);
  const bool is_known = actor.nodes.has_known(*farewell.inode);
  const bool is_open = may_be_open(actor.nodes, rule, *farewell.inode);
  const std::uint32_t own = is_known && !is_open ? 1 : 0;
  // Of a session that is not back nobody knows what it has open. Nor of the one that asks while it
  // introduces: only of the file that it means it says so.
  farewell.is_for_absent =
      is_file && absent_.are_there(Orphanage::Clock::now(),
                                   /*asking=*/is_open ? nullptr : &actor.nodes);
  farewell.is_needed =
      farewell.is_for_absent || (farewell.is_last ? is_file && sessions > own : sessions > 0);
  const bool must_keep = farewell.is_needed && !has_orphan_link;
  if (!must_keep && farewell.is_last) return farewell;

  // The file goes on to exist: its attributes are asked of this descriptor afterwards.
  auto fd = disk::open_at(folder, name.c_str(), is_file ? O_RDONLY | O_NONBLOCK : O_PATH);
  if (!fd) return std::unexpected(fd.error());
  farewell.descriptor = std::make_shared<const UniqueFd>(std::move(*fd));
  if (must_keep) {
    actor.touched.attributes(farewell.inode);
    auto done = orphanage_->hold(farewell.descriptor->get(), number);
    // With as many links as the disk allows there is room when the name is gone.
    farewell.must_hold_later =
        !done && !farewell.is_last && done.error().status == Status::kTooManyLinks;
    if (!done && !farewell.must_hold_later) return std::unexpected(done.error());
    farewell.is_kept = farewell.is_held_now = done.has_value();
  }
  return farewell;
}

// The name is still there: takes back what was prepared.
void Home::cancel_farewell(Farewell& farewell) {
  // If it stays, the sweep after the next start removes it.
  if (farewell.is_held_now) (void)orphanage_->remove(farewell.inode->number());
}

// The name is gone. Returns the attributes of what it was. `parent_after`: read after the removal;
// an inode that cannot be asked any more changed when its folder did.
Attributes Home::finish_farewell(Farewell& farewell, const Attributes& parent_after) {
  const InodeNumber number = farewell.inode->number();
  const Attributes& before = farewell.stat.attributes;
  if (farewell.must_hold_later) {
    // Not held: it is stale for those who know it, and found again by another name.
    farewell.is_kept = orphanage_->hold(farewell.descriptor->get(), number).has_value();
  }
  // A link of an earlier time that nobody needs any more does not keep the inode.
  if (farewell.is_last && farewell.is_kept && !farewell.is_needed && orphanage_->remove(number)) {
    farewell.is_kept = false;
  }
  if (farewell.is_last && !farewell.is_kept) {
    inodes_->gone(farewell.stat);
    const bool is_file = S_ISREG(before.mode);
    quota_->release({.bytes = is_file ? before.size : 0, .files = 1});
    Attributes last = told(farewell.inode, farewell.stat, /*is_change=*/true);
    last.links = 0;
    last.ctime = parent_after.ctime;
    last.order = parent_after.order;
    return last;
  }
  if (farewell.is_needed && farewell.is_kept) {
    // Whoever it is kept for may have come meanwhile: that is decided on later, as of all.
    orphanage_->adopt(number, farewell.is_for_absent ? Orphanage::kUndecided : date_of_adopted());
    inodes_->orphaned(number);
  }
  if (farewell.descriptor == nullptr) {
    if (const auto stat = orphanage_->stat(number)) {
      farewell.stat.attributes.links = stat->attributes.links;
      farewell.stat.attributes.ctime = stat->attributes.ctime;
      farewell.stat.attributes.order = stat->attributes.order;
    }
    return told(farewell.inode, farewell.stat, /*is_change=*/true);
  }
  auto stat = disk::stat_fd(farewell.descriptor->get());
  if (stat) {
    make_true_like(farewell.stat, *stat);
    farewell.stat = *stat;
  }
  return told(farewell.inode, farewell.stat, /*is_change=*/true);
}

Result<Removal> Home::told_removal(Farewell& farewell, const InodeRef& parent, int folder) {
  const auto after = told_changed(parent, folder);
  const Attributes last = finish_farewell(farewell, after ? *after : farewell.stat.attributes);
  if (!after) return std::unexpected(after.error());
  return Removal{.attributes = last, .parent = *after};
}

ChangeFacts Home::facts_of_removal(const Farewell& farewell, const InodeRef& parent,
                                   const Name& name) const {
  ChangeFacts facts = facts_of(ChangeKind::kRemove, parent, name);
  facts.numbers.subject = number_of(farewell.inode->number());
  facts.numbers.before = farewell.before();
  return facts;
}

Result<Removal> Home::unlink(const Actor& actor, const InodeRef& parent, const Name& name,
                             const KeepRule& rule) {
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  const int folder_fd = (*folder)->get();
  const std::lock_guard lock(inodes_->names_mutex());
  auto farewell = prepare_farewell(actor, parent, folder_fd, name, rule);
  if (!farewell) return std::unexpected(farewell.error());
  ChangeStep step(actor.journal, [&] { return facts_of_removal(*farewell, parent, name); });
  crash_point(CrashPoint::kMidChange);
  const auto done = disk::unlink_at(folder_fd, name.c_str());
  if (done || !is_refusal(done.error().status)) {
    touch_entry(actor, parent, name);
    actor.touched.attributes(farewell->inode);
  }
  if (!done) {
    cancel_farewell(*farewell);
    return std::unexpected(done.error());
  }
  auto removal = told_removal(*farewell, parent, folder_fd);
  if (removal) step.finish({.attributes = removal->attributes, .parent = removal->parent});
  return removal;
}

Result<Removal> Home::rmdir(const Actor& actor, const InodeRef& parent, const Name& name) {
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  const int folder_fd = (*folder)->get();
  const std::lock_guard lock(inodes_->names_mutex());
  auto farewell = prepare_farewell(actor, parent, folder_fd, name, KeepRule{});
  if (!farewell) return std::unexpected(farewell.error());
  ChangeStep step(actor.journal, [&] { return facts_of_removal(*farewell, parent, name); });
  crash_point(CrashPoint::kMidChange);
  const auto done = disk::remove_folder_at(folder_fd, name.c_str());
  if (done || !is_refusal(done.error().status)) {
    touch_entry(actor, parent, name);
    actor.touched.attributes(farewell->inode);
  }
  if (!done) {
    cancel_farewell(*farewell);
    return std::unexpected(done.error());
  }
  auto removal = told_removal(*farewell, parent, folder_fd);
  if (removal) step.finish({.attributes = removal->attributes, .parent = removal->parent});
  return removal;
}

void Home::released(InodeNumber number) {
  if (is_stopping_.load() || !orphanage_->has(number)) return;
  // Else it is a leftover for the next start.
  (void)remove_orphan(number, Orphanage::Clock::now());
}

void Home::expect_session(const SessionId& id) { absent_.expect(id); }

void Home::expect_session_no_longer(const SessionId& id) {
  absent_.expect_no_longer(id);
  decide_orphans(Orphanage::Clock::now());
}

void Home::begin_introduction(const NodeTable& session) {
  absent_.begin_introduction(&session, Orphanage::Clock::now());
}

void Home::end_introduction(const NodeTable& session) {
  absent_.end_introduction(&session);
  if (is_stopping_.load()) return;
  // At once: until then a file that was removed meanwhile counts against the quota.
  (void)sweep_orphans(Orphanage::Clock::now());
}

/// When all have told what they have open, what was kept for them goes as all orphans do.
void Home::decide_orphans(std::chrono::steady_clock::time_point now) {
  if (!orphanage_->has_waiting()) return;
  // Asked under the lock: who is expected from now on has no file yet that lost its name for it.
  const std::lock_guard lock(inodes_->names_mutex());
  if (!absent_.are_there(now)) orphanage_->set_date_of_undecided(now);
}

/// While sessions may not have told what they have open, nobody else decides about it.
std::chrono::steady_clock::time_point Home::date_of_adopted() const {
  return absent_.are_there(Orphanage::Clock::now()) ? Orphanage::kUndecided : Orphanage::kNoDate;
}

bool Home::has_waiting_orphans() const { return orphanage_->has_waiting(); }

// Deletes an orphan that no session knows, unless its date is to come. One that somebody has
// adopted meanwhile stays.
Result<bool> Home::remove_orphan(InodeNumber number, std::chrono::steady_clock::time_point now) {
  const std::lock_guard lock(inodes_->names_mutex());
  if (!orphanage_->may_go(number, now)) return false;
  auto stat = orphanage_->stat(number);
  if (!stat && stat.error().status != Status::kNoSuchFile) return std::unexpected(stat.error());
  if (!stat) {  // it is not there: forget it
    const auto forgotten = orphanage_->remove(number);
    return forgotten ? Result<bool>(true) : std::unexpected(forgotten.error());
  }
  if (inodes_->sessions_of(*stat) > 0) return false;
  const InodeRef inode = inodes_->found_orphan(*stat);
  const std::lock_guard size_lock(inode->size_lock());
  auto change = scan_->change();
  stat = orphanage_->stat(number);
  if (!stat) return std::unexpected(stat.error());
  change.touch(*stat);
  // Of what has names left the ctime changes.
  if (is_watching_.load(std::memory_order_relaxed)) {
    told_log_->note_inode(number, ToldLog::kUnseen);
  }
  if (auto done = orphanage_->remove(number); !done) return std::unexpected(done.error());
  // With names left it is found by these again; with none it is gone.
  inodes_->gone(*stat);
  if (stat->attributes.links <= 1) {
    const bool is_file = S_ISREG(stat->attributes.mode);
    quota_->release({.bytes = is_file ? stat->attributes.size : 0, .files = 1});
  }
  return true;
}

}  // namespace homefs
