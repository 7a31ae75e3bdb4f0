// Copies within a home, made by the server: no data crosses the network.
//
// Executor: the calling thread. Blocks: on the server's answers.
#pragma once

#include <functional>
#include <string>

#include "fusefs/remote/remote_client.h"

namespace homefs {

struct CopyFigures {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t failures = 0;
};

/// Copies the file, symlink or folder `source`, which is at `from`, to `to`. A file appears under
/// its name when it is whole, and replaces a file that was there; a folder is merged into one that
/// is there. `note` is told of each thing that could not be copied.
[[nodiscard]] CopyFigures copy_remote(
    RemoteClient& client, const RemoteNode& source, const std::string& from, RemotePlace to,
    const std::function<void(const std::string& path, const Error& error)>& note);

}  // namespace homefs
