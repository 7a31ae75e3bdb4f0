// Where something that is moved, copied or put ends up: "into" a folder, or under a new name.
//
// Executor: the calling thread. Blocks: on the server's answers.
#pragma once

#include <string>

#include "fusefs/remote/remote_client.h"

namespace homefs {

struct Destination {
  RemoteNode folder;
  RemotePath path;   ///< of the folder
  std::string name;  ///< the new name; empty: everything keeps its own

  [[nodiscard]] const std::string& name_for(const std::string& own) const {
    return name.empty() ? own : name;
  }
};

/// As cp(1) and scp(1) have it: an existing folder takes things in; else `path` is the new name of
/// the one thing. `is_for_many`: several things, which need a folder.
/// Errors: kNoSuchDirectory, kNotDirectory, those of the walk.
[[nodiscard]] Result<Destination> find_destination(RemoteClient& client, const RemotePath& path,
                                                   bool is_for_many);

}  // namespace homefs
