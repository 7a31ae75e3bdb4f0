#include "fusefs/remote/destination.h"

#include <sys/stat.h>

namespace homefs {

Result<Destination> find_destination(RemoteClient& client, const RemotePath& path,
                                     bool is_for_many) {
  const bool needs_folder = is_for_many || path.names_folder;
  auto node = client.resolve(path);
  if (node && S_ISDIR(node->attributes.mode)) return Destination{*node, path, {}};
  if (node && needs_folder) return fail(Status::kNotDirectory, path.text());
  const bool is_absent = !node && node.error().status == Status::kNoSuchFile;
  if (!node && !is_absent) return std::unexpected(node.error());
  if (needs_folder) {
    return fail(Status::kNoSuchDirectory, path.text() + " (\"homefs mkdir\" makes it)");
  }
  auto folder = client.resolve(path.parent());
  if (!folder) {
    if (folder.error().status != Status::kNoSuchFile) return std::unexpected(folder.error());
    return fail(Status::kNoSuchDirectory, path.parent().text() + " (\"homefs mkdir\" makes it)");
  }
  if (!S_ISDIR(folder->attributes.mode)) return fail(Status::kNotDirectory, path.parent().text());
  return Destination{*folder, path.parent(), path.name()};
}

}  // namespace homefs
