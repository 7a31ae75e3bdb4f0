#include "server/data_folder.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace homefs {
namespace {

constexpr const char* kLockFile = "lock";

UniqueFd open_lock_file(const std::filesystem::path& folder, int flags) {
  return UniqueFd(::open((folder / kLockFile).c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

Result<void> DataFolder::make(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder, error)) return {};
  std::filesystem::create_directories(folder.parent_path(), error);
  if (error) return fail_errno(error.value(), "make " + folder.parent_path().string());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(errno, "make " + folder.string());
  }
  return {};
}

Result<DataFolder> DataFolder::open(const std::filesystem::path& folder) {
  if (Result<void> made = make(folder); !made) return std::unexpected(made.error());
  UniqueFd lock = open_lock_file(folder, O_RDWR | O_CREAT);
  if (!lock) return fail_errno(errno, "open " + (folder / kLockFile).string());
  // Given back by the kernel when the process ends, however it ends.
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail(Status::kBusy, "another homefsd serves " + folder.string());
    }
    return fail_errno(errno, "lock " + (folder / kLockFile).string());
  }
  return DataFolder(std::move(lock));
}

Result<void> DataFolder::check_owner(const std::filesystem::path& folder) {
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0 || status.st_uid == ::geteuid()) return {};
  const passwd* owner = ::getpwuid(status.st_uid);  // called before there is a second thread
  const std::string name = owner != nullptr ? owner->pw_name : "#" + std::to_string(status.st_uid);
  return fail(Status::kNotPermitted, folder.string() + " is of the user " + name +
                                         ": run this by sudo -u " + name + " homefsd ...");
}

}  // namespace homefs
