// How many threads the server has, and what one session may occupy of them.
//
// Executor: thread-safe (pure functions). Blocks: never.
#pragma once

#include <cstddef>

#include "protocol/io_threads.h"
#include "server/session.h"

namespace homefs {

/// `configured` of each kind, or where that is 0: twice as many as processors, since most of them
/// wait for the disk, and at least 8, so that the shares below leave some over.
IoThreads::Counts counts_of_threads(std::size_t configured);

/// Of those that read whole files for their MD5: a quarter of `threads`, which are beside them.
std::size_t digest_threads(std::size_t threads);

/// What one session may occupy of `threads` of each kind: half of the io threads for its reads and
/// writes. Of the net threads its changes and its control connection take one, and each of its bulk
/// connections one.
SessionLimits session_limits(std::size_t threads, std::size_t bulk_connections_max);

}  // namespace homefs
