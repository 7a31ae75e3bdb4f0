#include "server/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "protocol/limits.h"
#include "server/posix_disk_internal.h"

namespace homefs::disk {
namespace {

// RESOLVE_BENEATH makes a rename that runs at the same time an EAGAIN; the kernel asks to try
// again.
constexpr int kOpenAttemptsMax = 128;

Result<UniqueFd> open_resolved(int folder, const char* path, int flags, std::uint32_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
  // openat2 refuses a mode where none is used.
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    const long fd = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return failed("open");
}

Stat stat_of(const struct ::statx& x) {
  Stat stat;
  Attributes& a = stat.attributes;
  a.inode = InodeNumber{x.stx_ino};
  a.mode = stat.disk_mode = x.stx_mode;
  a.links = x.stx_nlink;
  a.uid = x.stx_uid;
  a.gid = x.stx_gid;
  a.device = static_cast<std::uint32_t>(makedev(x.stx_rdev_major, x.stx_rdev_minor));
  a.size = x.stx_size;
  a.blocks = x.stx_blocks;
  a.atime = {x.stx_atime.tv_sec, x.stx_atime.tv_nsec};
  a.mtime = {x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec};
  a.ctime = {x.stx_ctime.tv_sec, x.stx_ctime.tv_nsec};
  if ((x.stx_mask & STATX_BTIME) != 0) {
    stat.birth_ns = nanoseconds_of({x.stx_btime.tv_sec, x.stx_btime.tv_nsec});
    a.generation = generation_of(stat.birth_ns);
  }
  stat.device = makedev(x.stx_dev_major, x.stx_dev_minor);
  stat.is_mount = (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  return stat;
}

Result<Stat> stat_with(int fd, const char* name, int flags) {
  // Taken before the look: whoever looks after a change has a greater one than all who looked
  // before it.
  const std::uint64_t order = next_order();
  struct ::statx x{};
  flags |= AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT;
  if (::statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &x) != 0) return failed("stat");
  Stat stat = stat_of(x);
  stat.attributes.order = order;
  return stat;
}

}  // namespace

std::uint64_t next_order() {
  static std::atomic<std::uint64_t> looks{1};
  return looks.fetch_add(1, std::memory_order_seq_cst);
}

std::uint32_t generation_of(std::int64_t birth_ns) {
  if (birth_ns == 0) return 0;
  // The number of an inode that is open somewhere is not used again (it lies in the orphanage), so
  // that two of one number are not born in the same tick of the clock. i_generation would say no
  // more, and cost a further system call for each entry of a listing.
  const std::uint64_t mixed = static_cast<std::uint64_t>(birth_ns) * 0x9e3779b97f4a7c15ull;
  return static_cast<std::uint32_t>(mixed >> 32) | 1;
}

std::unexpected<Error> failed(const char* what) { return fail_errno(errno, what); }

std::array<char, 32> proc_path_of(int fd) {
  std::array<char, 32> path{};
  (void)std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);  // 14 + at most 11 bytes
  return path;
}

std::int64_t nanoseconds_of(const Timestamp& time) {
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  constexpr std::int64_t kSecondsMax = INT64_MAX / kNanosecondsPerSecond - 1;
  if (time.seconds > kSecondsMax) return INT64_MAX;
  if (time.seconds < -kSecondsMax) return INT64_MIN;
  return time.seconds * kNanosecondsPerSecond + time.nanoseconds;
}

Result<UniqueFd> open_root(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed(path.c_str());
  return UniqueFd(fd);
}

Result<UniqueFd> open_parent(int folder) {
  const int fd = ::openat(folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed("open ..");
  return UniqueFd(fd);
}

Result<UniqueFd> open_at(int folder, const char* name, int flags, std::uint32_t mode) {
  return open_resolved(folder, name, flags, mode);
}

Result<UniqueFd> open_unnamed(int folder, std::uint32_t mode) {
  return open_resolved(folder, ".", O_TMPFILE | O_RDWR, mode);
}

Result<Stat> stat_at(int folder, const char* name) { return stat_with(folder, name, 0); }

Result<Stat> stat_fd(int fd) { return stat_with(fd, "", AT_EMPTY_PATH); }

Result<std::string> readlink_at(int folder, const char* name) {
  std::array<char, kSymlinkBytesMax + 1> target;
  const ssize_t bytes = ::readlinkat(folder, name, target.data(), target.size());
  if (bytes < 0) return failed("readlink");
  return std::string(target.data(), static_cast<std::size_t>(bytes));
}

Result<std::string> readlink_fd(int fd) { return readlink_at(fd, ""); }

Result<void> read_folder(int folder, const EntryVisitor& visit) {
  // An open file of its own: its position is not shared with others who list this folder.
  auto own = open_resolved(folder, ".", O_RDONLY | O_DIRECTORY, 0);
  if (!own) return std::unexpected(own.error());
  alignas(dirent64) std::array<char, 32 * 1024> buffer;
  for (;;) {
    const ssize_t bytes = ::getdents64(own->get(), buffer.data(), buffer.size());
    if (bytes < 0) return failed("read folder");
    if (bytes == 0) return {};
    for (ssize_t at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      const std::string_view name(entry->d_name);
      if (name == "." || name == "..") continue;
      if (!visit(entry->d_ino, name)) return {};
    }
  }
}

Result<FileSystemSpace> space_of(int fd) {
  struct ::statvfs s{};
  if (::fstatvfs(fd, &s) != 0) return failed("statfs");
  return FileSystemSpace{.bytes = s.f_blocks * s.f_frsize, .bytes_free = s.f_bavail * s.f_frsize};
}

Result<void> make_folder_at(int folder, const char* name, std::uint32_t mode) {
  if (::mkdirat(folder, name, mode) != 0) return failed("mkdir");
  return {};
}

Result<void> make_node_at(int folder, const char* name, std::uint32_t mode) {
  if (::mknodat(folder, name, mode, 0) != 0) return failed("mknod");
  return {};
}

Result<void> make_symlink_at(int folder, const char* name, const std::string& target) {
  if (::symlinkat(target.c_str(), folder, name) != 0) return failed("symlink");
  return {};
}

Result<void> link_fd_at(int fd, int folder, const char* name) {
  // AT_EMPTY_PATH would do without /proc, but needs CAP_DAC_READ_SEARCH before Linux 6.10.
  if (::linkat(AT_FDCWD, proc_path_of(fd).data(), folder, name, AT_SYMLINK_FOLLOW) != 0) {
    return failed("link");
  }
  return {};
}

Result<void> unlink_at(int folder, const char* name) {
  if (::unlinkat(folder, name, 0) != 0) return failed("unlink");
  return {};
}

Result<void> remove_folder_at(int folder, const char* name) {
  if (::unlinkat(folder, name, AT_REMOVEDIR) != 0) return failed("rmdir");
  return {};
}

Result<void> rename_at(int folder, const char* name, int new_folder, const char* new_name,
                       unsigned flags) {
  if (::renameat2(folder, name, new_folder, new_name, flags) != 0) return failed("rename");
  return {};
}

}  // namespace homefs::disk
