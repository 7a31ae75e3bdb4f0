#include "fusefs/transfer/transfer_plan.h"

#include "fusefs/remote/partial_name.h"

namespace homefs {
namespace {

constexpr std::uint32_t kModeBits = 07777;

bool has_same_mode(const TreeEntry& a, const TreeEntry& b) {
  return ((a.attributes.mode ^ b.attributes.mode) & kModeBits) == 0;
}

class Planner {
 public:
  Planner(const PlanOptions& options, TransferPlan& plan) : options_(options), plan_(plan) {}

  void add_children(const TreeEntry& source, const TreeEntry* target, std::size_t folder,
                    const std::string& path) {
    for (const TreeEntry& child : source.children) {
      if (is_partial_name(child.name)) continue;
      add(child, target == nullptr ? nullptr : target->find(child.name), folder, path + child.name);
    }
  }

 private:
  void add(const TreeEntry& source, const TreeEntry* target, std::size_t folder,
           const std::string& path) {
    const std::size_t place = plan_.items.size();
    const PlanStep step = step_for(source, target);
    plan_.items.push_back({step, &source, target, folder, path});
    if (step == PlanStep::kSend) {
      ++plan_.files;
      plan_.bytes += source.attributes.size;
    } else if (step == PlanStep::kMakeFolder) {
      add_children(source, nullptr, place, path + "/");
    } else if (step == PlanStep::kEnterFolder) {
      add_children(source, target, place, path + "/");
    }
  }

  [[nodiscard]] PlanStep step_for(const TreeEntry& source, const TreeEntry* target) const {
    if (source.is_folder()) {
      if (target == nullptr) return PlanStep::kMakeFolder;
      return target->is_folder() ? PlanStep::kEnterFolder : PlanStep::kConflict;
    }
    if (target != nullptr && target->is_folder()) return PlanStep::kConflict;
    if (source.is_symlink()) {
      const bool is_same =
          target != nullptr && target->is_symlink() && target->target == source.target;
      return is_same ? PlanStep::kUnchanged : PlanStep::kMakeSymlink;
    }
    if (!source.is_file()) return PlanStep::kSkipSpecial;
    if (target == nullptr || !target->is_file()) return PlanStep::kSend;
    return step_for_file(source, *target);
  }

  [[nodiscard]] PlanStep step_for_file(const TreeEntry& source, const TreeEntry& target) const {
    if (source.attributes.size != target.attributes.size) return PlanStep::kSend;
    if (options_.compares_contents) return PlanStep::kCompare;
    if (source.attributes.mtime != target.attributes.mtime) return PlanStep::kSend;
    return has_same_mode(source, target) ? PlanStep::kUnchanged : PlanStep::kSetAttributes;
  }

  const PlanOptions& options_;
  TransferPlan& plan_;
};

}  // namespace

bool looks_the_same(const TreeEntry& source, const TreeEntry& target) {
  return has_same_mode(source, target) && source.attributes.mtime == target.attributes.mtime;
}

PlanStep step_after_comparing(const PlanItem& item, bool is_equal) {
  if (!is_equal) return PlanStep::kSend;
  return looks_the_same(*item.source, *item.target) ? PlanStep::kUnchanged
                                                    : PlanStep::kSetAttributes;
}

TransferPlan make_plan(const TreeEntry& source, const TreeEntry& target,
                       const PlanOptions& options) {
  TransferPlan plan;
  Planner(options, plan).add_children(source, &target, PlanItem::kTop, "");
  return plan;
}

}  // namespace homefs
