#include "fusefs/transfer/local_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include "protocol/block_md5.h"
#include "protocol/limits.h"
#include "protocol/md5_stream.h"

namespace homefs {
namespace {

constexpr std::uint32_t kModeBits = 07777;

std::array<timespec, 2> times_of(const Attributes& attributes) {
  const auto time = [](const Timestamp& stamp) {
    return timespec{stamp.seconds, static_cast<long>(stamp.nanoseconds)};
  };
  return {time(attributes.atime), time(attributes.mtime)};
}

// A full disk is told of as this machine's: the status alone would say nothing of where.
std::unexpected<Error> fail_write(int error) {
  const bool is_full = error == ENOSPC || error == EDQUOT;
  return fail(status_of_errno(error), is_full ? "on this machine" : "");
}

std::vector<std::byte> read_buffer(std::uint64_t bytes) {
  return std::vector<std::byte>(std::min<std::uint64_t>(bytes, kPayloadBytesMax));
}

}  // namespace

Result<LocalFile> LocalFile::open_to_read(const std::filesystem::path& path) {
  // Not blocking: what was a file when it was listed may be a FIFO by now.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno);
  LocalFile file(std::move(fd), path);
  const auto stat = file.stat();
  if (!stat) return std::unexpected(stat.error());
  if (!S_ISREG(stat->st_mode)) return fail(Status::kInvalid, "it is no file any more");
  return file;
}

Result<LocalFile> LocalFile::open_partial(const std::filesystem::path& path) {
  constexpr int kAttempts = 10;  // the one who has it may rename it away between the two steps
  for (int i = 0; i < kAttempts; ++i) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return fail_errno(errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return fail_errno(errno);
      return fail(Status::kBusy, "another transfer of it is under way");
    }
    struct stat ours{};
    struct stat named{};
    if (::fstat(fd.get(), &ours) == 0 && ::lstat(path.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      return LocalFile(std::move(fd), path);
    }
  }
  return fail(Status::kBusy, "another transfer of it is under way");
}

Result<struct stat> LocalFile::stat() const {
  struct stat stat{};
  if (::fstat(fd_.get(), &stat) != 0) return fail_errno(errno);
  return stat;
}

Result<struct stat> LocalFile::settled_stat() const {
  constexpr int kAttempts = 8;  // a file system with a clock of its own may be ahead for longer
  constexpr timespec kPartOfTick{0, 2'000'000};
  for (int i = 0;; ++i) {
    auto found = stat();
    if (!found || i == kAttempts) return found;
    timespec now{};
    (void)::clock_gettime(CLOCK_REALTIME_COARSE, &now);  // by which the kernel stamps files
    const timespec& changed = found->st_ctim;
    const bool is_settled =
        now.tv_sec != changed.tv_sec ? now.tv_sec > changed.tv_sec : now.tv_nsec > changed.tv_nsec;
    if (is_settled) return found;
    (void)::nanosleep(&kPartOfTick, nullptr);
  }
}

Result<std::size_t> LocalFile::read_at(std::uint64_t offset, std::span<std::byte> buffer) const {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t count = ::pread(fd_.get(), buffer.data() + done, buffer.size() - done,
                                  static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<> LocalFile::write_at(std::uint64_t offset, std::span<const std::byte> data) const {
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t count = ::pwrite(fd_.get(), data.data() + done, data.size() - done,
                                   static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_write(errno);
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Result<> LocalFile::truncate(std::uint64_t size) const {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return fail_errno(errno);
  return {};
}

Result<std::vector<Md5Digest>> LocalFile::digests(std::uint64_t offset,
                                                  std::uint64_t length) const {
  std::vector<Md5Digest> digests;
  std::vector<std::byte> buffer = read_buffer(length);
  for (std::uint64_t at = offset; at < offset + length;) {
    const auto part =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), offset + length - at));
    const auto count = read_at(at, part);
    if (!count) return std::unexpected(count.error());
    if (*count == 0) break;
    const std::size_t first = digests.size();
    digests.resize(first + piece_count(at, *count));
    md5_pieces(at, part.first(*count), std::span(digests).subspan(first));
    at += *count;
  }
  return digests;
}

Result<Md5Digest> LocalFile::whole_digest() const {
  Md5Stream stream;
  std::vector<std::byte> buffer(kPayloadBytesMax);
  for (std::uint64_t at = 0;;) {
    const auto count = read_at(at, buffer);
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return stream.finish();
    stream.update(std::span(buffer).first(*count));
    at += *count;
  }
}

Result<> LocalFile::publish(const Attributes& attributes, const std::filesystem::path& name) const {
  if (::fchmod(fd_.get(), attributes.mode & kModeBits) != 0) return fail_errno(errno);
  if (::futimens(fd_.get(), times_of(attributes).data()) != 0) return fail_errno(errno);
  if (::rename(path_.c_str(), name.c_str()) != 0) return fail_errno(errno);
  return {};
}

Result<> set_local_attributes(const std::filesystem::path& path, const Attributes& attributes) {
  if (!S_ISLNK(attributes.mode) && ::chmod(path.c_str(), attributes.mode & kModeBits) != 0) {
    return fail_errno(errno);
  }
  if (::utimensat(AT_FDCWD, path.c_str(), times_of(attributes).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(errno);
  }
  return {};
}

}  // namespace homefs
