// Changes of names: each goes to the server in sequence and is answered when the server has
// answered; the cached folders follow.
#include <fcntl.h>
#include <sys/stat.h>

#include "fusefs/file_system.h"

namespace homefs {

void FileSystem::made(const EntryReply& reply, NodeId parent_id, const std::string& name,
                      NodeId id) {
  auto state = state_.lock();
  Node& node = state->nodes.add_made(id, reply.attributes, parent_id, name);
  ++node.lookups;
  update_parent(*state, parent_id, reply.parent);
  state->grant.update(reply.grant);
  if (Node* parent = state->nodes.find(parent_id)) enter(*state, *parent, name, node);
}

Task<Result<EntryOut>> FileSystem::make(MakeRequest request) {
  const NodeId id = state_.lock()->nodes.next_id();
  const NodeId parent = request.parent;
  Call call;
  if (S_ISDIR(request.mode)) {
    call = make_call(Op::kMkdir, {parent},
                     MkdirRequest{parent, request.name, id, request.mode, request.caller});
  } else if (S_ISLNK(request.mode)) {
    call = make_call(Op::kSymlink, {parent},
                     SymlinkRequest{parent, request.name, id, request.target, request.caller});
  } else {
    call = make_call(
        Op::kMknod, {parent},
        MknodRequest{parent, request.name, id, request.mode, request.device, request.caller});
  }
  Result<EntryReply> reply = co_await ask<EntryReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  made(*reply, parent, request.name, id);
  trim_names();
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  HOMEFS_CHECK(node != nullptr);  // the lookup that made() counted keeps it
  node->target = SharedName(request.target);
  co_return entry_of(*state, *node);
}

Task<Result<CreateOut>> FileSystem::create(CreateRequest request, int open_flags) {
  request.node = state_.lock()->nodes.next_id();
  Call call = make_call(Op::kCreate, {request.parent}, request);
  Result<EntryReply> reply = co_await ask<EntryReply>(std::move(call));
  if (!reply && reply.error().status == Status::kExists && (open_flags & O_EXCL) == 0) {
    // Another session was quicker, and its file is as good. ESTALE makes the kernel look once more;
    // then it opens what is there, with its own checks.
    Result<EntryOut> entry = co_await lookup_at_server(request.parent, request.name);
    if (entry && entry->node != kNoNode) forget(entry->node, 1);
    co_return fail(Status::kStale, "made by another session at that moment");
  }
  if (!reply) co_return std::unexpected(reply.error());
  made(*reply, request.parent, request.name, request.node);
  CreateOut out;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(request.node);
    HOMEFS_CHECK(node != nullptr);
    out.entry = entry_of(*state, *node);
    out.open = open_node(*state, *node, open_flags);
  }
  trim_names();  // not before it is open: the names of open files stay
  co_return out;
}

Task<Result<EntryOut>> FileSystem::link(NodeId id, NodeId parent_id, std::string name) {
  co_await drained(id);  // the new name must not show an older state of the file
  Call call = make_call(Op::kLink, {id, parent_id}, LinkRequest{id, parent_id, name});
  Result<EntryReply> reply = co_await ask<EntryReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  auto state = state_.lock();
  state->grant.update(reply->grant);
  update_parent(*state, parent_id, reply->parent);
  Node* node = state->nodes.find(id);
  if (node == nullptr) co_return fail(Status::kStale);
  NodeCache::update_own(*node, reply->attributes);
  ++node->lookups;
  if (Node* parent = state->nodes.find(parent_id)) enter(*state, *parent, name, *node);
  co_return entry_of(*state, *node);
}

void FileSystem::unlinked(ClientState& state, Node& node, const Attributes& attributes,
                          bool is_kept) {
  NodeCache::update(node, attributes);
  if (attributes.links > 0 && !node.is_folder()) return;
  if (is_kept) {
    node.parent = kNoNode;  // the server has it as an orphan
    node.name = SharedName();
  } else {
    state.nodes.forget_inode(node);  // its number may be used again from now on
  }
  state.nodes.remove_if_unused(node.id);
}

Task<Result<>> FileSystem::remove(NodeId parent_id, std::string name, bool is_folder) {
  NodeId id = kNoNode;
  bool is_open = false;
  {
    auto state = state_.lock();
    Node* parent = state->nodes.find(parent_id);
    if (parent == nullptr) co_return fail(Status::kStale);
    if (parent->folder == nullptr) co_return fail(Status::kNotDirectory);
    const auto found = parent->folder->entries.find(name);
    if (found != parent->folder->entries.end()) {
      id = found->second;
      const Node* node = state->nodes.find(id);
      is_open = node->opens > 0 || node->is_dirty();
      if (!is_open) ++state->removals[id].count;
    }
  }
  const NodeId going = is_open ? kNoNode : id;
  Call call =
      is_folder ? make_call(Op::kRmdir, {parent_id}, RmdirRequest{parent_id, name})
                : make_call(Op::kUnlink, {parent_id, id}, UnlinkRequest{parent_id, name, is_open});
  // The server must know the number of a file that goes on to be used without a name.
  if (!is_open) call.nodes.resize(1);
  Result<RemoveReply> reply = co_await ask<RemoveReply>(std::move(call));
  WakeList wake;
  {
    auto state = state_.lock();
    if (reply) removed(*state, parent_id, name, *reply, is_open);
    wake = end_removal(*state, going);
  }
  wake_all(std::move(wake));
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<>();
}

