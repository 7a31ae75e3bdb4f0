// What is to be done so that a tree is on the other side as it is here: decided before anything is
// sent, from two trees that were walked. The same for both directions.
//
// Executor: pure functions. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fusefs/remote/tree_entry.h"

namespace homefs {

enum class PlanStep {
  kMakeFolder,
  kEnterFolder,  ///< it is there
  kSend,         ///< a file
  kCompare,      ///< a file of the same size: sent when its MD5 differs
  kMakeSymlink,
  kSetAttributes,  ///< the contents are the same, mode or times are not
  kUnchanged,
  kSkipSpecial,  ///< a device, FIFO or socket
  kConflict,     ///< something of another kind is in the way
};

struct PlanItem {
  static constexpr std::size_t kTop = static_cast<std::size_t>(-1);

  PlanStep step = PlanStep::kUnchanged;
  const TreeEntry* source = nullptr;
  const TreeEntry* target = nullptr;  ///< what is there under this name; null: nothing
  std::size_t folder = kTop;          ///< the item of the folder it is in; kTop: the tree's root
  std::string path;                   ///< below the root, for messages
};

struct TransferPlan {
  std::vector<PlanItem> items;  ///< folders before what is in them
  std::uint64_t files = 0;      ///< to be sent, as far as known
  std::uint64_t bytes = 0;
};

struct PlanOptions {
  bool compares_contents = false;  ///< instead of size and time
};

[[nodiscard]] constexpr bool is_folder_step(PlanStep step) {
  return step == PlanStep::kMakeFolder || step == PlanStep::kEnterFolder;
}

/// Whether mode and time of the last change are the same.
[[nodiscard]] bool looks_the_same(const TreeEntry& source, const TreeEntry& target);

/// What a kCompare comes to when it is known whether the contents are equal.
[[nodiscard]] PlanStep step_after_comparing(const PlanItem& item, bool is_equal);

/// `source` and `target` are folders, and outlive the plan; only the children of `source` are
/// planned for. Names of partial files are left out.
[[nodiscard]] TransferPlan make_plan(const TreeEntry& source, const TreeEntry& target,
                                     const PlanOptions& options);

}  // namespace homefs
