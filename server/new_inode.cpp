#include "server/new_inode.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <span>

#include "server/disk_mode.h"
#include "server/orphanage.h"

namespace homefs {
namespace {

// The mode that the disk has to give it at first.
std::uint32_t first_mode(const NewInode& wanted) {
  const std::uint32_t mode =
      wanted.whole ? whole_disk_mode(wanted.mode) : disk_mode_of(wanted.mode).mode;
  return mode & kModeBits;
}

Result<void> store_first(int fd, const NewInode& wanted) {
  if (wanted.whole) return store_ownership_xattr(fd, *wanted.whole);
  return store_mode(fd, wanted.mode & S_IFMT, wanted.mode);
}

// Gets its name when it has its xattr.
Result<UniqueFd> make_file_with_xattr(int folder, const char* name, const NewInode& wanted) {
  auto fd = disk::open_unnamed(folder, first_mode(wanted));
  if (!fd) return fd;
  auto done = store_first(fd->get(), wanted);
  if (done && wanted.target != nullptr) {
    done = disk::write_at(fd->get(), std::as_bytes(std::span(*wanted.target)), 0);
  }
  if (done) done = disk::link_fd_at(fd->get(), folder, name);
  if (!done) return std::unexpected(done.error());
  return fd;
}

// Made in the orphanage, moved to its place when it is ready.
Result<UniqueFd> make_folder_with_xattr(Orphanage& orphanage, int folder, const char* name,
                                        const NewInode& wanted) {
  const std::string making = orphanage.name_in_making();
  const int workshop = orphanage.folder()->get();
  if (auto done = disk::make_folder_at(workshop, making.c_str(), S_IRWXU); !done) {
    return std::unexpected(done.error());
  }
  auto fd = disk::open_at(workshop, making.c_str(), O_RDONLY | O_DIRECTORY);
  Result<void> done{};
  if (!fd) done = std::unexpected(fd.error());
  if (done) done = store_first(fd->get(), wanted);
  if (done && wanted.whole) done = disk::change_mode(fd->get(), first_mode(wanted));
  if (done) done = disk::rename_at(workshop, making.c_str(), folder, name, RENAME_NOREPLACE);
  if (done) return fd;
  (void)disk::remove_folder_at(workshop, making.c_str());  // else the next start does it
  return std::unexpected(done.error());
}

Result<UniqueFd> make_folder(int folder, const char* name, const NewInode& wanted) {
  if (auto done = disk::make_folder_at(folder, name, first_mode(wanted)); !done) {
    return std::unexpected(done.error());
  }
  auto fd = disk::open_at(folder, name, O_RDONLY | O_DIRECTORY);
  if (!fd) (void)disk::remove_folder_at(folder, name);  // as if it was never made
  return fd;
}

// FIFOs, sockets and symlinks as the disk has them.
Result<UniqueFd> make_special(int folder, const char* name, const NewInode& wanted) {
  const auto made = S_ISLNK(wanted.mode)
                        ? disk::make_symlink_at(folder, name, *wanted.target)
                        : disk::make_node_at(folder, name, wanted.mode & (S_IFMT | kModeBits));
  if (!made) return std::unexpected(made.error());
  auto fd = disk::open_at(folder, name, O_PATH);
  if (!fd) (void)disk::unlink_at(folder, name);  // as if it was never made
  return fd;
}

}  // namespace

Result<UniqueFd> make_inode(Orphanage& orphanage, int folder, const char* name,
                            const NewInode& wanted) {
  const bool has_xattr = wanted.whole || disk_mode_of(wanted.mode).has_xattr;
  if (S_ISDIR(wanted.mode)) {
    return has_xattr ? make_folder_with_xattr(orphanage, folder, name, wanted)
                     : make_folder(folder, name, wanted);
  }
  if (has_xattr) return make_file_with_xattr(folder, name, wanted);
  if (!S_ISREG(wanted.mode)) return make_special(folder, name, wanted);
  return disk::open_at(folder, name, O_CREAT | O_EXCL | O_RDWR | O_NOCTTY, first_mode(wanted));
}

}  // namespace homefs
