#include <utility>

#include "server/handlers.h"

namespace homefs::handlers {
namespace {

// The frame of create, mkdir, mknod and symlink: `make(parent, name)` is what differs.
template <class Request, class Make>
Reply make_entry(HandlerContext& context, const Request& request, Make make) {
  const auto parent = context.nodes.find(request.parent);
  if (!parent) return error_reply(parent.error());
  const auto name = Name::make(request.name);
  if (!name) return error_reply(name.error());
  if (auto done = context.nodes.check_free(request.node); !done) return error_reply(done.error());
  const Result<Entry> entry = make(*parent, *name);
  if (!entry) return error_reply(entry.error());
  if (auto done = context.nodes.bind(request.node, entry->inode); !done) {
    return error_reply(done.error());
  }
  return reply_with(EntryReply{
      .attributes = entry->attributes, .parent = entry->parent, .grant = context.grant.state()});
}

// The frame of unlink and rmdir.
template <class Request, class Remove>
Reply remove_entry(HandlerContext& context, const Request& request, Remove remove) {
  const auto parent = context.nodes.find(request.parent);
  if (!parent) return error_reply(parent.error());
  const auto name = Name::make(request.name);
  if (!name) return error_reply(name.error());
  const Result<Removal> removal = remove(*parent, *name);
  if (!removal) return error_reply(removal.error());
  return reply_with(RemoveReply{.attributes = removal->attributes,
                                .parent = removal->parent,
                                .grant = context.grant.state()});
}

}  // namespace

Reply create(HandlerContext& context, const CreateRequest& request) {
  return make_entry(context, request, [&](const InodeRef& parent, const Name& name) {
    return context.home.create(context.actor(request.caller), parent, name, request.mode);
  });
}

Reply mkdir(HandlerContext& context, const MkdirRequest& request) {
  return make_entry(context, request, [&](const InodeRef& parent, const Name& name) {
    return context.home.mkdir(context.actor(request.caller), parent, name, request.mode);
  });
}

Reply mknod(HandlerContext& context, const MknodRequest& request) {
  return make_entry(context, request, [&](const InodeRef& parent, const Name& name) {
    return context.home.mknod(context.actor(request.caller), parent, name, request.mode,
                              request.device);
  });
}

Reply symlink(HandlerContext& context, const SymlinkRequest& request) {
  return make_entry(context, request, [&](const InodeRef& parent, const Name& name) {
    return context.home.symlink(context.actor(request.caller), parent, name, request.target);
  });
}

Reply link(HandlerContext& context, const LinkRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto parent = context.nodes.find(request.parent);
  if (!parent) return error_reply(parent.error());
  const auto name = Name::make(request.name);
  if (!name) return error_reply(name.error());
  const auto entry = context.home.link(context.actor(), *inode, *parent, *name);
  if (!entry) return error_reply(entry.error());
  return reply_with(EntryReply{
      .attributes = entry->attributes, .parent = entry->parent, .grant = context.grant.state()});
}

Reply unlink(HandlerContext& context, const UnlinkRequest& request) {
  return remove_entry(context, request, [&](const InodeRef& parent, const Name& name) {
    return context.home.unlink(context.actor(), parent, name,
                               {.keep = request.keep, .meant = request.node});
  });
}

Reply rmdir(HandlerContext& context, const RmdirRequest& request) {
  return remove_entry(context, request, [&](const InodeRef& parent, const Name& name) {
    return context.home.rmdir(context.actor(), parent, name);
  });
}

Reply rename(HandlerContext& context, const RenameRequest& request) {
  const auto parent = context.nodes.find(request.parent);
  if (!parent) return error_reply(parent.error());
  const auto new_parent = context.nodes.find(request.new_parent);
  if (!new_parent) return error_reply(new_parent.error());
  const auto name = Name::make(request.name);
  if (!name) return error_reply(name.error());
  const auto new_name = Name::make(request.new_name);
  if (!new_name) return error_reply(new_name.error());
  const auto move = context.home.rename(
      context.actor(), {.parent = *parent, .name = *name},
      {.parent = *new_parent, .name = *new_name},
      {.mode = request.mode, .rule = {.keep = request.keep, .meant = request.node}});
  if (!move) return error_reply(move.error());
  return reply_with(RenameReply{.attributes = move->attributes,
                                .parent = move->parent,
                                .new_parent = move->new_parent,
                                .other = move->other,
                                .grant = context.grant.state()},
                    Status::kRenamed);
}

Reply lookup(HandlerContext& context, const LookupRequest& request) {
  const auto parent = context.nodes.find(request.parent);
  if (!parent) return error_reply(parent.error());
  const auto name = Name::make(request.name);
  if (!name) return error_reply(name.error());
  const auto entry = context.home.lookup(*parent, *name);
  if (!entry) return error_reply(entry.error());
  // Number 0: the client does not know yet whether it has one for this inode, and introduces it.
  if (request.node != kNoNode) {
    if (auto done = context.nodes.bind(request.node, entry->inode); !done) {
      return error_reply(done.error());
    }
  }
  return reply_with(LookupReply{.attributes = entry->attributes, .target = entry->target});
}

Reply readlink(HandlerContext& context, const NodeRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto target = context.home.readlink(*inode);
  if (!target) return error_reply(target.error());
  return reply_with(TargetReply{.target = *target});
}

Reply forget(HandlerContext& context, const ForgetRequest& request) {
  if (request.nodes.size() > kNodesPerRequestMax) {
    return error_reply({.status = Status::kProtocolError, .context = "too many nodes"});
  }
  context.nodes.forget(request.nodes);
  return reply_with(EmptyMessage{});
}

}  // namespace homefs::handlers
