// Home: finding names, and making new ones.

#include <fcntl.h>
#include <linux/fs.h>

#include <functional>
#include <utility>

#include "server/disk_mode.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/orphanage.h"
#include "server/quota.h"
#include "server/usage_scan.h"

namespace homefs {
namespace {

// The name is not what was looked for, and will not be on another try.
bool is_not_there(Status status) {
  return status == Status::kNoSuchFile || status == Status::kStale ||
         status == Status::kNotDirectory || status == Status::kCrossDevice;
}

// A file whose mode needs the xattr gets its name when it has it: under its name it is never seen
// with another mode, not even after a kill.
Result<UniqueFd> make_file_with_xattr(int folder, const char* name, std::uint32_t mode) {
  auto fd = disk::open_unnamed(folder, disk_mode_of(mode).mode & kModeBits);
  if (!fd) return fd;
  if (auto done = store_mode(fd->get(), S_IFREG, mode); !done) return std::unexpected(done.error());
  if (auto done = disk::link_fd_at(fd->get(), folder, name); !done) {
    return std::unexpected(done.error());
  }
  return fd;
}

Result<UniqueFd> make_file(int folder, const char* name, std::uint32_t mode) {
  const DiskMode target = disk_mode_of(mode);
  if (target.has_xattr) return make_file_with_xattr(folder, name, mode);
  return disk::open_at(folder, name, O_CREAT | O_EXCL | O_RDWR | O_NOCTTY, target.mode & kModeBits);
}

// The same for a folder: made in the orphanage, moved to its place when it is ready.
Result<UniqueFd> make_folder_with_xattr(Orphanage& orphanage, int folder, const char* name,
                                        std::uint32_t mode) {
  const std::string making = orphanage.name_in_making();
  const int workshop = orphanage.folder()->get();
  if (auto done = disk::make_folder_at(workshop, making.c_str(), S_IRWXU); !done) {
    return std::unexpected(done.error());
  }
  auto fd = disk::open_at(workshop, making.c_str(), O_RDONLY | O_DIRECTORY);
  Result<void> done{};
  if (!fd) done = std::unexpected(fd.error());
  if (done) done = store_mode(fd->get(), S_IFDIR, mode);
  if (done) done = disk::rename_at(workshop, making.c_str(), folder, name, RENAME_NOREPLACE);
  if (done) return fd;
  (void)disk::remove_folder_at(workshop, making.c_str());  // else the next start does it
  return std::unexpected(done.error());
}

Result<UniqueFd> make_folder(Orphanage& orphanage, int folder, const char* name,
                             std::uint32_t mode) {
  const DiskMode target = disk_mode_of(mode);
  if (target.has_xattr) return make_folder_with_xattr(orphanage, folder, name, mode);
  if (auto done = disk::make_folder_at(folder, name, target.mode & kModeBits); !done) {
    return std::unexpected(done.error());
  }
  auto fd = disk::open_at(folder, name, O_RDONLY | O_DIRECTORY);
  if (!fd) (void)disk::remove_folder_at(folder, name);  // as if it was never made
  return fd;
}

// What was just made under a name, if it was.
Result<UniqueFd> open_made(const Result<void>& made, int folder, const char* name) {
  if (!made) return std::unexpected(made.error());
  auto fd = disk::open_at(folder, name, O_PATH);
  if (!fd) (void)disk::unlink_at(folder, name);  // as if it was never made
  return fd;
}

}  // namespace

/// What differs between the operations that make something.
struct Home::Making {
  /// Makes it in `folder` and returns a descriptor fit for the inode table.
  std::function<Result<UniqueFd>(int folder)> run;
  std::uint32_t mode = 0;  ///< the true mode it has to have, with type bits; 0: as it comes
};

Result<Entry> Home::lookup(const InodeRef& parent, const Name& name) {
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
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
    auto target = disk::readlink_at(folder, name.c_str());
    if (!target) return std::unexpected(target.error());
    entry.target = *std::move(target);
  }
  entry.inode = inodes_->found_since(moves, *stat, parent, name);
  if (entry.inode != nullptr) entry.attributes = told(entry.inode, *stat, /*is_change=*/false);
  return entry;
}

// Common to everything that makes an inode. Precondition: `making` refuses a name that exists.
Result<Entry> Home::make(const Actor& actor, const InodeRef& parent, const Name& name,
                         Making& making) {
  quota_->wait_until_decidable();
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  const int folder_fd = (*folder)->get();
  const std::lock_guard lock(inodes_->names_mutex());
  auto change = scan_->change();
  auto reservation = quota_->reserve(actor.grant, {.files = 1});
  if (!reservation) {
    // A name that exists is that first, as on a disk that is full.
    if (disk::stat_at(folder_fd, name.c_str())) return fail(Status::kExists);
    return std::unexpected(reservation.error());
  }
  auto fd = making.run(folder_fd);
  if (!fd) return std::unexpected(fd.error());
  reservation->settle({.files = 1});
  auto stat = stat_true(fd->get());
  if (!stat) return std::unexpected(stat.error());
  change.made(*stat);
  if (making.mode != 0 && stat->attributes.mode != making.mode) {
    // The umask of the process, a default ACL, or the sgid bit of the folder had a say.
    const auto raw = disk::stat_fd(fd->get());
    if (!raw) return std::unexpected(raw.error());
    auto done = store_mode(fd->get(), raw->attributes.mode, making.mode);
    if (!done) return std::unexpected(done.error());
    stat = stat_true(fd->get());
    if (!stat) return std::unexpected(stat.error());
  }
  Entry entry{.inode = inodes_->made(*stat, parent, name)};
  (void)inodes_->keep(entry.inode, std::move(*fd));
  entry.attributes = told(entry.inode, *stat, /*is_change=*/false);
  auto parent_attributes = told_changed(parent, folder_fd);
  if (!parent_attributes) return std::unexpected(parent_attributes.error());
  entry.parent = *parent_attributes;
  return entry;
}

