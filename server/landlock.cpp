#include "server/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "protocol/unique_fd.h"

namespace homefs {
namespace {

// The second version, of Linux 5.19: the first one refuses to move a file to another folder.
constexpr long kAbiMin = 2;
constexpr long kAbiTruncate = 3;
// Of the third version, which the headers of the build may not know.
constexpr std::uint64_t kAccessTruncate = 1ull << 14;

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
// Handled, and given to no folder: the server runs nothing and makes no devices.
constexpr std::uint64_t kNever =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

Result<void> allow(int ruleset, const std::filesystem::path& path, std::uint64_t access) {
  const UniqueFd target(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!target) {
    return errno == ENOENT ? Result<void>{} : Result<void>(fail_errno(errno, path.string()));
  }
  struct stat status{};
  if (::fstat(target.get(), &status) != 0) return fail_errno(errno, path.string());
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(status.st_mode) ? access : access & (kReadFile | kAccessTruncate);
  rule.parent_fd = target.get();
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return fail_errno(errno, "allow " + path.string());
  }
  return {};
}

}  // namespace

Result<void> confine_process(const ConfinementPaths& paths) {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < kAbiMin) return fail(Status::kNotSupported, "the kernel has no Landlock of version 2");
  const std::uint64_t write = abi >= kAbiTruncate ? kWrite | kAccessTruncate : kWrite;
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = kRead | write | kNever;
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
  if (!ruleset) return fail_errno(errno, "make a Landlock ruleset");
  for (const auto& path : paths.writable) {
    if (auto done = allow(ruleset.get(), path, kRead | write); !done) return done;
  }
  for (const auto& path : paths.readable) {
    if (auto done = allow(ruleset.get(), path, kRead); !done) return done;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail_errno(errno, "confine the process");
  }
  return {};
}

}  // namespace homefs
