// Changes of attributes, and extended attributes.
#include <sys/stat.h>

#include "fusefs/file_system.h"

namespace homefs {

void FileSystem::changed(NodeId id, const ChangeReply& reply, bool is_in_pages) {
  bool has_lost_privileges = false;
  WakeList wake;
  {
    auto state = state_.lock();
    state->grant.update(reply.grant);
    state->unsynced.changed(reply.attributes.inode);
    Node* node = state->nodes.find(id);
    if (node == nullptr) return;
    const std::uint32_t before = node->attributes.mode;
    NodeCache::update_own(*node, reply.attributes);
    if (!is_in_pages) {
      // With the new size, and not later: else a page would be made of what was read before.
      node->kernel_version = 0;
      if (node->data != nullptr) wake = node->data->reads.clear();
    }
    has_lost_privileges = (before & ~node->attributes.mode & (S_ISUID | S_ISGID)) != 0;
  }
  wake_all(std::move(wake));
  // Perhaps for a write, whose reply to the kernel does not say so.
  if (has_lost_privileges) notifier_->invalidate_attributes(id);
}

// A file that is being written takes the change along, unless other mounts have to see it at once.
std::optional<AttributesOut> FileSystem::defer(const SetattrRequest& change) {
  if (!DeferredChange::may_defer(change)) return std::nullopt;
  auto state = state_.lock();
  Node* node = state->nodes.find(change.node);
  const bool is_being_written = node != nullptr && node->opens > 0 && node->data != nullptr &&
                                node->data->is_streaming_up && node->has_attributes;
  if (state->is_shared || !is_being_written) return std::nullopt;
  node->data->change.join(change);
  state->held.push_back(change.node);
  return AttributesOut{effective(*node), {}};
}

bool FileSystem::has_privileges(NodeId id) {
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  // Not known: it may.
  return node != nullptr &&
         (!node->has_attributes || (effective(*node).mode & (S_ISUID | S_ISGID)) != 0);
}

bool FileSystem::has_deferred_change(NodeId id) {
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  return node != nullptr && node->data != nullptr && node->data->change.is_pending();
}

/// Precondition: DeferredChange::begin_sending() gave it.
Task<> FileSystem::send_deferred(SetattrRequest change) {
  const NodeId id = change.node;
  Call call = make_call(Op::kSetattr, {id}, change);
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (reply) changed(id, *reply);
  WakeList wake;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    HOMEFS_CHECK(node != nullptr && node->data != nullptr);  // dirty nodes are kept
    wake = node->data->change.finish();
    if (!reply) {
      node->has_attributes = false;
      node->data->writes.errors().add(reply.error());
    }
    end_use(*state, *node);
  }
  if (!reply) notifier_->invalidate_attributes(id);
  wake_all(std::move(wake));
}

Task<Result<AttributesOut>> FileSystem::setattr(SetattrRequest request, std::uint64_t handle) {
  // What was stored before the time is set must not move it when it is written back.
  const bool has_mtime = (request.which & (kSetMtime | kSetMtimeNow)) != 0;
  if (has_mtime && (request.which & kSetSize) == 0) co_await take_pages(request.node);
  if (std::optional<AttributesOut> deferred = defer(request)) co_return *std::move(deferred);
  const NodeId id = request.node;
  if ((request.which & kSetSize) != 0) co_return co_await set_size(request, handle);
  // A write that comes after the change of times would undo it.
  co_await drained(id);
  Call call = make_call(Op::kSetattr, {id}, request);
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (!reply) {
    change_failed(id);
    co_return std::unexpected(reply.error());
  }
  changed(id, *reply);
  co_return attributes_of(id, reply->attributes);
}

Task<Result<AttributesOut>> FileSystem::set_size(SetattrRequest request, std::uint64_t handle) {
  const NodeId id = request.node;
  begin_resizing(id);
  Result<AttributesOut> resized = co_await resize(request, handle);
  end_resizing(id);
  co_return resized;
}

Task<Result<AttributesOut>> FileSystem::resize(SetattrRequest request, std::uint64_t handle) {
  const NodeId id = request.node;
  const Result<std::uint64_t> session = locks_.session_for(id, handle);
  if (!session) co_return std::unexpected(session.error());
  co_await begin_change_at_server(id);
  const std::uint64_t offered = co_await offer_grant(id, request.size);
  request.from_grant = offered;
  Call call = make_call(Op::kSetattr, {id}, request);
  call.session = *session;
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (reply) changed(id, *reply);
  if (!reply) change_failed(id);
  end_change_at_server(id, request.from_grant);
  if (!reply) co_return std::unexpected(reply.error());
  co_return attributes_of(id, reply->attributes);
}

Result<AttributesOut> FileSystem::attributes_of(NodeId id, const Attributes& told) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr) return fail(Status::kStale);
  if (!node->has_attributes) return AttributesOut{told, {}};  // overtaken: as in getattr()
  return AttributesOut{effective(*node), ttl(*state, *node)};
}

Task<Result<>> FileSystem::setxattr(NodeId id, std::string name, Slice value, XattrMode mode) {
  Call call = make_call(Op::kSetxattr, {id}, SetxattrRequest{id, std::move(name), mode});
  if (!value.bytes.empty()) call.payload.push_back(std::move(value));
  sets_xattr(id);
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  sets_xattr(id);
  if (!reply) co_return std::unexpected(reply.error());
  changed(id, *reply);
  co_return Result<>();
}

// It may have one from now on, and lists that were asked for before do not count.
void FileSystem::sets_xattr(NodeId id) {
  auto state = state_.lock();
  ++state->xattr_changes;
  if (Node* node = state->nodes.find(id)) node->has_no_xattrs = false;
}

Task<Result<SharedBuffer>> FileSystem::getxattr(NodeId id, std::string name) {
  if (name.starts_with("user.homefs.")) co_return co_await own_xattr(id, std::move(name));
  {
    auto state = state_.lock();
    const Node* node = state->nodes.find(id);
    if (node != nullptr && node->has_no_xattrs) co_return fail(Status::kNoAttribute);
  }
  Call call = make_call(Op::kGetxattr, {id}, XattrRequest{id, std::move(name)});
  auto waiting = link_->call(std::move(call));
  Result<InFrame> reply = co_await waiting;
  if (!reply) co_return std::unexpected(reply.error());
  co_return reply->body;  // an EmptyMessage, then the value
}

Task<Result<SharedBuffer>> FileSystem::listxattr(NodeId id) {
  std::uint64_t changes = 0;
  std::uint64_t coherence = 0;
  {
    auto state = state_.lock();
    const Node* node = state->nodes.find(id);
    if (node != nullptr && node->has_no_xattrs) co_return std::make_shared<Buffer>(0);
    changes = state->xattr_changes;
    coherence = state->coherence;
  }
  Call call = make_call(Op::kListxattr, {id}, NodeRequest{id});
  auto waiting = link_->call(std::move(call));
  Result<InFrame> reply = co_await waiting;
  if (!reply) co_return std::unexpected(reply.error());
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  const bool is_still_so = changes == state->xattr_changes && coherence == state->coherence;
  if (node != nullptr && is_still_so && !state->is_shared && reply->bytes().empty()) {
    node->has_no_xattrs = true;
  }
  co_return reply->body;
}

Task<Result<>> FileSystem::removexattr(NodeId id, std::string name) {
  Call call = make_call(Op::kRemovexattr, {id}, XattrRequest{id, std::move(name)});
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  changed(id, *reply);
  co_return Result<>();
}

}  // namespace homefs
