#include "fusefs/mount.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <csignal>
#include <ctime>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "fusefs/control_socket.h"
#include "fusefs/file_system.h"
#include "fusefs/fuse_ops.h"
#include "fusefs/fuse_session.h"
#include "fusefs/mount_status.h"
#include "fusefs/notifier.h"
#include "fusefs/server_link.h"
#include "fusefs/ticker.h"

namespace homefs {
namespace {

// Requests under way (the kernel's max_background) that fill a whole buffer are rare; 64 MiB of
// unused ones are kept, which is what a stream has on the wire in both directions.
constexpr std::size_t kBuffersKept = 64;

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// What a signal has begun.
struct Ending {
  TaskGroup tasks;
  std::atomic<bool> is_drained{false};  // the mount point may go
};

Task<> drain(FileSystem& files, std::atomic<bool>& is_drained) {
  co_await files.drain_all();
  files.locks().end_waits();  // while the kernel can still be answered
  is_drained = true;
}

// A soft mount: what has waited for `timeo` is answered, when a change has had no answer for as
// long. While the server answers, a large file may take longer than that.
void end_timed_out_requests(FuseOps& ops, ServerLink& link) {
  const auto timeo = link.options().times.timeo;
  if (!timeo) return;
  const SteadyTime limit = std::chrono::steady_clock::now() - *timeo;
  const std::optional<SteadyTime> oldest = link.oldest_change();
  if (oldest && *oldest <= limit) end_timed_out(ops.waiting(), ops.files().locks(), limit);
}

// Waits for a signal that asks for the end; in between looks for `stop`, and for programs that have
// got a signal while they wait for the server.
void watch_signals(const std::stop_token& stop, FuseOps& ops, ServerLink& link, Ending& ending) {
  pthread_setname_np(pthread_self(), "signals");
  const sigset_t set = end_signals();
  constexpr timespec kLookEvery{0, 100'000'000};  // at once, as a person feels it
  while (!stop.stop_requested()) {
    const int signal = sigtimedwait(&set, nullptr, &kLookEvery);
    if (signal == SIGTERM || signal == SIGINT) {
      ending.tasks.spawn(drain(ops.files(), ending.is_drained));
    }
    if (ending.is_drained.exchange(false)) ops.session().unmount();
    end_interrupted(ops.waiting(), ops.files().locks(), link.last_sign_of_life());
    end_timed_out_requests(ops, link);
  }
}

FuseSessionOptions session_options(const MountOptions& options) {
  FuseSessionOptions session{.mountpoint = options.mountpoint,
                             .source = options.source,
                             .allow_other = options.allow_other,
                             .read_only = options.read_only,
                             .debug = options.debug};
  const auto add = [&](bool is_on, const char* name) {
    if (is_on) session.kernel_options.emplace_back(name);
  };
  add(options.allow_root, "allow_root");
  add(options.no_exec, "noexec");
  add(true, "noatime");  // reading moves no times, and programs can see so
  // Only root may ask for these; fusermount3 forces their opposites on everybody else.
  add(!options.no_suid && geteuid() == 0, "suid");
  add(!options.no_dev && geteuid() == 0, "dev");
  return session;
}

Task<> run_start(FileSystem& files, std::promise<Result<>>& done) {
  Result<> result = co_await files.start();
  done.set_value(std::move(result));
}

// Removes what it has added, before the objects that the figures come from are gone.
class StatusSections {
 public:
  StatusSections(ControlSocket* control, FileSystem& files, const FuseSession& session)
      : control_(control) {
    if (control_ == nullptr) return;
    control_->add_status("files", [&files] { return files_status_json(files); });
    control_->add_status("kernel", [&session] { return kernel_status_json(session); });
  }
  ~StatusSections() {
    if (control_ == nullptr) return;
    control_->remove_status("files");
    control_->remove_status("kernel");
  }
  StatusSections(const StatusSections&) = delete;
  StatusSections& operator=(const StatusSections&) = delete;

 private:
  ControlSocket* control_;
};

// Shows `files` at the mount point until it is gone, and everything written is on the server.
Result<> serve(const MountOptions& options, FileSystem& files, Notifier& notifier,
               const MountParts& parts, std::function<void()> on_ready) {
  FuseOps ops(files, {.idmap = options.id_map, .uid = getuid(), .gid = getgid()});
  auto session = FuseSession::mount(session_options(options), ops, BufferPool::make(kBuffersKept));
  if (!session) return std::unexpected(session.error());
  notifier.start((*session)->native(), [&files] { return files.kernel_names(); });
  const StatusSections sections(parts.control, files, **session);
  {
    Ending ending;
    std::jthread signals(
        [&](const std::stop_token& stop) { watch_signals(stop, ops, parts.link, ending); });
    (*session)->run(std::move(on_ready));
    signals.request_stop();
    signals.join();
    ending.tasks.wait_idle();
  }
  notifier.stop();
  files.locks().end_waits();
  files.wait_until_sent();
  // What still waits for the server now are questions whose programs were interrupted: nobody wants
  // the answer, and a server that is away must not keep the daemon.
  parts.link.close();
  ops.wait_idle();  // replies to a device that is gone are discarded by libfuse
  return {};
}

}  // namespace

void block_end_signals() {
  const sigset_t set = end_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  (void)std::signal(SIGPIPE, SIG_IGN);  // a broken connection is an error of its write
}

Result<int> run_mount(const MountOptions& options, const MountParts& parts,
                      std::function<void()> on_ready) {
  const auto post = [executor = parts.io.executor()](std::move_only_function<void()> work) {
    boost::asio::post(executor, std::move(work));
  };
  FileSystem files(post, {.dirty_bytes_max = options.write_buffer_bytes,
                          .read_bytes_max = options.read_cache_bytes,
                          .names_max = options.names_max});
  Notifier notifier;
  files.attach(parts.link, notifier, parts.transfers);
  parts.link.attach(files, files);

  std::promise<Result<>> started;
  TaskGroup starting;
  starting.spawn(run_start(files, started));
  Result<> result = started.get_future().get();
  starting.wait_idle();
  if (result) {
    const Ticker sending(parts.io.executor(), FileSystem::kHoldingTime, [&files](bool) {
      files.send_held_writes();
      files.send_waiting_forgets();
      files.end_late_statfs();
      files.end_late_openings();
    });
    result = serve(options, files, notifier, parts, std::move(on_ready));
  }
  files.wait_idle();
  parts.link.detach();
  files.wait_posted();
  if (!result) return std::unexpected(result.error());
  return 0;
}

}  // namespace homefs
