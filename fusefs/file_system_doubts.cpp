// What is cached and may be wrong: somebody has changed the home beside the server, in ways of
// which not every detail is told.
#include <utility>

#include "fusefs/file_system.h"

namespace homefs {
namespace {

bool is_contradiction(Status status, bool is_there) {
  switch (status) {
    case Status::kExists:
    case Status::kRenameTargetExists:
      return !is_there;
    case Status::kNoSuchFile:
    case Status::kStale:
    case Status::kNotDirectory:
    case Status::kIsDirectory:
      return is_there;
    case Status::kIoError:  // half way, perhaps
      return true;
    default:
      return false;
  }
}

}  // namespace

// Nothing that is known of the node is relied on any more.
void FileSystem::void_node(Node& node, std::uint64_t order, WakeList& wake) {
  NodeCache::invalidate(node, order);
  node.has_no_xattrs = false;
  node.kernel_version = 0;
  if (node.data != nullptr) std::ranges::move(node.data->reads.clear(), std::back_inserter(wake));
}

void FileSystem::void_entries(ClientState& state, Node& folder, std::uint64_t order, WakeList& wake,
                              std::vector<std::pair<NodeId, std::string>>& names,
                              std::vector<NodeId>& nodes) {
  const bool is_asked = state.names.heard_of_all_in(folder.id, order);
  folder.folder->is_complete = false;
  folder.folder->has_gaps = folder.folder->has_gaps || is_asked || !folder.folder->entries.empty();
  folder.folder->changed_at = ++state.folder_changes;
  std::vector<std::string> known;
  for (const auto& [name, id] : folder.folder->entries) {
    known.push_back(name.text());
    Node* child = state.nodes.find(id);
    if (child == nullptr) continue;
    void_node(*child, order, wake);
    if (child->lookups > 0) nodes.push_back(id);
  }
  for (std::string& name : known) {
    drop_entry(state, folder, name);
    names.emplace_back(folder.id, std::move(name));
  }
}

// The names go too: one that is there no more would be shown again as soon as what it led to is
// asked for its attributes.
void FileSystem::void_everything(ClientState& state, std::uint64_t order, WakeList& wake,
                                 Voided& voided) {
  // What comes of these may be from before, and what was known of them is.
  state.names.heard_of_all(order, [&](NodeId folder, const std::string&) {
    Node* node = state.nodes.find(folder);
    if (node != nullptr && node->folder != nullptr) node->folder->has_gaps = true;
  });
  std::vector<NodeId> named;
  state.nodes.for_each([&](Node& node) {
    void_node(node, order, wake);
    if (node.lookups > 0) voided.nodes.push_back(node.id);
    const bool is_held = state.drops_all_names && node.lookups > 0 && !node.is_folder();
    if (is_held && node.parent != kNoNode) voided.names.emplace_back(node.parent, node.name.text());
    if (node.folder == nullptr) return;
    Folder& folder = *node.folder;
    folder.is_complete = false;
    folder.changed_at = ++state.folder_changes;
    folder.has_gaps = folder.has_gaps || !folder.entries.empty();
    for (const auto& [name, id] : std::exchange(folder.entries, {})) {
      named.push_back(id);
      const Node* child = state.nodes.find(id);
      if (child == nullptr || child->lookups == 0 || is_place(*child, node, name.view())) continue;
      if (!state.drops_all_names) state.names_in_doubt.emplace_back(node.id, name.text());
      if (state.drops_all_names && !child->is_folder()) {
        voided.names.emplace_back(node.id, name.text());
      }
    }
    named.push_back(node.id);
  });
  for (const NodeId id : named) {
    Node* const node = state.nodes.find(id);
    if (node != nullptr && node->folder != nullptr) state.nodes.no_entries(*node);
  }
  state.nodes.for_each([](Node& node) { node.names = 0; });
  for (const NodeId id : named) state.nodes.remove_if_unused(id);
}

void FileSystem::void_all(std::uint64_t order) {
  Voided voided;
  WakeList wake;
  void_everything(*state_.lock(), order, wake, voided);
  tell_of_void(std::move(wake), std::move(voided));
}

// A name that is void keeps its file in the kernel until somebody looks for it, and that the server
// keeps for us when others have removed it: single names are told as well, for which nobody waits.
void FileSystem::tell_of_void(WakeList wake, Voided voided) {
  wake_all(std::move(wake));
  ++state_.lock()->voids_untold;
  notifier_->invalidate_all_entries();
  for (const NodeId id : voided.nodes) notifier_->invalidate_data(id);
  for (auto& [folder, name] : voided.names) notifier_->invalidate_entry(folder, std::move(name));
  notifier_->when_told([this] { --state_.lock()->voids_untold; });
}

// A change of the node's data or attributes was answered with an error, and may have been made in
// part: the server has told the other mounts of it as well.
void FileSystem::change_failed(NodeId id) {
  WakeList wake;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr) return;
    node->has_attributes = false;
    node->kernel_version = 0;
    if (node->data != nullptr) wake = node->data->reads.clear();
  }
  wake_all(std::move(wake));
  notifier_->invalidate_data(id);
}

// The server has refused a change of `name`, or has failed. Where that contradicts what is cached,
// the cache is wrong.
void FileSystem::doubt_name(Status status, NodeId parent_id, const std::string& name) {
  NodeId emptied = kNoNode;
  {
    auto state = state_.lock();
    Node* parent = state->nodes.find(parent_id);
    if (parent == nullptr || parent->folder == nullptr) return;
    const auto found = parent->folder->entries.find(name);
    const bool is_there = found != parent->folder->entries.end();
    Node* child = is_there ? state->nodes.find(found->second) : nullptr;
    if (status == Status::kNotEmpty) {
      if (child == nullptr || child->folder == nullptr || !child->folder->entries.empty()) return;
      child->folder->is_complete = false;
      child->folder->changed_at = ++state->folder_changes;
      child->has_attributes = false;
      child->kernel_version = 0;
      emptied = child->id;
    } else if (!is_contradiction(status, is_there)) {
      return;
    } else {
      if (is_there) drop_entry(*state, *parent, name);
      parent->folder->has_gaps = parent->folder->has_gaps || is_there;
      parent->folder->is_complete = false;
      parent->folder->changed_at = ++state->folder_changes;
      parent->has_attributes = false;
      parent->kernel_version = 0;
    }
  }
  if (emptied == kNoNode) notifier_->invalidate_entry(parent_id, name);
  notifier_->invalidate_data(emptied == kNoNode ? parent_id : emptied);
}

}  // namespace homefs
