// Home: finding names, and making new ones.

#include <sys/stat.h>

#include <utility>

#include "server/crash_point.h"
#include "server/disk_mode.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/new_inode.h"
#include "server/orphanage.h"
#include "server/quota.h"
#include "server/touched.h"
#include "server/usage_scan.h"

namespace homefs {
namespace {

// The name is not what was looked for, and will not be on another try.
bool is_not_there(Status status) {
  return status == Status::kNoSuchFile || status == Status::kStale ||
         status == Status::kNotDirectory || status == Status::kCrossDevice;
}

// kExists when the name is taken. A disk that does not answer leaves it open: then nothing is made.
Result<void> check_free(int folder, const Name& name) {
  const auto stat = disk::stat_at(folder, name.c_str());
  if (stat) return fail(Status::kExists);
  if (stat.error().status != Status::kNoSuchFile) return std::unexpected(stat.error());
  return {};
}

}  // namespace

Result<Entry> Home::lookup(const InodeRef& parent, const Name& name) {
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  watch(parent, (*folder)->get());
  // Beside changes of names, as a rule; if they keep coming in between, in their order.
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto entry = try_lookup(parent, (*folder)->get(), name);
    if (!entry || entry->inode != nullptr) return entry;
  }
  const std::lock_guard lock(inodes_->names_mutex());
  return try_lookup(parent, (*folder)->get(), name);
}

// Without an inode when something was moved meanwhile.
Result<Entry> Home::try_lookup(const InodeRef& parent, int folder, const Name& name) {
  const std::uint64_t moves = inodes_->moves();
  const auto stat = stat_true_at(folder, name.c_str());
  if (!stat) return std::unexpected(stat.error());
  if (stat->is_mount) return fail(Status::kCrossDevice, "something is mounted there");
  Entry entry;
  if (S_ISLNK(stat->attributes.mode)) {
    auto target = read_target_at(folder, name.c_str(), *stat);
    if (!target) return std::unexpected(target.error());
    entry.target = *std::move(target);
  }
  entry.inode = inodes_->found_since(moves, *stat, parent, name);
  if (entry.inode != nullptr) entry.attributes = told(entry.inode, *stat, /*is_change=*/false);
  return entry;
}

// What is made for `actor` in a home that preserves owners: its own, but the group's of a folder
// that says so; and a folder in there says so too. Nothing in other homes, but for the latter.
Result<NewInode> Home::newborn(const Actor& actor, const InodeRef& parent, std::uint32_t mode) {
  NewInode wanted{.mode = mode};
  const bool is_whole = preserves_owners();
  if (!is_whole && !S_ISDIR(mode)) return wanted;
  const auto stat = inodes_->stat(parent);
  if (!stat) return std::unexpected(stat.error());
  const bool hands_on = (stat->attributes.mode & S_ISGID) != 0;
  if (hands_on && S_ISDIR(mode)) wanted.mode |= S_ISGID;
  if (is_whole) {
    wanted.whole = {.mode = wanted.mode,
                    .uid = actor.caller.uid,
                    .gid = hands_on ? stat->attributes.gid : actor.caller.gid};
  }
  return wanted;
}

// Gives what was just made the mode that it has to have: the umask of the process or a default ACL
// had a say. `stat`: a true one.
Result<void> Home::correct_mode(int fd, const NewInode& wanted, disk::Stat& stat) {
  const bool is_right = wanted.whole ? stat.disk_mode == whole_disk_mode(wanted.mode)
                                     : S_ISLNK(wanted.mode) || stat.attributes.mode == wanted.mode;
  if (is_right) return {};
  auto done = wanted.whole ? disk::change_mode(fd, whole_disk_mode(wanted.mode) & kModeBits)
                           : store_mode(fd, stat.disk_mode, wanted.mode);
  if (!done) return done;
  auto after = stat_true(fd);
  if (!after) return std::unexpected(after.error());
  stat = *after;
  return {};
}

