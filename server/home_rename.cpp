// Home: rename. What the new name was before gets the farewell of home_unlink.cpp.

#include <linux/fs.h>

#include <optional>
#include <utility>

#include "server/crash_point.h"
#include "server/disk_mode.h"
#include "server/farewell.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/touched.h"

namespace homefs {
namespace {

unsigned flags_of(RenameMode mode) {
  switch (mode) {
    case RenameMode::kReplace:
      return 0;
    case RenameMode::kNoReplace:
      return RENAME_NOREPLACE;
    case RenameMode::kExchange:
      return RENAME_EXCHANGE;
  }
  return RENAME_NOREPLACE;
}

ChangeOutcome outcome_of(const Move& move) {
  return {.attributes = move.attributes,
          .parent = move.parent,
          .new_parent = move.new_parent,
          .other = move.other.value_or(Attributes{}),
          .has_other = move.other.has_value()};
}

}  // namespace

/// The two folders of a rename, open, and what it is about.
struct Home::Rename {
  const Actor& actor;
  const Place& from;
  const Place& to;
  const RenameOptions& options;
  int from_folder;
  int to_folder;
  disk::Stat moved;  ///< before

  [[nodiscard]] Result<void> run() const {
    return disk::rename_at(from_folder, from.name.c_str(), to_folder, to.name.c_str(),
                           flags_of(options.mode));
  }
};

Result<Move> Home::rename(const Actor& actor, const Place& from, const Place& to,
                          const RenameOptions& options) {
  const auto from_folder = inodes_->open(from.parent);
  if (!from_folder) return std::unexpected(from_folder.error());
  const auto to_folder = inodes_->open(to.parent);
  if (!to_folder) return std::unexpected(to_folder.error());
  if (!from.parent->is_folder() || !to.parent->is_folder()) return fail(Status::kNotDirectory);
  watch(to.parent, (*to_folder)->get());
  const std::lock_guard lock(inodes_->names_mutex());
  const auto moved = stat_true_at((*from_folder)->get(), from.name.c_str());
  if (!moved) return std::unexpected(moved.error());
  if (moved->is_mount) return fail(Status::kBusy, "something is mounted there");
  Rename rename{.actor = actor,
                .from = from,
                .to = to,
                .options = options,
                .from_folder = (*from_folder)->get(),
                .to_folder = (*to_folder)->get(),
                .moved = *moved};
  return options.mode == RenameMode::kExchange ? exchange(rename) : move(rename);
}

// Counts what is moved, if the home is being counted: the walk may have passed the new place.
void Home::touch_moved(UsageScan::Change& change, const disk::Stat& stat, const Place& at) {
  const bool is_folder = S_ISDIR(stat.attributes.mode);
  change.touch(stat, is_folder ? inodes_->found(stat, at.parent, at.name) : nullptr);
}

Result<Move> Home::move(const Rename& rename) {
  const Place& to = rename.to;
  std::optional<Farewell> farewell;
  std::optional<UsageScan::Change> change;
  const auto target = disk::stat_at(rename.to_folder, to.name.c_str());
  // What may be there must not go without its farewell.
  if (!target && target.error().status != Status::kNoSuchFile) {
    return std::unexpected(target.error());
  }
  const bool is_same = target && target->attributes.inode == rename.moved.attributes.inode;
  if (target && !is_same) {
    if (rename.options.mode == RenameMode::kNoReplace) return fail(Status::kRenameTargetExists);
    auto prepared =
        prepare_farewell(rename.actor, to.parent, rename.to_folder, to.name, rename.options.rule);
    if (!prepared) return std::unexpected(prepared.error());
    farewell.emplace(*std::move(prepared));
  }
  if (!farewell) change.emplace(scan_->change());
  touch_moved(farewell ? *farewell->change : *change, rename.moved, rename.from);
  // Of two names of one file nothing changes, so there is nothing to find out.
  ChangeStep step(is_same ? nullptr : rename.actor.journal, [&] {
    ChangeFacts facts = facts_of_rename(ChangeKind::kRename, rename);
    if (!farewell) return facts;
    facts.numbers.replaced = number_of(farewell->inode->number());
    facts.numbers.before = farewell->before();
    return facts;
  });
  crash_point(CrashPoint::kMidChange);
  const auto done = rename.run();
  if (!is_same && (done || !is_refusal(done.error().status))) {
    note_moved(rename, farewell ? farewell->inode : nullptr);
  }
  if (!done) {
    if (farewell) cancel_farewell(*farewell);
    if (done.error().status == Status::kExists && rename.options.mode == RenameMode::kNoReplace) {
      return fail(Status::kRenameTargetExists);
    }
    return std::unexpected(done.error());
  }
  // Two names of one file: rename(2) does nothing, and both stay.
  if (!is_same) inodes_->moved(rename.moved.attributes.inode, to.parent, to.name);
  auto result = told_move(rename);
  if (result && is_same) result->other = result->attributes;
  if (farewell) {
    // Also after an error: the old file is gone, and has to be accounted.
    const Attributes last =
        finish_farewell(*farewell, result ? result->new_parent : farewell->stat.attributes);
    if (result) result->other = last;
  }
  if (result) step.finish(outcome_of(*result));
  return result;
}

/// `other_or_null`: what was replaced, or exchanged with it.
void Home::note_moved(const Rename& rename, const InodeRef& other_or_null) {
  Touched& touched = rename.actor.touched;
  const bool is_exchange = rename.options.mode == RenameMode::kExchange && other_or_null != nullptr;
  touch_entry(rename.actor, rename.from.parent, rename.from.name,
              is_exchange ? other_or_null->number() : InodeNumber{});
  touch_entry(rename.actor, rename.to.parent, rename.to.name, rename.moved.attributes.inode);
  touched.attributes(inodes_->found(rename.moved, rename.from.parent, rename.from.name));
  if (other_or_null != nullptr) touched.attributes(other_or_null);
}

ChangeFacts Home::facts_of_rename(ChangeKind kind, const Rename& rename) const {
  ChangeFacts facts = facts_of(kind, rename.from.parent, rename.from.name);
  ChangeFacts to = facts_of(kind, rename.to.parent, rename.to.name);
  facts.numbers.to = to.numbers.at;
  facts.to_path = std::move(to.path);
  facts.new_name = std::move(to.name);
  facts.numbers.subject = number_of(rename.moved.attributes.inode);
  return facts;
}

Result<Move> Home::exchange(const Rename& rename) {
  const auto other = stat_true_at(rename.to_folder, rename.to.name.c_str());
  if (!other) return std::unexpected(other.error());
  if (other->is_mount) return fail(Status::kBusy, "something is mounted there");
  auto change = scan_->change();
  touch_moved(change, rename.moved, rename.from);
  touch_moved(change, *other, rename.to);
  const bool is_same = other->attributes.inode == rename.moved.attributes.inode;
  ChangeStep step(is_same ? nullptr : rename.actor.journal,
                  [&] { return facts_of_rename(ChangeKind::kExchange, rename); });
  const auto done = rename.run();
  if (!is_same && (done || !is_refusal(done.error().status))) {
    note_moved(rename, inodes_->found(*other, rename.to.parent, rename.to.name));
  }
  if (!done) return std::unexpected(done.error());
  inodes_->moved(rename.moved.attributes.inode, rename.to.parent, rename.to.name);
  inodes_->moved(other->attributes.inode, rename.from.parent, rename.from.name);
  auto result = told_move(rename);
  if (!result) return result;
  const auto after = stat_true_at(rename.from_folder, rename.from.name.c_str());
  if (!after) return std::unexpected(after.error());
  const InodeRef inode = inodes_->found(*after, rename.from.parent, rename.from.name);
  result->other = told(inode, *after, /*is_change=*/true);
  step.finish(outcome_of(*result));
  return result;
}

// What a rename that was done left behind.
Result<Move> Home::told_move(const Rename& rename) {
  const auto after = stat_true_at(rename.to_folder, rename.to.name.c_str());
  if (!after) return std::unexpected(after.error());
  const InodeRef inode = inodes_->found(*after, rename.to.parent, rename.to.name);
  Move move{.attributes = told(inode, *after, /*is_change=*/true)};
  const auto parent = told_changed(rename.from.parent, rename.from_folder);
  if (!parent) return std::unexpected(parent.error());
  move.parent = *parent;
  if (rename.from.parent == rename.to.parent) {
    move.new_parent = move.parent;
    return move;
  }
  const auto new_parent = told_changed(rename.to.parent, rename.to_folder);
  if (!new_parent) return std::unexpected(new_parent.error());
  move.new_parent = *new_parent;
  return move;
}

}  // namespace homefs
