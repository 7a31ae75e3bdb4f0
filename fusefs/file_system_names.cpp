// Changes of names: each goes to the server in sequence and is answered when the server has
// answered; the cached folders follow.
#include <fcntl.h>
#include <sys/stat.h>

#include "fusefs/file_system.h"

namespace homefs {

// Returns the number that it has.
NodeId FileSystem::made(const EntryReply& reply, const AskedName& asked, NodeId id) {
  auto state = state_.lock();
  state->unsynced.forget(reply.attributes.inode);
  Node& node = state->nodes.add_made(id, reply.attributes, asked.folder, asked.name);
  ++node.lookups;
  update_parent(*state, asked.folder, reply.parent);
  state->grant.update(reply.grant);
  enter_answered(*state, asked, node, reply.parent.order);
  return node.id;
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
  const AskedName asked = ask_about(parent, request.name);
  Result<EntryReply> reply = co_await ask<EntryReply>(std::move(call));
  if (!reply) {
    end_asking(asked);
    doubt_name(reply.error().status, parent, request.name);
    co_return std::unexpected(reply.error());
  }
  const NodeId made_id = made(*reply, asked, id);
  trim_names();
  auto state = state_.lock();
  if (made_id != id) state->nodes.forget_number(id);
  Node* node = state->nodes.find(made_id);
  HOMEFS_CHECK(node != nullptr);  // the lookup that made() counted keeps it
  state->nodes.learn_target(*node, request.target);
  co_return entry_of(*state, *node, leads_to(state->nodes.find(parent), asked.name, made_id));
}

Task<Result<CreateOut>> FileSystem::create(CreateRequest request, int open_flags) {
  request.node = state_.lock()->nodes.next_id();
  Call call = make_call(Op::kCreate, {request.parent}, request);
  const AskedName asked = ask_about(request.parent, request.name);
  Result<EntryReply> reply = co_await ask<EntryReply>(std::move(call));
  if (!reply) end_asking(asked);
  if (!reply && reply.error().status == Status::kExists && (open_flags & O_EXCL) == 0) {
    // Another session was quicker, and its file is as good. ESTALE makes the kernel look once more;
    // then it opens what is there, with its own checks.
    Result<EntryOut> entry = co_await lookup_at_server(request.parent, request.name);
    if (entry && entry->node != kNoNode) forget(entry->node, 1);
    co_return fail(Status::kStale, "made by another session at that moment");
  }
  if (!reply) {
    doubt_name(reply.error().status, request.parent, request.name);
    co_return std::unexpected(reply.error());
  }
  const NodeId id = made(*reply, asked, request.node);
  CreateOut out;
  for (int binds = 0;; ++binds) {
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      HOMEFS_CHECK(node != nullptr);
      if (binds == kBindsMax || !is_unbound(*state, *node)) {
        if (id != request.node) state->nodes.forget_number(request.node);
        const Node* const folder = state->nodes.find(asked.folder);
        out.entry = entry_of(*state, *node, leads_to(folder, asked.name, id));
        out.open = open_node(*state, *node, open_flags);
        break;
      }
    }
    // Until it knows this number, the server has the file open for us by the other one.
    co_await bind(std::vector<NodeId>(1, id));
  }
  trim_names();  // not before it is open: the names of open files stay
  co_return out;
}

Task<Result<EntryOut>> FileSystem::link(NodeId id, NodeId parent_id, std::string name) {
  co_await drained(id);  // the new name must not show an older state of the file
  Call call = make_call(Op::kLink, {id, parent_id}, LinkRequest{id, parent_id, name});
  const AskedName asked = ask_about(parent_id, std::move(name));
  Result<EntryReply> reply = co_await ask<EntryReply>(std::move(call));
  if (!reply) {
    end_asking(asked);
    doubt_name(reply.error().status, parent_id, asked.name);
    co_return std::unexpected(reply.error());
  }
  auto state = state_.lock();
  state->grant.update(reply->grant);
  update_parent(*state, parent_id, reply->parent);
  Node* node = state->nodes.find(id);
  if (node == nullptr) {
    (void)end_asking(*state, asked, 0);
    co_return fail(Status::kStale);
  }
  NodeCache::update_own(*node, reply->attributes);
  if (node->is_misplaced) {
    NodeCache::place(*node, parent_id, asked.name, reply->attributes.order);
  }
  ++node->lookups;
  enter_answered(*state, asked, *node, reply->parent.order);
  EntryOut out = entry_of(*state, *node, leads_to(state->nodes.find(parent_id), asked.name, id));
  if (!node->has_attributes) out.attributes = reply->attributes;  // true when it was made
  co_return out;
}

