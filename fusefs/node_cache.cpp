#include "fusefs/node_cache.h"

#include <sys/stat.h>

#include <algorithm>

namespace homefs {

bool Node::is_folder() const { return S_ISDIR(attributes.mode); }
bool Node::is_regular() const { return S_ISREG(attributes.mode); }

bool NodeCache::is_another_inode(const Node& node, const Attributes& attributes) {
  return ((node.attributes.mode ^ attributes.mode) & S_IFMT) != 0 ||
         node.attributes.generation != attributes.generation;
}

NodeCache::NodeCache() {
  Attributes root;
  root.mode = S_IFDIR | 0700;
  root.links = 2;
  Node& node = add(kRootNode, root);  // its inode is not known yet: set_root()
  node.lookups = 1;                   // the kernel never forgets the root
}

void NodeCache::set_root(const Attributes& attributes) {
  Node& root = *find(kRootNode);
  update(root, attributes);
  by_inode_[attributes.inode] = &root;
}

Node* NodeCache::find(NodeId id) {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : found->second.get();
}

Node* NodeCache::find(InodeNumber inode) {
  const auto found = by_inode_.find(inode);
  return found == by_inode_.end() ? nullptr : found->second;
}

Node* NodeCache::find(const Attributes& attributes) {
  Node* const node = find(attributes.inode);
  return node != nullptr && is_another_inode(*node, attributes) ? nullptr : node;
}

Node& NodeCache::add(NodeId id, const Attributes& attributes) {
  auto made = std::make_unique<Node>();
  Node& node = *made;
  node.id = id;
  node.attributes = attributes;
  if (node.is_folder()) node.folder = std::make_unique<Folder>();
  nodes_.emplace(id, std::move(made));
  return node;
}

void NodeCache::make_past(Node& node) {
  node.is_past = true;
  node.has_attributes = false;
}

Node& NodeCache::see(const Attributes& attributes, NodeId parent, std::string_view name) {
  Node* known = find(attributes.inode);
  const bool is_other =
      known != nullptr && known->id != kRootNode && is_another_inode(*known, attributes);
  const bool is_older = is_other && attributes.order < known->attributes.order;
  if (is_other && !is_older) make_past(*known);
  if (is_other) known = nullptr;
  Node& node = known != nullptr ? *known : add(next_id(), attributes);
  if (is_older) {
    make_past(node);
  } else if (known == nullptr) {
    by_inode_[attributes.inode] = &node;
  }
  if (known == nullptr && !is_current(attributes.order)) {
    invalidate(node, event_order_);
  } else {
    update(node, attributes);
  }
  place(node, parent, name, attributes.order);
  return node;
}

Node& NodeCache::add_made(NodeId id, const Attributes& attributes, NodeId parent,
                          std::string_view name) {
  Node* const known = find(attributes.inode);
  // Without generations it may be the file that had the number before.
  const bool is_it =
      known != nullptr && attributes.generation != 0 && !is_another_inode(*known, attributes);
  if (is_it) return see(attributes, parent, name);
  const bool is_older = known != nullptr && is_another_inode(*known, attributes) &&
                        attributes.order < known->attributes.order;
  if (known != nullptr && !is_older) make_past(*known);
  Node& node = add(id, attributes);
  if (is_older) {
    make_past(node);
  } else {
    by_inode_[attributes.inode] = &node;
  }
  node.has_attributes = !is_older && is_current(attributes.order);
  if (!node.has_attributes) node.attributes.order = std::max(attributes.order, event_order_);
  node.has_no_xattrs = node.has_attributes;
  node.kernel_version = attributes.version;  // there is nothing yet that its pages could lack
  node.is_bound = true;
  node.is_known = attributes.order >= began_at_;
  place(node, parent, name, attributes.order);
  // It is new: nobody else has put anything in, unless we have heard of something.
  if (node.folder) node.folder->is_complete = node.has_attributes;
  return node;
}

void NodeCache::update(Node& node, const Attributes& attributes) {
  if (attributes.order < node.attributes.order) return;
  // The root is the root: of a server that is told a new one, the old is not there any more.
  if (node.id != kRootNode && is_another_inode(node, attributes)) {
    node.has_attributes = false;
    return;
  }
  node.attributes = attributes;
  node.has_attributes = !node.is_past;
}

void NodeCache::update_own(Node& node, const Attributes& attributes) {
  const bool was_current = node.kernel_version == node.attributes.version;
  update(node, attributes);
  if (was_current) node.kernel_version = node.attributes.version;
}

void NodeCache::invalidate(Node& node, std::uint64_t event_order) {
  node.attributes.order = std::max(node.attributes.order, event_order);
  node.has_attributes = false;
}

void NodeCache::place(Node& node, NodeId folder, std::string_view name, std::uint64_t order) {
  if (node.id == kRootNode || node.id == folder) return;
  if (order < node.placed_at && !node.is_misplaced) return;
  node.placed_at = std::max(node.placed_at, order);
  node.is_misplaced = false;
  node.parent = folder;
  if (!(node.name == name)) node.name = SharedName(name);
}

void NodeCache::displace(Node& node, NodeId folder, std::string_view name, std::uint64_t order) {
  if (node.parent == folder && node.name == name && order >= node.placed_at) {
    node.is_misplaced = true;
  }
}

void NodeCache::make_orphan(Node& node, std::uint64_t order) {
  node.parent = kNoNode;
  node.name = SharedName();
  node.is_misplaced = false;
  node.placed_at = std::max(node.placed_at, order);
}

bool NodeCache::has_place(const Node& node) {
  return !node.is_misplaced && (node.parent == kNoNode || find(node.parent) != nullptr);
}

// Another cached name for each node that has lost the one by which the server could find it.
void NodeCache::find_places() {
  for (auto& [id, folder] : nodes_) {
    if (folder->folder == nullptr) continue;
    for (const auto& [name, child_id] : folder->folder->entries) {
      Node* const child = find(child_id);
      if (child == nullptr || child->id == folder->id || has_place(*child)) continue;
      child->is_misplaced = false;
      child->parent = folder->id;
      child->name = name;
    }
  }
}

void NodeCache::moved(InodeNumber inode, const Node& folder, std::string_view name,
                      std::uint64_t order) {
  Node* const node = find(inode);
  if (node == nullptr) return;
  place(*node, folder.id, name, order);
  const bool is_in_use = node->opens > 0 || node->is_dirty();
  if (is_in_use && std::ranges::find(moved_, node->id) == moved_.end()) moved_.push_back(node->id);
}

// Whether the server finds a file that is in use by way of the folder, and only we know that.
bool NodeCache::is_above_moved(const Node& folder) {
  std::erase_if(moved_, [this](NodeId id) {
    Node* const node = find(id);
    const bool is_in_use = node != nullptr && (node->opens > 0 || node->is_dirty());
    if (node != nullptr && !is_in_use) abandon_above(*node);
    return !is_in_use;
  });
  return std::ranges::any_of(moved_, [&](NodeId id) {
    bool is_above = false;
    walk_up(*find(id), [&](const Node& at) {
      is_above = at.parent == folder.id;
      return !is_above;
    });
    return is_above;
  });
}

// The folders above it may have stayed for it alone. The nearest one is taken from the list first.
void NodeCache::abandon_above(Node& node) {
  std::vector<NodeId> above;
  walk_up(node, [&](const Node& at) {
    if (at.id != node.id) above.push_back(at.id);
    return true;
  });
  abandoned_.insert(abandoned_.end(), above.rbegin(), above.rend());
}

std::string_view NodeCache::target(const Node& node) const {
  const auto found = targets_.find(node.id);
  return found == targets_.end() ? std::string_view() : found->second.view();
}

void NodeCache::learn_target(const Node& node, std::string_view target) {
  if (!target.empty()) targets_.try_emplace(node.id, SharedName(target));
}

void NodeCache::on_event(std::uint64_t event_order) {
  event_order_ = std::max(event_order_, event_order);
}

void NodeCache::begin_anew(std::uint64_t order) {
  event_order_ = began_at_ = order;
  for (auto& [id, node] : nodes_) {
    node->attributes.order = order;
    node->has_attributes = false;
    node->placed_at = 0;
    node->known_to = 0;
    node->is_known = false;
  }
}

void NodeCache::forget_inode(Node& node) {
  const auto found = by_inode_.find(node.attributes.inode);
  if (found != by_inode_.end() && found->second == &node) by_inode_.erase(found);
}

bool NodeCache::remove_if_unused(NodeId id) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return false;
  Node& node = *found->second;
  const bool is_used = node.lookups > 0 || node.opens > 0 || node.names > 0 || node.is_dirty();
  const bool has_entries = node.folder != nullptr && !node.folder->entries.empty();
  const bool is_listing = node.folder != nullptr && node.folder->is_listing;
  if (!is_used && has_entries) abandoned_.push_back(id);
  if (is_used || has_entries || is_listing) return false;
  if (!moved_.empty()) {
    if (node.is_folder() && is_above_moved(node)) return false;
    if (std::erase(moved_, id) > 0) abandon_above(node);
  }
  if (node.folder != nullptr) {
    removed_folder_changed_at_ = std::max(removed_folder_changed_at_, node.folder->changed_at);
  }
  forget_inode(node);
  if (node.folder != nullptr) no_entries(node);
  if (node.is_bound) {
    forgotten_.push_back(id);
    has_forgotten_orphan_ = has_forgotten_orphan_ || node.parent == kNoNode;
  }
  if (!targets_.empty()) targets_.erase(id);
  nodes_.erase(found);
  return true;
}

