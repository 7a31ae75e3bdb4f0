// The second half of posix_disk.h: attributes and data.

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "protocol/limits.h"
#include "server/posix_disk.h"
#include "server/posix_disk_internal.h"

namespace homefs::disk {
namespace {

off_t offset_of(std::uint64_t value) { return static_cast<off_t>(value); }

// Runs `call` again for as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// copy_file_range for pairs of files it does not serve. Precondition: the ranges do not overlap.
Result<std::uint64_t> copy_by_hand(int source, std::uint64_t source_offset, int target,
                                   std::uint64_t target_offset, std::uint64_t length) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(length, kPayloadBytesMax));
  std::uint64_t copied = 0;
  while (copied < length) {
    const auto part =
        std::span(buffer).first(std::min<std::uint64_t>(length - copied, buffer.size()));
    const auto bytes = read_at(source, part, source_offset + copied);
    if (!bytes) return std::unexpected(bytes.error());
    if (*bytes == 0) break;
    if (auto done = write_at(target, part.first(*bytes), target_offset + copied); !done) {
      return std::unexpected(done.error());
    }
    copied += *bytes;
  }
  return copied;
}

}  // namespace

Result<void> change_mode(int fd, std::uint32_t mode) {
  if (::fchmod(fd, mode) == 0) return {};
  if (errno != EBADF) return failed("chmod");
  // An O_PATH descriptor; fchmodat2 with AT_EMPTY_PATH is of Linux 6.6.
  if (::chmod(proc_path_of(fd).data(), mode) != 0) return failed("chmod");
  return {};
}

Result<void> touch(int fd) {
  constexpr auto kSameUid = static_cast<uid_t>(-1);
  constexpr auto kSameGid = static_cast<gid_t>(-1);
  if (::fchownat(fd, "", kSameUid, kSameGid, AT_EMPTY_PATH) != 0) return failed("chown");
  return {};
}

Result<void> change_times(int fd, const timespec& atime, const timespec& mtime) {
  const timespec times[2] = {atime, mtime};
  if (::utimensat(fd, "", times, AT_EMPTY_PATH) != 0) return failed("utimes");
  return {};
}

Result<std::vector<std::byte>> get_xattr(int fd, const char* name) {
  std::vector<std::byte> value(256);
  for (;;) {
    const ssize_t bytes = ::fgetxattr(fd, name, value.data(), value.size());
    if (bytes >= 0) {
      value.resize(static_cast<std::size_t>(bytes));
      return value;
    }
    if (errno != ERANGE || value.size() >= kXattrValueBytesMax) return failed("getxattr");
    value.resize(kXattrValueBytesMax);
  }
}

Result<void> set_xattr(int fd, const char* name, std::span<const std::byte> value, int flags) {
  if (::fsetxattr(fd, name, value.data(), value.size(), flags) != 0) return failed("setxattr");
  return {};
}

Result<void> remove_xattr(int fd, const char* name) {
  if (::fremovexattr(fd, name) != 0) return failed("removexattr");
  return {};
}

Result<std::vector<std::byte>> list_xattrs(int fd) {
  std::vector<std::byte> names(1024);
  for (;;) {
    const ssize_t bytes = ::flistxattr(fd, reinterpret_cast<char*>(names.data()), names.size());
    if (bytes >= 0) {
      names.resize(static_cast<std::size_t>(bytes));
      return names;
    }
    if (errno != ERANGE || names.size() >= kXattrListBytesMax) return failed("listxattr");
    names.resize(kXattrListBytesMax);
  }
}

Result<std::size_t> get_xattr_at(int folder, const char* name, const char* xattr,
                                 std::span<std::byte> value) {
  // getxattrat is of Linux 6.13. The magic link leads to the folder itself, not through a path.
  const std::string path = std::string(proc_path_of(folder).data()) + "/" + name;
  const ssize_t bytes = ::lgetxattr(path.c_str(), xattr, value.data(), value.size());
  if (bytes < 0) return failed("getxattr");
  return static_cast<std::size_t>(bytes);
}

Result<std::size_t> read_at(int fd, std::span<std::byte> out, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t bytes = uninterrupted([&] {
      return ::pread(fd, out.data() + done, out.size() - done, offset_of(offset + done));
    });
    if (bytes < 0) return failed("read");
    if (bytes == 0) break;
    done += static_cast<std::size_t>(bytes);
  }
  return done;
}

Result<void> write_at(int fd, std::span<const std::byte> data, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t bytes = uninterrupted([&] {
      return ::pwrite(fd, data.data() + done, data.size() - done, offset_of(offset + done));
    });
    if (bytes < 0) return failed("write");
    if (bytes == 0) return fail(Status::kIoError, "the disk took no bytes");
    done += static_cast<std::size_t>(bytes);
  }
  return {};
}

Result<void> truncate(int fd, std::uint64_t size) {
  if (uninterrupted([&] { return ::ftruncate(fd, offset_of(size)); }) != 0) {
    return failed("truncate");
  }
  return {};
}

Result<void> allocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) {
  if (uninterrupted([&] { return ::fallocate(fd, mode, offset_of(offset), offset_of(length)); }) !=
      0) {
    return failed("fallocate");
  }
  return {};
}

Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence) {
  // The position this moves is used by nobody: all reading and writing names its offset.
  const off_t found = ::lseek(fd, offset_of(offset), whence);
  if (found < 0) return failed("seek");
  return static_cast<std::uint64_t>(found);
}

Result<std::uint64_t> copy_range(int source, std::uint64_t source_offset, int target,
                                 std::uint64_t target_offset, std::uint64_t length) {
  // The kernel shares blocks here by itself where the file system can (FICLONERANGE inside), and
  // takes whatever alignment it is given.
  std::uint64_t copied = 0;
  while (copied < length) {
    off_t from = offset_of(source_offset + copied);
    off_t to = offset_of(target_offset + copied);
    const ssize_t bytes = uninterrupted(
        [&] { return ::copy_file_range(source, &from, target, &to, length - copied, 0); });
    if (bytes < 0 && copied == 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS)) {
      return copy_by_hand(source, source_offset, target, target_offset, length);
    }
    if (bytes < 0) return failed("copy");
    if (bytes == 0) break;
    copied += static_cast<std::uint64_t>(bytes);
  }
  return copied;
}

Result<void> sync(int fd, bool data_only) {
  const int done = data_only ? ::fdatasync(fd) : ::fsync(fd);
  if (done != 0) return failed("fsync");
  return {};
}

Result<void> sync_file_system(int fd) {
  if (::syncfs(fd) != 0) return failed("syncfs");
  return {};
}

}  // namespace homefs::disk
