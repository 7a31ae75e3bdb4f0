// TreeEntry: a file, folder or symlink of a tree that was walked, here or on the server.
//
// Executor: a value. Blocks: never.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "protocol/attributes.h"
#include "protocol/result.h"

namespace homefs {

struct TreeEntry {
  std::string name;
  Attributes attributes;            ///< of a local file: what lstat(2) says
  std::string target;               ///< of a symlink
  std::string origin;               ///< local: the path; empty: that of the parent and the name
  NodeId node{};                    ///< remote: its number, where it has one already
  bool is_complete = true;          ///< false: a folder that could not be read, or not wholly
  std::vector<TreeEntry> children;  ///< of a folder, by name

  [[nodiscard]] bool is_folder() const { return S_ISDIR(attributes.mode); }
  [[nodiscard]] bool is_file() const { return S_ISREG(attributes.mode); }
  [[nodiscard]] bool is_symlink() const { return S_ISLNK(attributes.mode); }

  /// Null when there is none. Precondition: the children are sorted.
  [[nodiscard]] const TreeEntry* find(std::string_view child) const;
  /// The same of children in any order.
  [[nodiscard]] const TreeEntry* find_unsorted(std::string_view child) const;
  void sort_children();
};

/// Something of a tree that could not be looked at; the rest was.
struct WalkProblem {
  std::string path;
  Error error;
};

struct WalkedTree {
  TreeEntry root;
  std::vector<WalkProblem> problems;
};

}  // namespace homefs
