#include "fusefs/mount_guard.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <optional>
#include <string_view>

#include "protocol/unique_fd.h"

extern char** environ;

namespace homefs {
namespace {

constexpr const char* kName = "homefs-guard";
constexpr int kArguments = 4;  // with the name: the daemon, the connection, "at:" and the folder
constexpr std::string_view kAt = "at:";
constexpr int kParentEnded = SIGUSR1;

// The number of the FUSE connection that is mounted there. The daemon is not asked for anything.
std::optional<unsigned> connection_at(const std::string& mountpoint) {
  const UniqueFd folder(::open(mountpoint.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return std::nullopt;
  struct statx facts{};
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (::statx(folder.get(), "", kFlags, 0, &facts) != 0) return std::nullopt;
  const bool is_root = (facts.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  if (!is_root || facts.stx_dev_major != 0) return std::nullopt;
  return facts.stx_dev_minor;
}

void abort_connection(unsigned number, const std::string& mountpoint) {
  const std::string file = "/sys/fs/fuse/connections/" + std::to_string(number) + "/abort";
  const UniqueFd abort(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (abort && ::write(abort.get(), "1", 1) == 1) return;
  // Root can do without that file system. Our descriptor keeps the mount point from going.
  const UniqueFd folder(::open(mountpoint.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder && connection_at(mountpoint) == number) {
    (void)::umount2(mountpoint.c_str(), MNT_FORCE | UMOUNT_NOFOLLOW);  // the guard has no other way
  }
}

// Between fork and exec, where other threads are gone: system calls only.
[[noreturn]] void become_guard(char* const* arguments) {
  sigset_t all;
  sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, nullptr);  // fails only for a bad `how`
  (void)::setsid();
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) (void)::dup2(nothing, fd);
  (void)::close_range(3, ~0U, 0);
  ::execve("/proc/self/exe", arguments, environ);
  ::_exit(1);
}

template <class Number>
Number number_of_text(std::string_view text) {
  Number number{};
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

MountGuard::~MountGuard() {
  if (pid_ == 0) return;
  (void)::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void MountGuard::start(const std::string& mountpoint) {
  const auto connection = connection_at(mountpoint);
  if (!connection) return;
  std::string name = kName;
  std::string daemon = std::to_string(::getpid());
  std::string number = std::to_string(*connection);
  std::string folder = std::string(kAt) + mountpoint;
  char* arguments[] = {name.data(), daemon.data(), number.data(), folder.data(), nullptr};
  const pid_t child = ::fork();
  if (child == 0) become_guard(arguments);
  if (child > 0) pid_ = child;
}

bool is_mount_guard(int argc, char** argv) {
  return argc == kArguments && std::strcmp(argv[0], kName) == 0;
}

int run_mount_guard(int argc, char** argv) {
  if (!is_mount_guard(argc, argv)) return 1;
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, kParentEnded);
  (void)::prctl(PR_SET_NAME, kName);
  if (::prctl(PR_SET_PDEATHSIG, kParentEnded) != 0) return 1;
  // It may have ended before it could be told of.
  const bool is_there = ::getppid() == number_of_text<pid_t>(argv[1]);
  while (is_there && ::sigwaitinfo(&ended, nullptr) < 0 && errno == EINTR) {
  }
  abort_connection(number_of_text<unsigned>(argv[2]), std::string(argv[3]).substr(kAt.size()));
  return 0;
}

}  // namespace homefs
