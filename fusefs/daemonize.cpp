#include "fusefs/daemonize.h"

#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string_view>

namespace homefs {
namespace {

// The report: one byte of exit status, then the text, up to the end of the pipe.
std::string read_all(int fd) {
  std::string text;
  char buffer[512];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // the parent is gone: nobody wants to know
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

[[noreturn]] void wait_and_exit(const UniqueFd& report, pid_t child) {
  const std::string text = read_all(report.get());
  if (text.empty()) {
    // It ended without a word: by a signal, or a bug.
    int status = 0;
    (void)::waitpid(child, &status, 0);
    write_all(STDERR_FILENO, "homefs: the mount process ended unexpectedly\n");
    ::_exit(1);
  }
  if (text.size() > 1) write_all(STDERR_FILENO, "homefs: " + text.substr(1) + "\n");
  ::_exit(static_cast<unsigned char>(text[0]));
}

// Until it is ready the child is part of the command: what ends us ends it, also where it has
// blocked its signals already. (PR_SET_PDEATHSIG would have to be taken back by the thread that set
// it, and it is another one that finds the mount ready.)
volatile pid_t child_to_end = 0;

void on_end_signal(int signal) {
  (void)::kill(child_to_end, SIGKILL);
  ::_exit(128 + signal);
}

void end_child_with_us(pid_t child) {
  child_to_end = child;
  struct sigaction action{};
  action.sa_handler = on_end_signal;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) (void)::sigaction(signal, &action, nullptr);
}

void leave_terminal() {
  (void)::setsid();  // fails only for a leader of a group, which a forked process is not
  (void)!::chdir("/");
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) (void)::dup2(null, fd);
  if (null > STDERR_FILENO) (void)::close(null);
}

}  // namespace

Result<Background> Background::fork_off() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "fork");
  if (child > 0) {
    write_end.reset();
    end_child_with_us(child);
    wait_and_exit(read_end, child);
  }
  return Background(std::move(write_end));
}

void Background::tell(int exit_status, const std::string& text) {
  std::string report(1, static_cast<char>(exit_status));
  for (const char c : text) report += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  write_all(report_.get(), report);
  report_.reset();
}

void Background::ready() {
  if (!is_background()) return;
  leave_terminal();
  tell(0, {});
}

void Background::failed(int exit_status, const std::string& text) {
  if (is_background()) tell(exit_status, text);
}

}  // namespace homefs
