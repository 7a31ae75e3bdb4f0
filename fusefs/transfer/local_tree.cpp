#include "fusefs/transfer/local_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "protocol/limits.h"

namespace homefs {
namespace {

Timestamp timestamp_of(const timespec& time) {
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

Result<TreeEntry> entry_at(int folder, const char* name, const std::string& path) {
  struct stat stat{};
  if (::fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(errno, path);
  TreeEntry entry{.attributes = attributes_of(stat)};
  if (entry.is_symlink()) {
    std::string target(kSymlinkBytesMax + 1, '\0');
    const ssize_t length = ::readlinkat(folder, name, target.data(), target.size());
    if (length < 0) return fail_errno(errno, path);
    target.resize(static_cast<std::size_t>(length));
    entry.target = std::move(target);
  }
  return entry;
}

using OpenFolder = std::unique_ptr<DIR, decltype([](DIR* folder) { ::closedir(folder); })>;

class LocalWalk {
 public:
  LocalWalk(const WalkOptions& options, WalkedTree& tree) : options_(options), tree_(tree) {}

  // `below`: the path within the tree, with "/" behind it.
  Result<> read(TreeEntry& folder, const std::string& path, const std::string& below) {
    const OpenFolder open(::opendir(path.c_str()));
    if (open == nullptr) return fail_errno(errno, path);
    errno = 0;
    while (const dirent* found = ::readdir(open.get())) {
      const std::string name = found->d_name;
      if (name == "." || name == "..") continue;
      add(folder, ::dirfd(open.get()), name, below);
      errno = 0;
    }
    if (errno != 0) return fail_errno(errno, path);
    folder.sort_children();
    for (TreeEntry& child : folder.children) {
      if (!child.is_folder() || !options_.is_recursive) continue;
      const Result<> done = read(child, path + "/" + child.name, below + child.name + "/");
      if (done) continue;
      child.is_complete = false;
      tree_.problems.push_back({below + child.name, {done.error().status, {}}});
    }
    return {};
  }

 private:
  void add(TreeEntry& folder, int descriptor, const std::string& name, const std::string& below) {
    auto entry = entry_at(descriptor, name.c_str(), below + name);
    if (!entry) {
      if (entry.error().status == Status::kNoSuchFile) return;  // it went meanwhile
      tree_.problems.push_back({below + name, {entry.error().status, {}}});
      folder.is_complete = false;
      return;
    }
    if (options_.wants && !options_.wants(below + name, entry->is_folder())) return;
    entry->name = name;
    folder.children.push_back(*std::move(entry));
  }

  const WalkOptions& options_;
  WalkedTree& tree_;
};

}  // namespace

Attributes attributes_of(const struct stat& stat) {
  return {.inode = InodeNumber{stat.st_ino},
          .mode = stat.st_mode,
          .links = static_cast<std::uint32_t>(stat.st_nlink),
          .size = static_cast<std::uint64_t>(stat.st_size),
          .atime = timestamp_of(stat.st_atim),
          .mtime = timestamp_of(stat.st_mtim)};
}

Result<TreeEntry> local_entry(const std::filesystem::path& path) {
  auto entry = entry_at(AT_FDCWD, path.c_str(), path.string());
  if (entry) entry->origin = path.string();
  return entry;
}

Result<WalkedTree> walk_local(const std::filesystem::path& path, const WalkOptions& options) {
  auto root = local_entry(path);
  if (!root) return std::unexpected(root.error());
  WalkedTree tree{.root = *std::move(root), .problems = {}};
  if (!tree.root.is_folder()) return fail(Status::kNotDirectory, path.string());
  const Result<> done = LocalWalk(options, tree).read(tree.root, path.string(), "");
  if (!done) return std::unexpected(done.error());
  return tree;
}

}  // namespace homefs