// Common to everything that makes an inode.
Result<Entry> Home::make(const Actor& actor, const InodeRef& parent, const Name& name,
                         const NewInode& wanted) {
  quota_->wait_until_decidable();
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  const int folder_fd = (*folder)->get();
  watch(parent, folder_fd);
  const std::lock_guard lock(inodes_->names_mutex());
  auto change = scan_->change();
  // Asked before all else: after a kill, a name that is there was made by this.
  if (auto is_free = check_free(folder_fd, name); !is_free) return std::unexpected(is_free.error());
  auto reservation = quota_->reserve(actor.grant, {.files = 1});
  if (!reservation) return std::unexpected(reservation.error());
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kMake, parent, name);
    facts.numbers.mode = wanted.mode;
    facts.numbers.is_whole = wanted.whole.has_value();
    return facts;
  });
  touch_entry(actor, parent, name);
  const std::uint64_t order = disk::next_order();
  auto fd = make_inode(*orphanage_, folder_fd, name.c_str(), wanted);
  if (!fd) return std::unexpected(fd.error());
  reservation->settle({.files = 1});
  auto stat = stat_true(fd->get());
  if (!stat) return std::unexpected(stat.error());
  change.made(*stat);
  touch_entry(actor, parent, name, stat->attributes.inode);
  crash_point(CrashPoint::kMidChange);
  if (auto done = correct_mode(fd->get(), wanted, *stat); !done) {
    return std::unexpected(done.error());
  }
  Entry entry{.inode = inodes_->made(*stat, parent, name)};
  entry.inode->set_made_order(order);
  // Its maker knows all that is in it.
  if (entry.inode->is_folder()) watch(entry.inode, fd->get());
  (void)inodes_->keep(entry.inode, std::move(*fd));
  entry.attributes = told(entry.inode, *stat, /*is_change=*/false);
  note_told(entry.attributes);
  auto parent_attributes = told_changed(parent, folder_fd);
  if (!parent_attributes) return std::unexpected(parent_attributes.error());
  entry.parent = *parent_attributes;
  step.finish({.attributes = entry.attributes, .parent = entry.parent});
  return entry;
}

Result<Entry> Home::create(const Actor& actor, const InodeRef& parent, const Name& name,
                           std::uint32_t mode) {
  const auto wanted = newborn(actor, parent, S_IFREG | (mode & kModeBits));
  if (!wanted) return std::unexpected(wanted.error());
  return make(actor, parent, name, *wanted);
}

Result<Entry> Home::mkdir(const Actor& actor, const InodeRef& parent, const Name& name,
                          std::uint32_t mode) {
  // mkdir(2) takes no suid and sgid; sgid is inherited.
  constexpr std::uint32_t kTaken = S_IRWXU | S_IRWXG | S_IRWXO | S_ISVTX;
  const auto wanted = newborn(actor, parent, S_IFDIR | (mode & kTaken));
  if (!wanted) return std::unexpected(wanted.error());
  return make(actor, parent, name, *wanted);
}

Result<Entry> Home::mknod(const Actor& actor, const InodeRef& parent, const Name& name,
                          std::uint32_t mode, std::uint32_t device) {
  const std::uint32_t type = mode & S_IFMT;
  const bool is_device = type == S_IFCHR || type == S_IFBLK;
  if (type == 0 || type == S_IFREG) return create(actor, parent, name, mode);
  if (type == S_IFDIR) return fail(Status::kNotPermitted);
  if (!is_device && type != S_IFIFO && type != S_IFSOCK) return fail(Status::kInvalid);
  auto wanted = newborn(actor, parent, mode & (S_IFMT | kModeBits));
  if (!wanted) return std::unexpected(wanted.error());
  if (is_device) {
    if (!wanted->whole) return fail(Status::kNotPermitted, "this home keeps no devices");
    wanted->whole->device = device;
  }
  return make(actor, parent, name, *wanted);
}

