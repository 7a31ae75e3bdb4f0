// Mount: a FileSystem shown at a mount point until it is unmounted or a signal asks for the end.
#pragma once

#include <functional>
#include <memory>

#include "fusefs/file_system.h"
#include "fusefs/fuse_ops.h"
#include "fusefs/fuse_session.h"
#include "fusefs/notifier.h"
#include "protocol/buffer.h"

namespace homefs {

struct MountOptions {
  FuseSessionOptions session;
  FuseOpsOptions owners;
};

/// Blocks SIGTERM, SIGINT, SIGHUP in this thread and those it starts, and ignores SIGPIPE.
/// To be called before the process has a second thread; run_mount() then waits for them.
void block_end_signals();

/// Mounts, and answers requests until the mount point is unmounted. SIGTERM and SIGINT send what is
/// unsent, then detach the mount point; files that are still open keep working until their last
/// close. `on_ready` is called once the mount can be used. `files` is attached to its link, and
/// `notifier` is the one it was attached with; both outlive the call.
/// Executor: the calling thread. Blocks: until the end.
Result<> run_mount(const MountOptions& options, FileSystem& files, Notifier& notifier,
                   std::shared_ptr<BufferPool> pool, std::function<void()> on_ready);

}  // namespace homefs