void FileSystem::removed(ClientState& state, NodeId parent_id, const std::string& name,
                         const RemoveReply& reply, bool is_kept) {
  state.grant.update(reply.grant);
  update_parent(state, parent_id, reply.parent);
  Node* node = state.nodes.find(reply.attributes.inode);
  if (Node* parent = state.nodes.find(parent_id)) {
    if (node != nullptr) ++node->names;  // keeps it while its entry goes
    drop_entry(state, *parent, name);
    if (node != nullptr) --node->names;
  }
  if (node != nullptr) unlinked(state, *node, reply.attributes, is_kept);
}

WakeList FileSystem::end_removal(ClientState& state, NodeId id) {
  const auto found = state.removals.find(id);
  if (found == state.removals.end() || --found->second.count > 0) return {};
  WakeList waiters = std::move(found->second.waiters);
  state.removals.erase(found);
  return waiters;
}

Task<> FileSystem::removal_end(NodeId id) {
  Completion<bool> waiting([this, id](Completion<bool>::Done done) {
    {
      auto state = state_.lock();
      const auto found = state->removals.find(id);
      if (found != state->removals.end()) {
        found->second.waiters.push_back([done = std::move(done)]() mutable { done(true); });
        return;
      }
    }
    done(true);
  });
  (void)co_await waiting;
}

void FileSystem::replace_names(ClientState& state, const RenameRequest& request,
                               const RenameReply& reply) {
  // Two names of one file: rename(2) succeeds, and both stay.
  if (reply.other && reply.other->inode == reply.attributes.inode) return;
  Node* from = state.nodes.find(request.parent);
  Node* to = state.nodes.find(request.new_parent);
  // What moved need not be known here, but the folder it is in now may be complete and must name
  // it.
  if (Node* known = state.nodes.find(reply.attributes.inode)) {
    NodeCache::update_own(*known, reply.attributes);
  }
  Node& moved = state.nodes.see(reply.attributes, request.new_parent, request.new_name);
  Node* other = reply.other ? state.nodes.find(reply.other->inode) : nullptr;
  if (reply.other && request.mode == RenameMode::kExchange) {
    other = &state.nodes.see(*reply.other, request.parent, request.name);
  }
  ++moved.names;  // keeps both while their entries change
  if (other != nullptr) ++other->names;
  if (from != nullptr) drop_entry(state, *from, request.name);
  if (to != nullptr) drop_entry(state, *to, request.new_name);
  if (to != nullptr) enter(state, *to, request.new_name, moved);
  --moved.names;
  state.nodes.remove_if_unused(moved.id);
  if (other == nullptr) return;
  --other->names;
  if (request.mode == RenameMode::kExchange) {
    if (from != nullptr) enter(state, *from, request.name, *other);
    state.nodes.remove_if_unused(other->id);
  } else {
    unlinked(state, *other, *reply.other, request.keep);
  }
}

Task<Result<>> FileSystem::rename(RenameRequest request) {
  NodeId moved = kNoNode;
  NodeId replaced = kNoNode;
  {
    auto state = state_.lock();
    const auto cached = [&](NodeId parent_id, const std::string& name) {
      Node* parent = state->nodes.find(parent_id);
      if (parent == nullptr || parent->folder == nullptr) return kNoNode;
      const auto found = parent->folder->entries.find(name);
      return found == parent->folder->entries.end() ? kNoNode : found->second;
    };
    moved = cached(request.parent, request.name);
    replaced = cached(request.new_parent, request.new_name);
    const Node* other = state->nodes.find(replaced);
    // A program may be about to open it, and must get the old file or the new one.
    request.keep = other != nullptr && other->is_regular() &&
                   (other->lookups > 0 || other->opens > 0 || other->is_dirty());
  }
  // A name never shows a file without the data that was written before the rename.
  if (moved != kNoNode) co_await drained(moved);
  std::vector<NodeId> nodes{request.parent, request.new_parent};
  if (request.keep) nodes.push_back(replaced);
  Call call = make_call(Op::kRename, std::move(nodes), request);
  Result<RenameReply> reply = co_await ask<RenameReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  auto state = state_.lock();
  state->grant.update(reply->grant);
  replace_names(*state, request, *reply);
  update_parent(*state, request.parent, reply->parent);
  update_parent(*state, request.new_parent, reply->new_parent);
  co_return Result<>();
}

}  // namespace homefs