Result<Entry> Home::symlink(const Actor& actor, const InodeRef& parent, const Name& name,
                            const std::string& target) {
  if (target.empty()) return fail(Status::kNoSuchFile);
  if (target.size() > kSymlinkBytesMax) return fail(Status::kNameTooLong);
  if (target.find('\0') != std::string::npos) return fail(Status::kInvalid);
  constexpr std::uint32_t kSymlinkMode = S_IFLNK | 0777;
  auto wanted = newborn(actor, parent, kSymlinkMode);
  if (!wanted) return std::unexpected(wanted.error());
  wanted->target = &target;
  return make(actor, parent, name, *wanted);
}

Result<Entry> Home::link(const Actor& actor, const InodeRef& inode, const InodeRef& parent,
                         const Name& name) {
  const auto file = inodes_->open(inode);
  if (!file) return std::unexpected(file.error());
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  watch(parent, (*folder)->get());
  const std::lock_guard lock(inodes_->names_mutex());
  auto change = scan_->change();
  const auto stat = stat_true((*file)->get());
  if (!stat) return std::unexpected(stat.error());
  // A file that has no name any more gets none again: link(2) of an unlinked file is ENOENT.
  const std::uint32_t hidden = orphanage_->has(inode->number()) ? 1 : 0;
  if (auto is_free = check_free((*folder)->get(), name); !is_free) {
    return std::unexpected(is_free.error());
  }
  if (stat->attributes.links <= hidden) return fail(Status::kNoSuchFile);
  if (!inode->is_folder()) change.touch(*stat);  // the kernel refuses folders
  ChangeStep step(actor.journal, [&] {
    ChangeFacts facts = facts_of(ChangeKind::kLink, parent, name);
    facts.numbers.subject = number_of(inode->number());
    return facts;
  });
  auto done = disk::link_fd_at((*file)->get(), (*folder)->get(), name.c_str());
  if (done || !is_refusal(done.error().status)) {
    touch_entry(actor, parent, name, inode->number());
    actor.touched.attributes(inode);
  }
  if (!done) return std::unexpected(done.error());
  const auto attributes = told_changed(inode, (*file)->get());
  if (!attributes) return std::unexpected(attributes.error());
  const auto parent_attributes = told_changed(parent, (*folder)->get());
  if (!parent_attributes) return std::unexpected(parent_attributes.error());
  step.finish({.attributes = *attributes, .parent = *parent_attributes});
  return Entry{.inode = inode, .attributes = *attributes, .parent = *parent_attributes};
}

Result<std::string> Home::readlink(const InodeRef& inode) {
  if (!inode->is_symlink()) return fail(Status::kInvalid);
  const auto link = inodes_->open(inode);
  if (!link) return std::unexpected(link.error());
  return read_target((*link)->get(), inode->identity().type);
}

Result<InodeRef> Home::reintroduce(const InodeRef& parent, const Name& name,
                                   const InodeName& known) {
  const auto is_it = [&known](const InodeRef& inode) {
    return inode->number() == known.number &&
           disk::generation_of(inode->identity().birth_ns) == known.generation;
  };
  auto entry = lookup(parent, name);
  if (entry && is_it(entry->inode)) return std::move(entry->inode);
  if (!entry && !is_not_there(entry.error().status)) return std::unexpected(entry.error());
  InodeRef moved = inodes_->find(known.number);
  if (moved != nullptr && is_it(moved)) return moved;
  return adopt_orphan(known);
}

Result<InodeRef> Home::adopt_orphan(const InodeName& known) {
  // Under the lock an orphan that is found is not removed before it is known again.
  const std::lock_guard lock(inodes_->names_mutex());
  if (!orphanage_->has(known.number)) return fail(Status::kStale);
  const auto stat = orphanage_->stat(known.number);
  if (!stat && !is_not_there(stat.error().status)) return std::unexpected(stat.error());
  if (!stat || stat->attributes.inode != known.number ||
      stat->attributes.generation != known.generation) {
    return fail(Status::kStale);
  }
  orphanage_->adopt(known.number, date_of_adopted());
  return inodes_->found_orphan(*stat);
}

}  // namespace homefs