void FileSystem::unlinked(ClientState& state, Node& node, const Attributes& attributes,
                          NodeId not_kept) {
  // Where inodes have no generation, it may be the next one of the number that was seen since.
  if (attributes.generation == 0 && attributes.order < node.attributes.order) {
    node.has_attributes = false;
    return;
  }
  NodeCache::update(node, attributes);
  if (attributes.links > 0 && !node.is_folder()) return;
  if (node.opens == 0) state.unsynced.forget(attributes.inode);
  if (node.id != not_kept && node.is_bound) {
    NodeCache::make_orphan(node, attributes.order);  // the server has it as one
  } else {
    state.nodes.forget_inode(node);  // its number may be used again from now on
  }
  state.nodes.remove_if_unused(node.id);
}

// Whether the name may lead to an open file without our knowing it. While it is looked up another
// mount may put something else there, but then that is no file of ours.
bool FileSystem::must_look_up(NodeId parent_id, const std::string& name) {
  auto state = state_.lock();
  const bool is_anything_open =
      !state->files.empty() || state->dirty_bytes > 0 || !state->held.empty();
  const Node* parent = state->nodes.find(parent_id);
  return is_anything_open && parent != nullptr && parent->folder != nullptr &&
         parent->folder->has_gaps && !parent->folder->entries.contains(name);
}

// The node that the name leads to, with a lookup that the caller has to forget; else kNoNode.
Task<NodeId> FileSystem::look_up_again(NodeId parent, std::string name) {
  Result<EntryOut> entry = co_await lookup_at_server(parent, std::move(name));
  co_return entry ? entry->node : kNoNode;
}

Result<FileSystem::Removing> FileSystem::begin_removal(NodeId parent_id, const std::string& name,
                                                       NodeId looked_up) {
  Removing removing{.asked = {.folder = parent_id, .name = name}, .node = looked_up};
  auto state = state_.lock();
  Node* parent = state->nodes.find(parent_id);
  if (parent == nullptr) return fail(Status::kStale);
  if (parent->folder == nullptr) return fail(Status::kNotDirectory);
  const auto found = parent->folder->entries.find(name);
  if (found != parent->folder->entries.end()) removing.node = found->second;
  if (const Node* node = state->nodes.find(removing.node)) {
    removing.is_open = node->opens > 0 || node->is_dirty();
    if (!removing.is_open) ++state->removals[removing.node].count;
  }
  removing.asked.ticket = state->names.begin(parent_id, name);
  return removing;
}

Task<Result<>> FileSystem::remove(NodeId parent_id, std::string name, bool is_folder) {
  NodeId looked_up = kNoNode;
  if (!is_folder && must_look_up(parent_id, name)) {
    looked_up = co_await look_up_again(parent_id, name);
  }
  Result<Removing> removing = begin_removal(parent_id, name, looked_up);
  if (!removing) {
    if (looked_up != kNoNode) forget(looked_up, 1);
    co_return std::unexpected(removing.error());
  }
  const auto [asked, id, is_open] = *removing;
  Call call = is_folder ? make_call(Op::kRmdir, {parent_id}, RmdirRequest{parent_id, name})
                        : make_call(Op::kUnlink, {parent_id, id},
                                    UnlinkRequest{parent_id, name, is_open || id == kNoNode, id});
  // The server must know the number of a file that goes on to be used without a name.
  if (!is_open) call.nodes.resize(1);
  Result<RemoveReply> reply = co_await ask<RemoveReply>(std::move(call));
  WakeList wake;
  {
    auto state = state_.lock();
    if (reply) {
      removed(*state, asked, *reply, is_open ? kNoNode : id);
    } else {
      (void)end_asking(*state, asked, 0);
    }
    wake = end_removal(*state, is_open ? kNoNode : id);
  }
  wake_all(std::move(wake));
  if (looked_up != kNoNode) forget(looked_up, 1);
  if (!reply) {
    doubt_name(reply.error().status, parent_id, asked.name);
    co_return std::unexpected(reply.error());
  }
  co_return Result<>();
}

