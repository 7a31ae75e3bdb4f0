#include "fusefs/mount.h"

#include <pthread.h>

#include <csignal>
#include <ctime>
#include <thread>

namespace homefs {
namespace {

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

Task<> drain_and_unmount(FileSystem& files, FuseSession& session) {
  co_await files.drain_all();
  session.unmount();
}

// Waits for a signal that asks for the end; looks for `stop` in between.
void watch_signals(const std::stop_token& stop, FileSystem& files, FuseSession& session,
                   TaskGroup& ending) {
  pthread_setname_np(pthread_self(), "signals");
  const sigset_t set = end_signals();
  constexpr timespec kLookForStop{0, 100'000'000};
  while (!stop.stop_requested()) {
    const int signal = sigtimedwait(&set, nullptr, &kLookForStop);
    if (signal == SIGTERM || signal == SIGINT) {
      ending.spawn(drain_and_unmount(files, session));
    }
  }
}

}  // namespace

void block_end_signals() {
  const sigset_t set = end_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  (void)std::signal(SIGPIPE, SIG_IGN);  // a broken connection is an error of its write
}

Result<> run_mount(const MountOptions& options, FileSystem& files, Notifier& notifier,
                   std::shared_ptr<BufferPool> pool, std::function<void()> on_ready) {
  FuseOps ops(files, options.owners);
  auto session = FuseSession::mount(options.session, ops, std::move(pool));
  if (!session) return std::unexpected(session.error());
  notifier.start((*session)->native(), [&files] { return files.kernel_names(); });
  {
    TaskGroup ending;
    std::jthread signals(
        [&](const std::stop_token& stop) { watch_signals(stop, files, **session, ending); });
    (*session)->run(std::move(on_ready));
    signals.request_stop();
    signals.join();
    ending.wait_idle();
  }
  notifier.stop();
  ops.wait_idle();  // replies to a device that is gone are discarded by libfuse
  return {};
}

}  // namespace homefs
