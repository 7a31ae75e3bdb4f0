#include "fusefs/transfer/side_log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace homefs {

std::filesystem::path SideLogFile::older(int number) const {
  std::filesystem::path path = path_;
  path += "." + std::to_string(number);
  return path;
}

// Another process may have rotated the file away under us.
Result<> SideLogFile::reopen_if_replaced() {
  struct stat ours{};
  struct stat named{};
  if (file_ && ::fstat(file_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
      ours.st_dev == named.st_dev && ours.st_ino == named.st_ino) {
    return {};
  }
  file_.reset(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!file_) return fail_errno(errno, path_.string());
  return {};
}

void SideLogFile::rotate() {
  // Two processes may come here at once: the second finds a small file under the name. The lock is
  // on the file itself and goes with it. Without a lock nothing is lost but the order of the names.
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) return;
  struct stat ours{};
  struct stat named{};
  const bool is_current = ::fstat(file_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                          ours.st_ino == named.st_ino;
  if (is_current) {
    std::error_code ignored;  // an older file that cannot be moved is overwritten next time
    for (int number = limits_.kept - 1; number >= 1; --number) {
      std::filesystem::rename(older(number), older(number + 1), ignored);
    }
    std::filesystem::rename(path_, older(1), ignored);
  }
  file_.reset();
}

Result<> SideLogFile::append(std::string_view lines) {
  if (const Result<> opened = reopen_if_replaced(); !opened) return opened;
  while (!lines.empty()) {
    const ssize_t written = ::write(file_.get(), lines.data(), lines.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, path_.string());
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
  struct stat status{};
  if (::fstat(file_.get(), &status) == 0 &&
      static_cast<std::uint64_t>(status.st_size) > limits_.bytes_max) {
    rotate();
  }
  return {};
}

}  // namespace homefs
