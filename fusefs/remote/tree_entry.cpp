#include "fusefs/remote/tree_entry.h"

#include <algorithm>

namespace homefs {

const TreeEntry* TreeEntry::find(std::string_view child) const {
  const auto place = std::ranges::lower_bound(children, child, {}, &TreeEntry::name);
  return place != children.end() && place->name == child ? &*place : nullptr;
}

const TreeEntry* TreeEntry::find_unsorted(std::string_view child) const {
  const auto place = std::ranges::find(children, child, &TreeEntry::name);
  return place != children.end() ? &*place : nullptr;
}

void TreeEntry::sort_children() { std::ranges::sort(children, {}, &TreeEntry::name); }

}  // namespace homefs
