// Where something is in a home, as people write it: "photos/2024/", "../x", "/a/b".
//
// Executor: a value. Blocks: never.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs {

struct RemotePath {
  std::vector<std::string> parts;  ///< valid names; none: the root
  /// It ended in "/", "." or "..": a folder is meant, for its contents.
  bool names_folder = false;

  bool operator==(const RemotePath&) const = default;

  [[nodiscard]] bool is_root() const { return parts.empty(); }
  /// Precondition: not the root.
  [[nodiscard]] const std::string& name() const { return parts.back(); }
  [[nodiscard]] RemotePath parent() const;
  [[nodiscard]] RemotePath child(std::string_view name) const;
  /// "/a/b"; "/" for the root.
  [[nodiscard]] std::string text() const;
  /// Whether it is `other`, or below it.
  [[nodiscard]] bool is_within(const RemotePath& other) const;
};

/// `text` seen from `folder`; with a leading "/" from the root. "." and ".." are resolved by the
/// text alone, and ".." of the root is the root. Errors: kInvalid, kNameTooLong.
[[nodiscard]] Result<RemotePath> parse_remote_path(const RemotePath& folder, std::string_view text);

}  // namespace homefs
