#include "server/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "protocol/unique_fd.h"

namespace homefs {
namespace {

Result<void> allocate(int fd, const std::filesystem::path& file, std::size_t bytes) {
  // Unlike posix_fallocate it does not write zeros where the file system cannot allocate: there the
  // file gets its size at least.
  if (::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0) return {};
  if (errno == EOPNOTSUPP && ::ftruncate(fd, static_cast<off_t>(bytes)) == 0) return {};
  return fail_errno(errno, "allocate " + file.string());
}

// All of what it may become, so that it never moves. Behind the end of the file nothing is stored.
Result<std::byte*> map(int fd, const std::filesystem::path& file, std::size_t bytes_max) {
  void* const begin = ::mmap(nullptr, bytes_max, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (begin == MAP_FAILED) return fail_errno(errno, "map " + file.string());
  return static_cast<std::byte*>(begin);
}

}  // namespace

Result<MappedFile> MappedFile::make(const std::filesystem::path& file, std::size_t bytes,
                                    std::size_t bytes_max) {
  HOMEFS_CHECK(bytes <= bytes_max);
  constexpr int kFlags = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  const UniqueFd fd(::open(file.c_str(), kFlags, 0600));
  if (!fd) return fail_errno(errno, "make " + file.string());
  Result<void> done = allocate(fd.get(), file, bytes);
  const Result<std::byte*> begin =
      done ? map(fd.get(), file, bytes_max) : std::unexpected(done.error());
  if (!begin) {
    (void)::unlink(file.c_str());  // the first error is the one to tell
    return std::unexpected(begin.error());
  }
  return MappedFile(file, *begin, bytes, bytes_max);
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& file, std::size_t bytes_max) {
  const UniqueFd fd(::open(file.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "open " + file.string());
  struct ::stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, file.string());
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || bytes > bytes_max) return fail(Status::kInvalid, file.string());
  const Result<std::byte*> begin = map(fd.get(), file, bytes_max);
  if (!begin) return std::unexpected(begin.error());
  return MappedFile(file, *begin, bytes, bytes_max);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : file_(std::move(other.file_)),
      begin_(std::exchange(other.begin_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      bytes_max_(other.bytes_max_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  file_ = std::move(other.file_);
  begin_ = std::exchange(other.begin_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  bytes_max_ = other.bytes_max_;
  return *this;
}

MappedFile::~MappedFile() { unmap(); }

void MappedFile::unmap() {
  if (begin_ != nullptr) (void)::munmap(begin_, bytes_max_);  // fails for bad arguments only
}

Result<void> MappedFile::grow(std::size_t bytes) {
  HOMEFS_CHECK(bytes >= bytes_ && bytes <= bytes_max_);
  const UniqueFd fd(::open(file_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + file_.string());
  if (Result<void> done = allocate(fd.get(), file_, bytes); !done) return done;
  bytes_ = bytes;
  return {};
}

void MappedFile::remove() { (void)::unlink(file_.c_str()); }  // gone already is as good

Result<void> MappedFile::rename(const std::filesystem::path& file) {
  if (::rename(file_.c_str(), file.c_str()) != 0)
    return fail_errno(errno, "rename to " + file.string());
  file_ = file;
  return {};
}

}  // namespace homefs
