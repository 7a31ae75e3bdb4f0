#include "fusefs/remote/remote_path.h"

#include <algorithm>

#include "config/config_error.h"
#include "protocol/name.h"

namespace homefs {

RemotePath RemotePath::parent() const {
  RemotePath path{.parts = parts, .names_folder = true};
  if (!path.parts.empty()) path.parts.pop_back();
  return path;
}

RemotePath RemotePath::child(std::string_view name) const {
  RemotePath path{.parts = parts};
  path.parts.emplace_back(name);
  return path;
}

std::string RemotePath::text() const {
  std::string text;
  for (const std::string& part : parts) text += "/" + part;
  return text.empty() ? "/" : text;
}

bool RemotePath::is_within(const RemotePath& other) const {
  return parts.size() >= other.parts.size() &&
         std::equal(other.parts.begin(), other.parts.end(), parts.begin());
}

Result<RemotePath> parse_remote_path(const RemotePath& folder, std::string_view text) {
  RemotePath path;
  if (!text.starts_with('/')) path.parts = folder.parts;
  path.names_folder = true;  // of "" and of "/"
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t slash = std::min(text.find('/', at), text.size());
    const std::string_view part = text.substr(at, slash - at);
    const bool is_last = slash == text.size();
    at = slash + 1;
    if (part.empty()) continue;
    path.names_folder = part == "." || part == ".." || !is_last;
    if (part == ".") continue;
    if (part == "..") {
      if (!path.parts.empty()) path.parts.pop_back();
      continue;
    }
    if (const auto name = Name::make(part); !name) {
      return fail(name.error().status, "the name " + shown(part) + " is not possible");
    }
    path.parts.emplace_back(part);
  }
  return path;
}

}  // namespace homefs