void FileSystem::removed(ClientState& state, const AskedName& asked, const RemoveReply& reply,
                         NodeId not_kept) {
  const std::uint64_t order = reply.parent.order;
  state.grant.update(reply.grant);
  update_parent(state, asked.folder, reply.parent);
  const bool is_newest = end_asking(state, asked, order);
  Node* node = state.nodes.find(reply.attributes);
  Node* parent = state.nodes.find(asked.folder);
  if (node != nullptr) ++node->names;  // keeps it while its entry goes
  if (parent != nullptr && is_newest) name_gone(state, *parent, asked.name, order);
  if (node == nullptr) return;
  --node->names;
  NodeCache::displace(*node, asked.folder, asked.name, order);
  unlinked(state, *node, reply.attributes, not_kept);
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

// Each name is brought up to date unless something newer was heard of it.
void FileSystem::replace_names(ClientState& state, const RenameRequest& request,
                               const RenameReply& reply, bool is_from_newest, bool is_to_newest) {
  // Two names of one file: rename(2) succeeds, and both stay.
  if (reply.other && reply.other->inode == reply.attributes.inode) return;
  const bool is_exchange = reply.other && request.mode == RenameMode::kExchange;
  Node* from = is_from_newest ? state.nodes.find(request.parent) : nullptr;
  Node* to = is_to_newest ? state.nodes.find(request.new_parent) : nullptr;
  Node* moved = state.nodes.find(reply.attributes);
  if (moved != nullptr) NodeCache::update_own(*moved, reply.attributes);
  // What moved need not be known here, but the folder it is in now may be complete and must name
  // it.
  if (moved != nullptr || to != nullptr) {
    moved = &state.nodes.see(reply.attributes, request.new_parent, request.new_name);
  }
  Node* other = reply.other ? state.nodes.find(*reply.other) : nullptr;
  if (is_exchange && (other != nullptr || from != nullptr)) {
    other = &state.nodes.see(*reply.other, request.parent, request.name);
  }
  if (moved != nullptr) ++moved->names;  // keeps both while their entries change
  if (other != nullptr) ++other->names;
  if (from != nullptr) name_gone(state, *from, request.name, reply.parent.order);
  if (to != nullptr) {
    name_gone(state, *to, request.new_name, reply.new_parent.order);
    enter(state, *to, request.new_name, *moved, reply.new_parent.order);
  }
  if (is_exchange && from != nullptr) {
    enter(state, *from, request.name, *other, reply.parent.order);
  }
  if (moved != nullptr) {
    --moved->names;
    state.nodes.remove_if_unused(moved->id);
  }
  if (other == nullptr) return;
  --other->names;
  if (is_exchange) {
    state.nodes.remove_if_unused(other->id);
  } else {
    NodeCache::displace(*other, request.new_parent, request.new_name, reply.new_parent.order);
    unlinked(state, *other, *reply.other, request.keep ? kNoNode : request.node);
  }
}

Task<Result<>> FileSystem::rename(RenameRequest request) {
  NodeId old_looked_up = kNoNode;
  NodeId new_looked_up = kNoNode;
  if (must_look_up(request.parent, request.name)) {
    old_looked_up = co_await look_up_again(request.parent, request.name);
  }
  if (must_look_up(request.new_parent, request.new_name)) {
    new_looked_up = co_await look_up_again(request.new_parent, request.new_name);
  }
  const Result<> renamed = co_await rename_known(std::move(request), old_looked_up, new_looked_up);
  if (old_looked_up != kNoNode) forget(old_looked_up, 1);
  if (new_looked_up != kNoNode) forget(new_looked_up, 1);
  co_return renamed;
}

Task<Result<>> FileSystem::rename_known(RenameRequest request, NodeId old_looked_up,
                                        NodeId new_looked_up) {
  NodeId moved = kNoNode;
  NodeId replaced = kNoNode;
  NodeId guarded = kNoNode;  // nobody opens what the server does not keep
  {
    auto state = state_.lock();
    const auto cached = [&](NodeId parent_id, const std::string& name) {
      Node* parent = state->nodes.find(parent_id);
      if (parent == nullptr || parent->folder == nullptr) return kNoNode;
      const auto found = parent->folder->entries.find(name);
      return found == parent->folder->entries.end() ? kNoNode : found->second;
    };
    moved = cached(request.parent, request.name);
    if (moved == kNoNode) moved = old_looked_up;
    replaced = cached(request.new_parent, request.new_name);
    if (replaced == kNoNode) replaced = new_looked_up;
    const Node* other = state->nodes.find(replaced);
    // A program may be about to open it, and must get the old file or the new one.
    request.keep =
        other == nullptr ||
        (other->is_regular() && (other->lookups > 0 || other->opens > 0 || other->is_dirty()));
    request.node = replaced;
    guarded = request.keep ? kNoNode : replaced;
    if (guarded != kNoNode) ++state->removals[guarded].count;
  }
  // A name never shows a file without the data that was written before the rename.
  if (moved != kNoNode) co_await drained(moved);
  std::vector<NodeId> nodes{request.parent, request.new_parent};
  if (request.keep && replaced != kNoNode) nodes.push_back(replaced);
  Call call = make_call(Op::kRename, std::move(nodes), request);
  const AskedName from = ask_about(request.parent, request.name);
  const AskedName to = ask_about(request.new_parent, request.new_name);
  Result<RenameReply> reply = co_await ask<RenameReply>(std::move(call));
  WakeList wake;
  {
    auto state = state_.lock();
    const bool is_from_newest = end_asking(*state, from, reply ? reply->parent.order : 0);
    const bool is_to_newest = end_asking(*state, to, reply ? reply->new_parent.order : 0);
    if (reply) {
      state->grant.update(reply->grant);
      replace_names(*state, request, *reply, is_from_newest, is_to_newest);
      update_parent(*state, request.parent, reply->parent);
      update_parent(*state, request.new_parent, reply->new_parent);
    }
    wake = end_removal(*state, guarded);
  }
  wake_all(std::move(wake));
  if (!reply) {
    doubt_name(reply.error().status, request.parent, request.name);
    doubt_name(reply.error().status, request.new_parent, request.new_name);
    co_return std::unexpected(reply.error());
  }
  co_return Result<>();
}

}  // namespace homefs