NodeId NodeCache::take_abandoned() {
  if (abandoned_.empty()) return kNoNode;
  const NodeId id = abandoned_.back();
  abandoned_.pop_back();
  return id;
}

void NodeCache::touch(Node& folder) {
  auto& place = folder.folder->used;
  if (place) {
    use_.splice(use_.end(), use_, *place);
  } else {
    place = use_.insert(use_.end(), folder.id);
  }
}

void NodeCache::forget_number(NodeId id) { forgotten_.push_back(id); }

Node* NodeCache::least_used_folder() { return use_.empty() ? nullptr : find(use_.front()); }

void NodeCache::no_entries(Node& folder) {
  auto& place = folder.folder->used;
  if (!place) return;
  use_.erase(*place);
  place.reset();
}

std::vector<NodeId> NodeCache::take_forgotten(std::size_t count) {
  const std::size_t taken = std::min(count, forgotten_.size());
  std::vector<NodeId> list(forgotten_.end() - static_cast<std::ptrdiff_t>(taken), forgotten_.end());
  forgotten_.resize(forgotten_.size() - taken);
  if (forgotten_.empty()) has_forgotten_orphan_ = false;
  return list;
}

void NodeCache::introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                          std::vector<Introduction>& out) {
  for (const NodeId id : nodes) {
    Node* const named = find(id);
    if (named == nullptr) continue;
    bool is_lost = false;
    walk_up(*named, [&](const Node& node) {
      if (node.known_to == mark_of(incarnation)) return false;
      is_lost = is_lost || (node.names > 0 && !has_place(node));
      return true;
    });
    if (is_lost) find_places();
    const std::size_t first = out.size();
    // Up from the node to the first that the server knows; then parents first.
    walk_up(*named, [&](const Node& node) {
      const auto is_it = [&](const Introduction& made) { return made.node == node.id; };
      if (node.known_to == mark_of(incarnation) || std::any_of(out.begin(), out.end(), is_it)) {
        return false;
      }
      // Where nobody knows the folder any more, the inode alone may do.
      const bool has_parent = node.parent == kRootNode || find(node.parent) != nullptr;
      out.push_back({node.id, has_parent ? node.parent : kNoNode,
                     has_parent ? node.name.text() : std::string(), node.attributes.inode,
                     node.attributes.generation});
      return has_parent;
    });
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }
}

void NodeCache::confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) {
  for (const Introduction& made : introductions) {
    if (Node* node = find(made.node)) {
      node->known_to = mark_of(incarnation);
      node->is_bound = node->is_known = true;
    } else {
      forgotten_.push_back(made.node);  // removed while the request was under way
    }
  }
}

void NodeCache::distrust(std::span<const NodeId> nodes) {
  for (const NodeId id : nodes) {
    Node* const named = find(id);
    if (named == nullptr) continue;
    walk_up(*named, [](Node& node) {
      node.known_to = 0;
      node.is_known = false;
      return true;
    });
  }
}

}  // namespace homefs
