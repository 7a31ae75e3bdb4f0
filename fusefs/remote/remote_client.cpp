#include "fusefs/remote/remote_client.h"

#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "fusefs/remote/answer_call.h"
#include "protocol/limits.h"
#include "protocol/name.h"

namespace homefs {
namespace {

// Who owns what is made, in a home that preserves owners.
Caller this_user() { return {.uid = ::getuid(), .gid = ::getgid()}; }

}  // namespace

template <class Reply>
Answer<Reply> RemoteClient::ask(Call call) {
  return answer_call<Reply>(link_, std::move(call),
                            [](const InFrame& frame) { return message_of<Reply>(frame); });
}

// ---- Looking ----------------------------------------------------------------------------------

Result<RemoteNode> RemoteClient::root() {
  const auto reply =
      ask<AttributesReply>(make_call(Op::kGetattr, {}, NodeRequest{kRootNode})).get();
  if (!reply) return std::unexpected(reply.error());
  return RemoteNode{.id = kRootNode, .attributes = reply->attributes};
}

Answer<RemoteNode> RemoteClient::lookup(RemotePlace place) {
  const NodeId node = book_.next_id();
  Call call = make_call(Op::kLookup, {place.folder}, LookupRequest{place.folder, place.name, node});
  return answer_call<RemoteNode>(
      link_, std::move(call),
      [this, node, place = std::move(place)](const InFrame& frame) -> Result<RemoteNode> {
        auto reply = message_of<LookupReply>(frame);
        if (!reply) return std::unexpected(reply.error());
        book_.enter(node, place.folder, place.name, reply->attributes, /*is_bound=*/true);
        return RemoteNode{node, reply->attributes, std::move(reply->target)};
      });
}

Result<RemoteNode> RemoteClient::resolve(const RemotePath& path) {
  Result<RemoteNode> node = root();
  RemotePath here;
  for (const std::string& part : path.parts) {
    if (!node) return node;
    const NodeId folder = node->id;
    if (!S_ISDIR(node->attributes.mode)) return fail(Status::kNotDirectory, here.text());
    here = here.child(part);
    node = lookup({folder, part}).get();
    // Folders on the way stay in the book: introductions lead over them.
    if (!node) return fail(node.error().status, here.text());
  }
  return node;
}

Answer<ListReply> RemoteClient::list(ListRequest request) {
  return ask<ListReply>(make_call(Op::kList, {request.folder}, request));
}

Answer<StatfsReply> RemoteClient::statfs() {
  return ask<StatfsReply>(make_call(Op::kStatfs, {}, NodeRequest{kRootNode}));
}

NodeId RemoteClient::number_for(const RemotePlace& place, const Attributes& is) {
  const NodeId node = book_.next_id();
  book_.enter(node, place.folder, place.name, is, /*is_bound=*/false);
  return node;
}

void RemoteClient::drop(NodeId node) {
  if (node == kRootNode || node == kNoNode) return;
  book_.drop(node);
  ForgetRequest request{book_.take_forgotten(kNodesPerRequestMax)};
  if (request.nodes.empty()) return;
  request.nodes.resize(std::min(request.nodes.size(), kNodesPerRequestMax));
  (void)ask<EmptyMessage>(make_call(Op::kForget, {}, request));  // nothing depends on it
}

// ---- Changes ----------------------------------------------------------------------------------

template <class Request>
Answer<EntryReply> RemoteClient::make(Op op, Request request) {
  Call call = make_call(op, {request.parent}, request);
  return answer_call<EntryReply>(link_, std::move(call),
                                 [this, parent = request.parent, name = request.name,
                                  node = request.node](const InFrame& frame) {
                                   auto reply = message_of<EntryReply>(frame);
                                   if (reply)
                                     book_.enter(node, parent, name, reply->attributes,
                                                 /*is_bound=*/true);
                                   return reply;
                                 });
}

Answer<EntryReply> RemoteClient::create(RemotePlace place, NodeId node, std::uint32_t mode) {
  return make(Op::kCreate,
              CreateRequest{place.folder, std::move(place.name), node, mode, this_user()});
}

Answer<EntryReply> RemoteClient::mkdir(RemotePlace place, NodeId node, std::uint32_t mode) {
  return make(Op::kMkdir,
              MkdirRequest{place.folder, std::move(place.name), node, mode, this_user()});
}

Answer<EntryReply> RemoteClient::symlink(RemotePlace place, NodeId node, std::string target) {
  return make(Op::kSymlink, SymlinkRequest{place.folder, std::move(place.name), node,
                                           std::move(target), this_user()});
}

Answer<RemoveReply> RemoteClient::unlink(RemotePlace place) {
  return ask<RemoveReply>(make_call(Op::kUnlink, {place.folder},
                                    UnlinkRequest{place.folder, std::move(place.name), false}));
}

Answer<RemoveReply> RemoteClient::rmdir(RemotePlace place) {
  return ask<RemoveReply>(
      make_call(Op::kRmdir, {place.folder}, RmdirRequest{place.folder, std::move(place.name)}));
}

Answer<RenameReply> RemoteClient::rename(RemotePlace from, RemotePlace to, RenameMode mode,
                                         NodeId moved, std::uint64_t session) {
  Call call = make_call(Op::kRename, {from.folder, to.folder},
                        RenameRequest{from.folder, std::move(from.name), to.folder, to.name, mode,
                                      /*keep=*/false});
  call.session = session;
  return answer_call<RenameReply>(link_, std::move(call),
                                  [this, moved, to = std::move(to)](const InFrame& frame) {
                                    auto reply = message_of<RenameReply>(frame);
                                    if (reply) book_.move(moved, to.folder, to.name);
                                    return reply;
                                  });
}

Answer<ChangeReply> RemoteClient::setattr(SetattrRequest request) {
  return ask<ChangeReply>(make_call(Op::kSetattr, {request.node}, request));
}

Answer<CopyReply> RemoteClient::copy(CopyRequest request) {
  return ask<CopyReply>(make_call(Op::kCopy, {request.source, request.target}, request));
}

Answer<LockReply> RemoteClient::lock(NodeId node, bool is_locked) {
  const LockRequest request{.node = node,
                            .kind = LockKind::kWhole,
                            .type = is_locked ? LockType::kExclusive : LockType::kNone,
                            .owner = number_of(node),
                            .end = kLockEndMax,
                            .id = ++last_lock_id_};
  return ask<LockReply>(make_call(Op::kLock, {node}, request));
}

// ---- Events -----------------------------------------------------------------------------------

void RemoteClient::on_mode(bool, std::move_only_function<void()> acknowledge) { acknowledge(); }

void RemoteClient::on_changed(ChangedEvent, std::move_only_function<void()> acknowledge) {
  acknowledge();
}

}  // namespace homefs
