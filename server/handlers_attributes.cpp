#include <utility>

#include "server/handlers.h"

namespace homefs::handlers {
namespace {

// The reply to a change of one inode's attributes.
Reply changed(HandlerContext& context, const Result<Attributes>& attributes) {
  if (!attributes) return error_reply(attributes.error());
  return reply_with(ChangeReply{.attributes = *attributes, .grant = context.grant.state()});
}

// A value or a list of names as the payload.
Reply payload_reply(const std::vector<std::byte>& bytes) {
  Reply reply = reply_with(EmptyMessage{});
  if (bytes.empty()) return reply;
  auto buffer = std::make_shared<Buffer>(bytes.size());
  std::ranges::copy(bytes, buffer->writable().begin());
  reply.payload = {slice_of(buffer)};
  return reply;
}

}  // namespace

Reply getattr(HandlerContext& context, const NodeRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto attributes = context.home.getattr(*inode);
  if (!attributes) return error_reply(attributes.error());
  return reply_with(AttributesReply{.attributes = *attributes});
}

Reply setattr(HandlerContext& context, const SetattrRequest& request) {
  if ((request.which & ~std::uint32_t{kSetBitsAll}) != 0) {
    return error_reply({.status = Status::kProtocolError, .context = "unknown setattr bits"});
  }
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  return changed(
      context, context.home.setattr(context.actor(Caller{}, request.from_grant), *inode, request));
}

Reply setxattr(HandlerContext& context, const SetxattrRequest& request, Payload value) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  return changed(context,
                 context.home.setxattr(context.actor(), *inode, request.name, value, request.mode));
}

Reply removexattr(HandlerContext& context, const XattrRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  return changed(context, context.home.removexattr(context.actor(), *inode, request.name));
}

Reply getxattr(HandlerContext& context, const XattrRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto value = context.home.getxattr(*inode, request.name);
  if (!value) return error_reply(value.error());
  return payload_reply(*value);
}

Reply listxattr(HandlerContext& context, const NodeRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto names = context.home.listxattr(*inode);
  if (!names) return error_reply(names.error());
  return payload_reply(*names);
}

Reply statfs(HandlerContext& context, const NodeRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  auto message = context.home.statfs();
  if (!message) return error_reply(message.error());
  message->grant = context.grant.state();
  return reply_with(*message);
}

}  // namespace homefs::handlers
