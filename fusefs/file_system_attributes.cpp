// Changes of attributes, and extended attributes.
#include <sys/stat.h>

#include "fusefs/file_system.h"

namespace homefs {

void FileSystem::changed(NodeId id, const ChangeReply& reply) {
  bool has_lost_privileges = false;
  {
    auto state = state_.lock();
    state->grant.update(reply.grant);
    Node* node = state->nodes.find(id);
    if (node == nullptr) return;
    const std::uint32_t before = node->attributes.mode;
    NodeCache::update_own(*node, reply.attributes);
    has_lost_privileges = (before & ~node->attributes.mode & (S_ISUID | S_ISGID)) != 0;
  }
  // A write took them away, whose reply to the kernel does not say so.
  if (has_lost_privileges) notifier_->invalidate_attributes(id);
}

Task<Result<AttributesOut>> FileSystem::setattr(SetattrRequest request) {
  const NodeId id = request.node;
  // A write that comes after the change of size or times would undo it.
  co_await drained(id);
  Call call = make_call(Op::kSetattr, {id}, request);
  const bool has_size = (request.which & kSetSize) != 0;
  if (Result<> held = has_size ? locks_.guard(id, call) : Result<>(); !held) {
    co_return std::unexpected(held.error());
  }
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  changed(id, *reply);
  if ((request.which & kSetSize) != 0) wake_all(drop_read_data(id));
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr) co_return fail(Status::kStale);
  co_return AttributesOut{effective(*node), ttl(*state, *node)};
}

Task<Result<>> FileSystem::setxattr(NodeId id, std::string name, Slice value, XattrMode mode) {
  Call call = make_call(Op::kSetxattr, {id}, SetxattrRequest{id, std::move(name), mode});
  if (!value.bytes.empty()) call.payload.push_back(std::move(value));
  {
    auto state = state_.lock();
    if (Node* node = state->nodes.find(id)) node->has_no_xattrs = false;
  }
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  changed(id, *reply);
  co_return Result<>();
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
  {
    auto state = state_.lock();
    const Node* node = state->nodes.find(id);
    if (node != nullptr && node->has_no_xattrs) co_return std::make_shared<Buffer>(0);
  }
  Call call = make_call(Op::kListxattr, {id}, NodeRequest{id});
  auto waiting = link_->call(std::move(call));
  Result<InFrame> reply = co_await waiting;
  if (!reply) co_return std::unexpected(reply.error());
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node != nullptr && !state->is_shared && reply->bytes().empty()) node->has_no_xattrs = true;
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
