#include "config/text_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include <cerrno>
#include <thread>

namespace homefs {
namespace {

constexpr mode_t kPermissionBits = 07777;
constexpr std::size_t kChunkBytes = 64 * 1024;

// flock() cannot wait with a deadline; writers hold the lock for milliseconds.
constexpr std::chrono::milliseconds kLockPoll{5};

std::unexpected<Error> failed(std::string_view what, const std::filesystem::path& path) {
  return fail_errno(errno, std::string(what) + " " + path.string());
}

std::chrono::nanoseconds since_epoch(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

FileVersion version_from(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, since_epoch(status.st_mtim),
          since_epoch(status.st_ctim)};
}

Result<> write_all(int fd, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return failed("write to disk", path);
  return {};
}

Result<> sync_folder(const std::filesystem::path& folder) {
  const OwnedFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return failed("open", folder);
  if (::fsync(fd.get()) != 0) return failed("write to disk", folder);
  return {};
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

// Gives the new file the rights of the old one, as far as we may.
Result<> copy_rights(int fd, const struct stat& old, const std::filesystem::path& path) {
  mode_t mode = old.st_mode & kPermissionBits;
  // Only root may give a file away; its new owner, we, could read the old one anyhow.
  [[maybe_unused]] const int ignored = ::fchown(fd, old.st_uid, static_cast<gid_t>(-1));
  // But another group must not come into the rights that the old one had.
  if (::fchown(fd, static_cast<uid_t>(-1), old.st_gid) != 0) mode &= ~mode_t{070};
  if (::fchmod(fd, mode) != 0) return failed("set the mode of", path);
  return {};
}

// What root makes belongs to the owner of the folder: an administrator's command must not leave
// files behind that the server itself cannot open. Only for a file that we have just made: in
// another user's folder any other one may be a trap.
void give_to_owner_of_folder(int fd, const std::filesystem::path& file) {
  struct stat folder;
  if (::geteuid() != 0 || ::stat(folder_of(file).c_str(), &folder) != 0) return;
  [[maybe_unused]] const int ignored = ::fchown(fd, folder.st_uid, folder.st_gid);
}

// A temporary file that is removed again unless it was renamed.
class TemporaryFile {
 public:
  static Result<TemporaryFile> make(const std::filesystem::path& target) {
    const std::filesystem::path folder = folder_of(target);
    std::string name = (folder / ("." + target.filename().string() + ".XXXXXX")).string();
    OwnedFd fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd.is_open()) return failed("create a file beside", target);
    return TemporaryFile(std::move(fd), std::move(name), folder);
  }
  TemporaryFile(TemporaryFile&& other) noexcept
      : fd_(std::move(other.fd_)),
        name_(std::exchange(other.name_, {})),
        folder_(std::move(other.folder_)) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }

  Result<> rename_to(const std::filesystem::path& target) {
    if (::rename(name_.c_str(), target.c_str()) != 0) return failed("replace", target);
    name_.clear();
    return sync_folder(folder_);
  }

 private:
  TemporaryFile(OwnedFd fd, std::string name, std::filesystem::path folder)
      : fd_(std::move(fd)), name_(std::move(name)), folder_(std::move(folder)) {}

  OwnedFd fd_;
  std::string name_;  // Empty once renamed.
  std::filesystem::path folder_;
};

// Where `path` leads to in the end; `path` itself if nothing is there yet.
std::filesystem::path followed(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  return error ? path : target;
}

}  // namespace

Result<TextFile> read_text_file(const std::filesystem::path& path, std::size_t bytes_max) {
  // O_NONBLOCK: a FIFO put in the file's place must not hang us.
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.is_open()) return failed("open", path);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return failed("look at", path);
  if (!S_ISREG(status.st_mode)) return fail(Status::kInvalid, path.string() + " is no plain file");

  TextFile file{{}, version_from(status), status.st_mode & kPermissionBits, status.st_uid};
  while (true) {
    const std::size_t used = file.text.size();
    if (used > bytes_max) {
      return fail(Status::kTooBig,
                  path.string() + " has more than " + std::to_string(bytes_max) + " bytes");
    }
    file.text.resize(used + kChunkBytes);
    const ssize_t count = ::read(fd.get(), file.text.data() + used, kChunkBytes);
    file.text.resize(used + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) return file;
    if (count < 0 && errno != EINTR) return failed("read", path);
  }
}

Result<FileVersion> file_version(const std::filesystem::path& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return failed("look at", path);
  return version_from(status);
}

Result<> replace_text_file(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  const std::filesystem::path target = followed(path);
  Result<TemporaryFile> temporary = TemporaryFile::make(target);
  if (!temporary) return std::unexpected(temporary.error());
  struct stat old;
  if (::stat(target.c_str(), &old) == 0) {
    if (Result<> done = copy_rights(temporary->fd(), old, target); !done) return done;
  } else if (errno != ENOENT) {
    return failed("look at", target);
  } else {
    give_to_owner_of_folder(temporary->fd(), target);
    if (::fchmod(temporary->fd(), mode) != 0) return failed("set the mode of", target);
  }
  if (Result<> done = write_all(temporary->fd(), text, target); !done) return done;
  return temporary->rename_to(target);
}

Result<FileLock> FileLock::acquire(const std::filesystem::path& path) {
  const std::string name = followed(path).string() + ".lock";
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  OwnedFd fd(::open(name.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
  if (fd.is_open()) {
    give_to_owner_of_folder(fd.get(), name);
  } else if (errno == EEXIST) {
    fd = OwnedFd(::open(name.c_str(), kFlags));
  }
  if (!fd.is_open()) return failed("open", name);
  const auto deadline = std::chrono::steady_clock::now() + kFileLockWait;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("lock", name);
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Status::kTimedOut, "another process holds " + name);
    }
    std::this_thread::sleep_for(kLockPoll);
  }
  return FileLock(std::move(fd));
}

Result<> edit_text_file(const std::filesystem::path& path, std::size_t bytes_max,
                        mode_t mode_if_new,
                        const std::function<Result<std::string>(const std::string&)>& change) {
  const Result<FileLock> lock = FileLock::acquire(path);
  if (!lock) return std::unexpected(lock.error());
  Result<TextFile> file = read_text_file(path, bytes_max);
  const bool is_new = !file && file.error().status == Status::kNoSuchFile;
  if (!file && !is_new) return std::unexpected(file.error());
  if (is_new) file = TextFile{};

  const Result<std::string> text = change(file->text);
  if (!text) return std::unexpected(text.error());
  if (*text == file->text) return {};
  return replace_text_file(path, *text, mode_if_new);
}

}  // namespace homefs
