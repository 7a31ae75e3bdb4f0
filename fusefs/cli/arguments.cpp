#include "fusefs/cli/arguments.h"

#include <algorithm>

namespace homefs {
namespace {

using Arguments = std::span<const std::string>;

bool is_one_of(std::string_view text, std::span<const std::string> list) {
  return std::ranges::find(list, text) != list.end();
}

// Flags of a login, whose value follows them.
bool takes_value(std::string_view flag) {
  constexpr std::string_view kFlags[] = {"-s",    "-P",         "-u",        "-p",
                                         "-o",    "--host",     "--port",    "--user",
                                         "--pin", "--password", "--profile", "--password-file"};
  return std::ranges::find(kFlags, flag) != std::end(kFlags);
}

bool is_mount_helper(std::string_view program) {
  const std::size_t slash = program.rfind('/');
  return program.substr(slash == program.npos ? 0 : slash + 1).starts_with("mount.");
}

// What mount(8) and mount.fuse add and we have no use for: -n (no mtab), -v, -s (tolerate unknown
// options), -t TYPE, -N NAMESPACE.
std::vector<std::string> helper_arguments(Arguments arguments) {
  std::vector<std::string> result{"mount"};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& each = arguments[i];
    if (each == "-t" || each == "-N") {
      ++i;
    } else if (each != "-n" && each != "-v" && each != "-s") {
      result.push_back(each);
    }
  }
  return result;
}

// The position of the command behind flags; the number of arguments when there is none.
std::size_t find_command(Arguments arguments, std::span<const std::string> commands) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (takes_value(arguments[i])) {
      ++i;
    } else if (!arguments[i].starts_with('-')) {
      return is_one_of(arguments[i], commands) ? i : arguments.size();
    }
  }
  return arguments.size();
}

bool has_positional(Arguments arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (takes_value(arguments[i])) {
      ++i;
    } else if (!arguments[i].starts_with('-')) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> normalize_arguments(std::string_view program, Arguments arguments,
                                             std::span<const std::string> commands) {
  if (is_mount_helper(program)) return helper_arguments(arguments);
  if (arguments.empty() || is_one_of(arguments[0], commands)) {
    return {arguments.begin(), arguments.end()};
  }
  constexpr std::string_view kOwn[] = {"-h", "--help", "--version", "-V"};
  if (std::ranges::find(kOwn, arguments[0]) != std::end(kOwn)) {
    return {arguments.begin(), arguments.end()};
  }
  if (!arguments[0].starts_with('-')) {
    // A source is told from a mistyped command by what follows it.
    const bool is_mount = arguments.size() > 1 || arguments[0].find('@') != std::string::npos;
    return is_mount ? helper_arguments(arguments)
                    : std::vector<std::string>(arguments.begin(), arguments.end());
  }
  const std::size_t command = find_command(arguments, commands);
  std::vector<std::string> result;
  if (command < arguments.size()) {
    result.push_back(arguments[command]);
  } else {
    // As the older system's client: flags alone are a session at the prompt.
    result.emplace_back(has_positional(arguments) ? "mount" : "shell");
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i == command) continue;
    // Before the command it is the password, also of those commands for which it means something
    // else behind their name (mkdir -p).
    const bool is_password = i < command && command < arguments.size() && arguments[i] == "-p";
    result.push_back(is_password ? "--password" : arguments[i]);
  }
  return result;
}

}  // namespace homefs
