#include "fusefs/dir_cache.h"

#include <algorithm>

#include "fusefs/node_cache.h"

namespace homefs {
namespace {

// Files that a scan may leave out (an editor's backup, a suffix that grep excludes).
constexpr std::size_t kSkippedMax = 8;
// Two files in order may be chance; the third says that it is a scan.
constexpr std::uint32_t kInOrderMin = 2;
// The next request goes out while so many of the last are still to be read.
constexpr std::size_t kAheadMin = 32;

std::uint64_t inode_of(NodeCache& nodes, NodeId id) {
  const Node* node = nodes.find(id);
  return node == nullptr ? 0 : number_of(node->attributes.inode);
}

}  // namespace

void Folder::sort(NodeCache& nodes) {
  if (order_of == changed_at) return;
  order.clear();
  for (const auto& [name, id] : entries) order.push_back(id);
  std::ranges::sort(order, {}, [&](NodeId id) { return inode_of(nodes, id); });
  order_of = changed_at;
  opened_in_order = 0;
  next_ahead = 0;
}

std::size_t Folder::position_of(InodeNumber inode, NodeCache& nodes) {
  sort(nodes);
  const auto found = std::ranges::lower_bound(order, number_of(inode), {},
                                              [&](NodeId id) { return inode_of(nodes, id); });
  return static_cast<std::size_t>(found - order.begin());
}

void Folder::begin_scan(NodeCache& nodes) {
  sort(nodes);
  opened_in_order = kInOrderMin;
  last_opened = 0;
  next_ahead = 0;
}

bool Folder::is_scan(std::size_t position) {
  const bool goes_on = position > last_opened && position <= last_opened + kSkippedMax;
  const bool starts = position < kSkippedMax && opened_in_order == 0;
  opened_in_order = goes_on || starts ? opened_in_order + 1 : 0;
  last_opened = position;
  if (opened_in_order < kInOrderMin) return false;
  next_ahead = std::max(next_ahead, position);
  return next_ahead < order.size() && next_ahead < position + kAheadMin;
}

}  // namespace homefs
