// The one walk over folders of the server. Many folders come in one answer, and several answers are
// under way, so that a far server costs few round trips.
//
// Executor: the calling thread. Blocks: until all is listed.
#pragma once

#include <functional>
#include <string>

#include "fusefs/remote/remote_client.h"
#include "fusefs/remote/tree_entry.h"

namespace homefs {

struct WalkOptions {
  bool is_recursive = true;
  /// Whether what is below the root under this path is wanted; a folder that is not wanted is not
  /// gone into. Empty: everything is.
  std::function<bool(const std::string& path, bool is_folder)> wants;
};

/// The tree below `folder`; folders have numbers, other entries have none. Errors: only of `folder`
/// itself; what could not be listed below it is in WalkedTree::problems.
[[nodiscard]] Result<WalkedTree> walk_remote(RemoteClient& client, const RemoteNode& folder,
                                             const WalkOptions& options);

}  // namespace homefs