Result<Entry> Home::create(const Actor& actor, const InodeRef& parent, const Name& name,
                           std::uint32_t mode) {
  const std::uint32_t true_mode = S_IFREG | (mode & kModeBits);
  Making making{.run = [&](int folder) { return make_file(folder, name.c_str(), true_mode); },
                .mode = true_mode};
  return make(actor, parent, name, making);
}

Result<Entry> Home::mkdir(const Actor& actor, const InodeRef& parent, const Name& name,
                          std::uint32_t mode) {
  // mkdir(2) takes no suid and sgid; sgid is inherited.
  std::uint32_t true_mode = S_IFDIR | (mode & (S_IRWXU | S_IRWXG | S_IRWXO | S_ISVTX));
  const auto parent_stat = inodes_->stat(parent);
  if (!parent_stat) return std::unexpected(parent_stat.error());
  true_mode |= parent_stat->attributes.mode & S_ISGID;
  Making making{
      .run = [&](int folder) { return make_folder(*orphanage_, folder, name.c_str(), true_mode); },
      .mode = true_mode};
  return make(actor, parent, name, making);
}

Result<Entry> Home::mknod(const Actor& actor, const InodeRef& parent, const Name& name,
                          std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
      return create(actor, parent, name, mode);
    case S_IFIFO:
    case S_IFSOCK:
      break;
    case S_IFCHR:
    case S_IFBLK:
    case S_IFDIR:
      return fail(Status::kNotPermitted);
    default:
      return fail(Status::kInvalid);
  }
  const std::uint32_t true_mode = mode & (S_IFMT | kModeBits);
  Making making{.run =
                    [&](int folder) {
                      const auto made = disk::make_node_at(folder, name.c_str(), true_mode);
                      return open_made(made, folder, name.c_str());
                    },
                .mode = true_mode};
  return make(actor, parent, name, making);
}

Result<Entry> Home::symlink(const Actor& actor, const InodeRef& parent, const Name& name,
                            const std::string& target) {
  if (target.empty()) return fail(Status::kNoSuchFile);
  if (target.size() > kSymlinkBytesMax) return fail(Status::kNameTooLong);
  if (target.find('\0') != std::string::npos) return fail(Status::kInvalid);
  Making making{.run = [&](int folder) {
    const auto made = disk::make_symlink_at(folder, name.c_str(), target);
    return open_made(made, folder, name.c_str());
  }};
  return make(actor, parent, name, making);
}

Result<Entry> Home::link(const Actor&, const InodeRef& inode, const InodeRef& parent,
                         const Name& name) {
  const auto file = inodes_->open(inode);
  if (!file) return std::unexpected(file.error());
  const auto folder = inodes_->open(parent);
  if (!folder) return std::unexpected(folder.error());
  if (!parent->is_folder()) return fail(Status::kNotDirectory);
  const std::lock_guard lock(inodes_->names_mutex());
  auto change = scan_->change();
  auto stat = disk::stat_fd((*file)->get());
  if (!stat) return std::unexpected(stat.error());
  // A file that has no name any more gets none again: link(2) of an unlinked file is ENOENT.
  const std::uint32_t hidden = orphanage_->has(inode->number()) ? 1 : 0;
  if (stat->attributes.links <= hidden) {
    const bool is_taken = disk::stat_at((*folder)->get(), name.c_str()).has_value();
    return fail(is_taken ? Status::kExists : Status::kNoSuchFile);
  }
  if (!inode->is_folder()) change.touch(*stat);  // the kernel refuses folders
  auto done = disk::link_fd_at((*file)->get(), (*folder)->get(), name.c_str());
  if (!done) return std::unexpected(done.error());
  const auto attributes = told_changed(inode, (*file)->get());
  if (!attributes) return std::unexpected(attributes.error());
  const auto parent_attributes = told_changed(parent, (*folder)->get());
  if (!parent_attributes) return std::unexpected(parent_attributes.error());
  return Entry{.inode = inode, .attributes = *attributes, .parent = *parent_attributes};
}

Result<std::string> Home::readlink(const InodeRef& inode) {
  if (!S_ISLNK(inode->identity().type)) return fail(Status::kInvalid);
  const auto link = inodes_->open(inode);
  if (!link) return std::unexpected(link.error());
  return disk::readlink_fd((*link)->get());
}

Result<InodeRef> Home::reintroduce(const InodeRef& parent, const Name& name, InodeNumber number) {
  auto entry = lookup(parent, name);
  if (entry && entry->inode->number() == number) return std::move(entry->inode);
  if (!entry && !is_not_there(entry.error().status)) return std::unexpected(entry.error());
  if (InodeRef moved = inodes_->find(number)) return moved;
  return adopt_orphan(number);
}

Result<InodeRef> Home::adopt_orphan(InodeNumber number) {
  // Under the lock an orphan that is found is not removed before it is known again.
  const std::lock_guard lock(inodes_->names_mutex());
  if (!orphanage_->has(number)) return fail(Status::kStale);
  const auto stat = orphanage_->stat(number);
  if (!stat || stat->attributes.inode != number) return fail(Status::kStale);
  orphanage_->adopt(number);
  return inodes_->found_orphan(*stat);
}

}  // namespace homefs
