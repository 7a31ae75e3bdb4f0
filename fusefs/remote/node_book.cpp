#include "fusefs/remote/node_book.h"

#include <algorithm>
#include <utility>

namespace homefs {

NodeId NodeBook::next_id() { return NodeId{state_.lock()->next_id++}; }

void NodeBook::enter(NodeId id, NodeId parent, std::string_view name, const Attributes& is,
                     bool is_bound) {
  if (id == kRootNode) return;
  state_.lock()->entries[id] = {.parent = parent,
                                .name = std::string(name),
                                .inode = is.inode,
                                .generation = is.generation,
                                .is_bound = is_bound};
}

void NodeBook::move(NodeId id, NodeId parent, std::string_view name) {
  const auto state = state_.lock();
  const auto found = state->entries.find(id);
  if (found == state->entries.end()) return;
  found->second.parent = parent;
  found->second.name = name;
}

void NodeBook::drop(NodeId id) {
  const auto state = state_.lock();
  const auto found = state->entries.find(id);
  if (found == state->entries.end()) return;
  if (found->second.is_bound) state->forgotten.push_back(id);
  state->entries.erase(found);
}

std::vector<NodeId> NodeBook::take_forgotten(std::size_t count) {
  const auto state = state_.lock();
  if (state->forgotten.empty() || state->forgotten.size() < count) return {};
  return std::exchange(state->forgotten, {});
}

std::size_t NodeBook::size() { return state_.lock()->entries.size(); }

void NodeBook::introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                         std::vector<Introduction>& out) {
  const auto state = state_.lock();
  for (const NodeId node : nodes) {
    const std::size_t first = out.size();
    // Up from the node to the first that the server knows; then parents first.
    for (NodeId id = node; id != kRootNode;) {
      const auto found = state->entries.find(id);
      if (found == state->entries.end()) break;  // its create is under way itself
      const Entry& entry = found->second;
      const auto is_it = [id](const Introduction& made) { return made.node == id; };
      if (entry.known_to == incarnation || std::any_of(out.begin(), out.end(), is_it)) break;
      out.push_back({id, entry.parent, entry.name, entry.inode, entry.generation});
      id = entry.parent;
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }
}

void NodeBook::confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) {
  const auto state = state_.lock();
  for (const Introduction& made : introductions) {
    const auto found = state->entries.find(made.node);
    if (found != state->entries.end()) {
      found->second.known_to = incarnation;
      found->second.is_bound = true;
    } else {
      state->forgotten.push_back(made.node);  // dropped while the request was under way
    }
  }
}

void NodeBook::distrust(std::span<const NodeId> nodes) {
  const auto state = state_.lock();
  for (NodeId id : nodes) {
    for (auto found = state->entries.find(id); found != state->entries.end();
         found = state->entries.find(found->second.parent)) {
      found->second.known_to = 0;
    }
  }
}

}  // namespace homefs
