// Home: what is in a folder.

#include <algorithm>
#include <utility>

#include "server/disk_mode.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/orphanage.h"

namespace homefs {

Result<disk::FdRef> Home::open_folder(const InodeRef& folder) {
  if (!folder->is_folder()) return fail(Status::kNotDirectory);
  auto descriptor = inodes_->open(folder);
  if (descriptor) watch(folder, (*descriptor)->get());
  return descriptor;
}

Result<std::vector<FolderEntry>> Home::read_folder(const disk::FdRef& folder,
                                                   std::size_t name_bytes_max) {
  std::vector<FolderEntry> entries;
  std::size_t name_bytes = 0;
  auto done = disk::read_folder(folder->get(), [&](std::uint64_t number, std::string_view name) {
    name_bytes += name.size();
    entries.push_back({.inode = number, .name = std::string(name)});
    return name_bytes <= name_bytes_max;
  });
  if (!done) return std::unexpected(done.error());
  if (name_bytes > name_bytes_max) return fail(Status::kTooBig);
  // By inode number: the disk finds the inodes in that order, and a client that reads the files in
  // the order of the listing finds their data likewise.
  std::ranges::sort(entries, [](const FolderEntry& a, const FolderEntry& b) {
    return a.inode != b.inode ? a.inode < b.inode : a.name < b.name;
  });
  return entries;
}

Result<ListedEntry> Home::stat_entry(const disk::FdRef& folder, const FolderEntry& entry) {
  const auto stat = stat_true_at(folder->get(), entry.name.c_str());
  if (!stat) return std::unexpected(stat.error());
  if (stat->is_mount) return fail(Status::kNoSuchFile, "something is mounted there");
  ListedEntry listed{.name = entry.name, .attributes = stat->attributes};
  Attributes& attributes = listed.attributes;
  if (attributes.links > 0 && orphanage_->has(attributes.inode)) --attributes.links;
  attributes.version = inodes_->version_of_entry(*stat);
  if (S_ISLNK(attributes.mode)) {
    auto target = read_target_at(folder->get(), entry.name.c_str(), *stat);
    if (!target) return std::unexpected(target.error());
    listed.target = *std::move(target);
  }
  return listed;
}

}  // namespace homefs
