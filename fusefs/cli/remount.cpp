#include "fusefs/cli/remount.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

#include <array>
#include <cerrno>
#include <utility>

#include "protocol/status.h"

namespace homefs {
namespace {

Result<struct statvfs> figures_of(const std::string& folder) {
  struct statvfs figures{};
  if (::statvfs(folder.c_str(), &figures) == 0) return figures;
  return fail(status_of_errno(errno), folder);
}

// The kernel takes what is not named for what is not wanted any more.
unsigned long kept_flags(const struct statvfs& figures) {
  constexpr std::array<std::pair<unsigned long, unsigned long>, 6> kFlags{{
      {ST_NOSUID, MS_NOSUID},
      {ST_NODEV, MS_NODEV},
      {ST_NOEXEC, MS_NOEXEC},
      {ST_NOATIME, MS_NOATIME},
      {ST_NODIRATIME, MS_NODIRATIME},
      {ST_RELATIME, MS_RELATIME},
  }};
  unsigned long kept = 0;
  for (const auto& [seen, flag] : kFlags) {
    if ((figures.f_flag & seen) != 0) kept |= flag;
  }
  return kept;
}

}  // namespace

Result<bool> is_mounted_read_only(const std::string& folder) {
  const auto figures = figures_of(folder);
  if (!figures) return std::unexpected(figures.error());
  return (figures->f_flag & ST_RDONLY) != 0;
}

Result<> remount(const std::string& folder, bool is_read_only) {
  const auto figures = figures_of(folder);
  if (!figures) return std::unexpected(figures.error());
  const unsigned long flags = kept_flags(*figures) | MS_REMOUNT |
                              (is_read_only ? static_cast<unsigned long>(MS_RDONLY) : 0);
  if (::mount(nullptr, folder.c_str(), nullptr, flags, nullptr) == 0) return {};
  return fail(status_of_errno(errno), "remount of " + folder);
}

}  // namespace homefs
