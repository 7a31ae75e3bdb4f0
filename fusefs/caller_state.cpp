#include "fusefs/caller_state.h"

#include <charconv>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

namespace homefs {
namespace {

// Of the kernel's <linux/sched.h>, which has them for itself; shown in field 9 of stat.
constexpr std::uint64_t kPfExiting = 0x4;
constexpr std::uint64_t kPfSignaled = 0x400;

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

// What a person (or a shutdown) sends to bring something to an end.
constexpr std::uint64_t kEnding = bit(SIGINT) | bit(SIGQUIT) | bit(SIGTERM) | bit(SIGHUP);
// Without a handler these do nothing, or stop and continue; all others kill.
constexpr std::uint64_t kHarmless = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT) |
                                    bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);

// The set of signals in the line that begins with `name`.
std::uint64_t signals(std::string_view status, std::string_view name) {
  const std::size_t line = status.find(name);
  if (line == std::string_view::npos) return 0;
  const std::size_t digits = status.find_first_not_of(" \t", line + name.size());
  if (digits == std::string_view::npos) return 0;
  std::uint64_t set = 0;
  (void)std::from_chars(status.data() + digits, status.data() + status.size(), set, 16);
  return set;
}

// Field 9, counted behind the name, which may contain anything.
std::uint64_t task_flags(std::string_view stat) {
  std::size_t at = stat.rfind(')');
  for (int field = 2; field < 9 && at != std::string_view::npos; ++field) {
    at = stat.find(' ', at + 1);
  }
  if (at == std::string_view::npos) return 0;
  std::uint64_t flags = 0;
  (void)std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), flags);
  return flags;
}

std::string contents(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

CallerState caller_state_of(std::string_view status, std::string_view stat) {
  if (status.empty() || stat.empty()) return CallerState::kUnknown;
  const std::uint64_t flags = task_flags(stat);
  if ((flags & kPfExiting) != 0) {
    return (flags & kPfSignaled) != 0 ? CallerState::kDying : CallerState::kExiting;
  }
  const std::uint64_t pending = signals(status, "\nSigPnd:") | signals(status, "\nShdPnd:");
  // A signal that kills becomes a SIGKILL of each thread, whatever it was.
  if ((pending & bit(SIGKILL)) != 0) return CallerState::kDying;
  const std::uint64_t taken =
      pending & ~signals(status, "\nSigBlk:") & ~signals(status, "\nSigIgn:");
  const std::uint64_t handled = signals(status, "\nSigCgt:");
  if ((taken & ~handled & ~kHarmless) != 0) return CallerState::kDying;
  return (taken & handled & kEnding) != 0 ? CallerState::kAskedToEnd : CallerState::kRunning;
}

CallerState caller_state(pid_t id) {
  if (id <= 0) return CallerState::kUnknown;
  const std::string folder = "/proc/" + std::to_string(id);
  return caller_state_of(contents(folder + "/status"), contents(folder + "/stat"));
}

}  // namespace homefs
