#include "fusefs/cli/remote_target.h"

#include <algorithm>
#include <cctype>

#include "config/config_error.h"

namespace homefs {
namespace {

struct Split {
  std::string server;
  std::string path;
};

// Behind the brackets of an IPv6 address, or behind what could be a user's name.
std::size_t end_of_address(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::size_t bracket = text.find(']');
  return bracket != text.npos && bracket < slash ? bracket + 1 : 0;
}

bool is_port(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
}

Split split(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::size_t from = end_of_address(text);
  const std::size_t colon = text.find(':', from);
  if (colon == text.npos || colon > slash) {
    return {std::string(text.substr(0, slash)), std::string(text.substr(slash))};
  }
  const std::string_view behind = text.substr(colon + 1, slash - colon - 1);
  if (is_port(behind)) {
    return {std::string(text.substr(0, slash)), std::string(text.substr(slash))};
  }
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

}  // namespace

Result<RemoteArguments> split_remote_arguments(std::span<const std::string> arguments,
                                               bool is_server_known) {
  RemoteArguments result;
  if (is_server_known) {
    result.paths.assign(arguments.begin(), arguments.end());
    return result;
  }
  for (const std::string& argument : arguments) {
    Split parts = split(argument);
    if (parts.server.empty() && (result.server.empty() || !argument.starts_with(':'))) {
      return fail(Status::kInvalid, "no server is named in " + shown(argument) +
                                        ": write [USER@]HOST/PATH, or give -s HOST or --profile");
    }
    if (result.server.empty()) result.server = parts.server;
    if (!parts.server.empty() && parts.server != result.server) {
      return fail(Status::kInvalid, shown(argument) + " is not on " + result.server +
                                        ": one command is for one server");
    }
    result.paths.push_back(std::move(parts.path));
  }
  return result;
}

}  // namespace homefs
