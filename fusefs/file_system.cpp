#include "fusefs/file_system.h"

#include <utility>

namespace homefs {

FileSystem::FileSystem(Post post, FileSystemOptions options)
    : post_(std::move(post)),
      options_(options),
      locks_([this](auto work) { post_(std::move(work)); }) {
  state_.lock()->read_memory.set_bytes_max(options.read_bytes_max);
}

void FileSystem::attach(Link& link, KernelNotifier& notifier, TransferEvents& transfers) {
  HOMEFS_CHECK(link_ == nullptr);
  link_ = &link;
  notifier_ = &notifier;
  transfers_ = &transfers;
  locks_.attach(link, notifier);
}

Task<Result<>> FileSystem::start() {
  Call about_root = make_call(Op::kGetattr, {kRootNode}, NodeRequest{kRootNode});
  Result<AttributesReply> root = co_await ask<AttributesReply>(std::move(about_root));
  if (!root) co_return std::unexpected(root.error());
  Call about_quota = make_call(Op::kStatfs, {kRootNode}, NodeRequest{kRootNode});
  Result<StatfsReply> quota = co_await ask<StatfsReply>(std::move(about_quota));
  if (!quota) co_return std::unexpected(quota.error());
  auto state = state_.lock();
  state->nodes.set_root(root->attributes);
  // The kernel has nothing that is older.
  if (state->told_order == ClientState::kUnknownOrder) state->told_order = root->attributes.order;
  state->statfs = *quota;
  state->grant.update(quota->grant);
  co_return Result<>();
}

void FileSystem::wait_until_sent() {
  TaskGroup draining;
  draining.spawn(drain_all());
  draining.wait_idle();
}

void FileSystem::wait_idle() {
  background_.spawn(drain_all());
  background_.wait_idle();
  end_closed_transfers();
}

// The kernel does not release all files of a mount that was detached: the last close ends it.
void FileSystem::end_closed_transfers() {
  std::vector<std::pair<NodeId, TransferDirection>> ended;
  {
    auto state = state_.lock();
    state->nodes.for_each([&](const Node& node) {
      if (node.data == nullptr || !node.data->was_closed || node.is_dirty()) return;
      if (node.data->is_streaming_up) ended.emplace_back(node.id, TransferDirection::kUp);
      if (node.data->is_streaming_down) ended.emplace_back(node.id, TransferDirection::kDown);
    });
  }
  for (const auto& [node, direction] : ended) transfers_->on_finished(node, direction, {});
}

FileSystem::Figures FileSystem::figures() {
  auto state = state_.lock();
  return {.dirty_bytes = state->dirty_bytes,
          .nodes = state->nodes.size(),
          .open_files = state->files.size(),
          .grant = state->grant.last(),
          .is_shared = state->is_shared};
}

// ---- What is answered from the state ----------------------------------------------------------

Attributes FileSystem::effective(const Node& node) {
  Attributes attributes = node.attributes;
  if (!node.is_dirty()) return attributes;
  if (node.data->writes.is_dirty()) {
    attributes.size = std::max(attributes.size, node.data->writes.end());
    if (node.data->last_write > attributes.mtime) {
      attributes.mtime = node.data->last_write;
      attributes.ctime = node.data->last_write;
    }
  }
  node.data->change.apply_to(attributes);
  return attributes;
}

std::chrono::seconds FileSystem::ttl(const ClientState& state, const Node& node) const {
  // The times of a file with unacknowledged writes are ours, and the server's are to come.
  const bool may_be_kept = !state.is_shared && node.has_attributes && !node.is_dirty();
  return may_be_kept ? options_.sole_ttl : std::chrono::seconds(0);
}

EntryOut FileSystem::entry_of(ClientState& state, Node& node, bool is_cached) const {
  const bool may_be_kept = is_cached && !state.is_shared;
  return {.node = node.id,
          .attributes = effective(node),
          .entry_ttl = may_be_kept ? options_.sole_ttl : std::chrono::seconds(0),
          .attributes_ttl = ttl(state, node)};
}

bool FileSystem::leads_to(const Node* folder, std::string_view name, NodeId id) {
  if (folder == nullptr || folder->folder == nullptr) return false;
  const auto found = folder->folder->entries.find(name);
  return found != folder->folder->entries.end() && found->second == id;
}

// ---- What answers and events say of names
// --------------------------------------------------------

FileSystem::AskedName FileSystem::ask_about(NodeId folder, std::string name) {
  const auto ticket = state_.lock()->names.begin(folder, name);
  return {.folder = folder, .name = std::move(name), .ticket = ticket};
}

bool FileSystem::end_asking(ClientState& state, const AskedName& asked, std::uint64_t order) {
  return order >= state.names.end(asked.ticket);
}

// The name leads to the node since `order`.
void FileSystem::enter(ClientState& state, Node& parent, std::string_view name, Node& node,
                       std::uint64_t order) {
  if (parent.folder == nullptr) return;
  parent.folder->changed_at = ++state.folder_changes;
  learn(state, parent, name, node);
  state.names.heard(parent.id, name, order);
}

void FileSystem::enter_answered(ClientState& state, const AskedName& asked, Node& node,
                                std::uint64_t order) {
  const bool is_newest = end_asking(state, asked, order);
  Node* parent = state.nodes.find(asked.folder);
  if (parent == nullptr || parent->folder == nullptr) return;
  if (is_newest) {
    enter(state, *parent, asked.name, node, order);
  } else {
    parent->folder->has_gaps = true;
  }
}

// The name does not lead to what it did, since `order`.
void FileSystem::name_gone(ClientState& state, Node& parent, std::string_view name,
                           std::uint64_t order) {
  if (parent.folder == nullptr) return;
  state.names.heard(parent.id, name, order);
  const auto found = parent.folder->entries.find(name);
  if (found != parent.folder->entries.end()) {
    if (Node* node = state.nodes.find(found->second)) {
      NodeCache::displace(*node, parent.id, name, order);
    }
  }
  drop_entry(state, parent, name);
}

// The name by which the server finds the node need not be the one that is meant: of several names
// it is one, perhaps in another folder.
SharedName FileSystem::shared_name(const Node& node, const Node& parent, std::string_view name) {
  return is_place(node, parent, name) ? node.name : SharedName(name);
}

// What a lookup has found was there before: a listing that is under way is still true, unless it
// was something else that was known.
void FileSystem::learn(ClientState& state, Node& parent, std::string_view name, Node& node) {
  if (parent.folder == nullptr) return;
  const auto found = parent.folder->entries.find(name);
  if (found != parent.folder->entries.end()) {
    if (found->second == node.id) return;
    drop_entry(state, parent, name);
  }
  parent.folder->entries.emplace(shared_name(node, parent, name), node.id);
  ++node.names;
  state.nodes.touch(parent);
}

void FileSystem::drop_entry(ClientState& state, Node& parent, std::string_view name) {
  if (parent.folder == nullptr) return;
  parent.folder->changed_at = ++state.folder_changes;
  const auto found = parent.folder->entries.find(name);
  if (found == parent.folder->entries.end()) return;
  const NodeId id = found->second;
  parent.folder->entries.erase(found);
  if (Node* node = state.nodes.find(id)) {
    --node->names;
    state.nodes.remove_if_unused(id);
  }
}

void FileSystem::update_parent(ClientState& state, NodeId parent, const Attributes& attributes) {
  state.unsynced.changed(attributes.inode);
  if (Node* node = state.nodes.find(parent)) NodeCache::update(*node, attributes);
}

std::string FileSystem::path_of(ClientState& state, Node& node) const {
  std::string path;
  state.nodes.walk_up(node, [&](const Node& at) {
    path.insert(0, path.empty() ? at.name.text() : at.name.text() + "/");
    return true;
  });
  return path;
}

// ---- IntroductionSource -----------------------------------------------------------------------

void FileSystem::introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                           std::vector<Introduction>& out) {
  auto state = state_.lock();
  state->nodes.introduce(nodes, incarnation, out);
}

void FileSystem::confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) {
  if (introductions.empty()) return;
  auto state = state_.lock();
  state->nodes.confirm(introductions, incarnation);
}

void FileSystem::distrust(std::span<const NodeId> nodes) {
  auto state = state_.lock();
  state->nodes.distrust(nodes);
}

}  // namespace homefs
