#include "fusefs/cli/mountpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <fstream>
#include <sstream>
#include <string_view>

namespace homefs {
namespace {

struct MountedHome {
  std::filesystem::path folder;
  std::string options;  // those of the file system
};

// "\040" and the like, as the kernel writes names into its tables.
std::string unescaped(const std::string& field) {
  std::string text;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      text += static_cast<char>(std::stoi(field.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

// See proc_pid_mountinfo(5): after six fields and some optional ones "-", the type, the source and
// the options of the file system.
std::vector<MountedHome> all_mounted_homes() {
  std::vector<MountedHome> homes;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    const std::size_t middle = line.find(" - fuse.homefs ");
    if (middle == line.npos) continue;
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    homes.push_back({unescaped(field), line.substr(line.rfind(' ') + 1)});
  }
  return homes;
}

}  // namespace

Result<std::filesystem::path> resolve_mountpoint(const ClientPaths& paths,
                                                 const std::string& text) {
  constexpr int kSymlinksMax = 40;  // as the kernel has it
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(paths.expand(text), error);
  if (error) return fail_errno(error.value(), text);
  for (int i = 0; i < kSymlinksMax; ++i) {
    path = path.lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    const auto parent = std::filesystem::weakly_canonical(path.parent_path(), error);
    if (!error) path = parent / path.filename();
    // Of what is mounted readlink(2) asks nothing: the root of a mount is no symlink.
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return path;
    path = path.parent_path() / std::string_view(target.data(), static_cast<std::size_t>(length));
  }
  return fail_errno(ELOOP, text);
}

Result<> check_mountpoint(const std::filesystem::path& folder) {
  if (is_home_mounted(folder)) {
    return fail(Status::kBusy,
                folder.string() + " is mounted already (\"homefs umount\" takes it away)");
  }
  struct stat stat{};
  if (::stat(folder.c_str(), &stat) != 0) {
    if (errno == ENOENT)
      return fail(Status::kNoSuchDirectory, folder.string() + " (make it first)");
    return fail_errno(errno, folder.string());
  }
  if (!S_ISDIR(stat.st_mode)) return fail(Status::kNotDirectory, folder.string());
  return {};
}

bool is_home_mounted(const std::filesystem::path& folder) {
  return std::ranges::any_of(all_mounted_homes(),
                             [&](const MountedHome& home) { return home.folder == folder; });
}

std::vector<std::filesystem::path> mounted_homes(uid_t user) {
  const std::string mark = ",user_id=" + std::to_string(user) + ",";
  std::vector<std::filesystem::path> folders;
  for (MountedHome& home : all_mounted_homes()) {
    if (("," + home.options + ",").contains(mark)) folders.push_back(std::move(home.folder));
  }
  return folders;
}

}  // namespace homefs
