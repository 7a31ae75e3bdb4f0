// Removes trees of a home.
//
// Executor: the calling thread. Blocks: on the server's answers.
#pragma once

#include <functional>
#include <string>

#include "fusefs/remote/remote_client.h"

namespace homefs {

/// Removes the folder `folder`, which is `place`, with all that is in it. `note` is told of each
/// thing that could not be removed. Returns how many there were of those.
[[nodiscard]] std::uint64_t remove_remote_tree(
    RemoteClient& client, const RemoteNode& folder, const RemotePlace& place,
    const std::string& path,
    const std::function<void(const std::string& path, const Error& error)>& note);

}  // namespace homefs
