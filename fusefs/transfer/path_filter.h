// Which files of a tree are meant: --include and --exclude, as rsync(1) has them.
//
// Executor: immutable after add(), thread-safe. Blocks: never.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace homefs {

/// Whether `text` fits `pattern`: "*" and "?" are no "/", "**" is anything, "[a-z]" and "[!a-z]"
/// one character, "\" takes the next one as it is.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text);

class PathFilter {
 public:
  /// The first pattern that fits decides; what fits none is included. One that begins with "/" is
  /// for the whole path, one with "/" inside for its end, others for the name; one that ends with
  /// "/" is for folders only.
  void add(std::string_view pattern, bool is_include);

  /// `path`: below the root of the tree, without a leading "/". Nothing below an excluded folder
  /// should be asked for.
  [[nodiscard]] bool accepts(std::string_view path, bool is_folder) const;
  /// accepts() for a walk, which asks about nothing where there are no patterns. Outlived by this.
  [[nodiscard]] std::function<bool(const std::string& path, bool is_folder)> for_walk() const;

 private:
  struct Rule {
    std::string pattern;
    bool is_include = false;
    bool is_anchored = false;
    bool has_slash = false;
    bool is_for_folders = false;
  };

  std::vector<Rule> rules_;
};

}  // namespace homefs
