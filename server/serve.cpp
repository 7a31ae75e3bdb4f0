#include "server/serve.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>

#include "server/landlock.h"
#include "server/log.h"
#include "server/server.h"
#include "server/service_notify.h"

namespace homefs {
namespace {

constexpr std::chrono::milliseconds kSignalInterval{1000};

// Blocked in all threads (they inherit it), and taken one by one by the main thread.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  (void)::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // fails for bad arguments only
  (void)::signal(SIGPIPE, SIG_IGN);                       // sockets say EPIPE instead
  return signals;
}

// Two descriptors a connection and those of the open files: as many as the system allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log_warn("descriptor-limit-not-raised");
}

// A sanitizer reads /proc when the program ends, and writes its report where it is told to:
// confined it can do neither, and says nothing of what it has found.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif

// Best effort: where the kernel cannot do it the other walls stand.
void confine(const ServeOptions& options) {
  if (kIsSanitized) return;
  const ServerConfig& config = options.config;
  ConfinementPaths paths;
  paths.writable = {config.data_dir, config.homes_dir, config.accounts_file.parent_path()};
  if (config.log.to == LogTarget::kFile) paths.writable.push_back(config.log.file.parent_path());
  // The last two: a log line has the local time.
  paths.readable = {options.config_file.parent_path(), "/etc/localtime", "/usr/share/zoneinfo"};
  if (Result<void> confined = confine_process(paths); !confined) {
    log_info("not-confined", {{"why", confined.error().message()}});
  }
}

int wait_for_signal(const sigset_t& signals, std::chrono::nanoseconds wait) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (wait - seconds).count()};
  return ::sigtimedwait(&signals, nullptr, &timeout);
}

void reload(Server& server, const std::function<Result<ServerConfig>()>& reload_config) {
  notify_reloading();
  const Result<ServerConfig> config = reload_config();
  // The log's file is opened anew: whoever rotates it sends this signal.
  const Result<void> done = config ? start_log(config->log) : std::unexpected(config.error());
  if (done) {
    server.reload(*config);
  } else {
    log_error("reload-failed", {{"error", done.error().message()}});
  }
  notify_ready("serving");
}

void run_until_stopped(Server& server, const sigset_t& signals,
                       const std::function<Result<ServerConfig>()>& reload_config) {
  const auto watchdog = watchdog_interval();
  const auto interval = std::min<std::chrono::nanoseconds>(
      kSignalInterval, watchdog.value_or(std::chrono::microseconds(kSignalInterval)));
  for (;;) {
    const int signal = wait_for_signal(signals, interval);
    if (signal == SIGHUP) {
      reload(server, reload_config);
    } else if (signal == SIGUSR1) {
      server.log_figures();
    } else if (signal > 0) {
      log_info("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
      return;
    }
    if (watchdog && server.is_alive()) notify_alive();
  }
}

}  // namespace

ExitStatus serve(const ServeOptions& options) {
  const sigset_t signals = block_signals();
  if (Result<void> started = start_log(options.config.log); !started) {
    return print_failure(started.error());
  }
  raise_descriptor_limit();
  Result<std::unique_ptr<Server>> server = Server::make(options.config);
  if (!server) return print_failure(server.error());
  confine(options);
  if (Result<void> started = (*server)->start(); !started) {
    (void)print_failure(started.error());
    return ExitStatus::kCannotListen;
  }
  log_info("serving", {{"port", (*server)->port()}, {"fingerprint", (*server)->fingerprint()}});
  notify_ready("serving on port " + std::to_string((*server)->port()));
  run_until_stopped(**server, signals, options.reload_config);
  notify_stopping();
  (*server)->stop();
  return ExitStatus::kOk;
}

}  // namespace homefs
