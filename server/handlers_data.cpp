#include <algorithm>
#include <optional>
#include <utility>

#include "protocol/block.h"
#include "protocol/block_md5.h"
#include "server/handlers.h"

namespace homefs::handlers {
namespace {

std::vector<Md5Digest> digests_of(std::uint64_t offset, Payload data) {
  std::vector<Md5Digest> digests(piece_count(offset, data.size()));
  md5_pieces(offset, data, digests);
  return digests;
}

// Whether the data of a WRITE or APPEND arrived as it was sent.
Result<void> check_data(std::uint64_t offset, Payload data, std::span<const Md5Digest> digests) {
  if (data.empty() || data.size() > kPayloadBytesMax) {
    return fail(Status::kProtocolError, "1 byte to 1 MiB of data are expected");
  }
  if (digests.size() != piece_count(offset, data.size())) {
    return fail(Status::kProtocolError, "wrong number of digests");
  }
  std::size_t first_bad = 0;
  if (!md5_pieces_equal(offset, data, digests, &first_bad)) {
    return fail(Status::kBlockMismatch, "piece " + std::to_string(first_bad));
  }
  return {};
}

Reply change_reply(HandlerContext& context, const Result<Attributes>& attributes) {
  if (!attributes) return error_reply(attributes.error());
  return reply_with(ChangeReply{.attributes = *attributes, .grant = context.grant.state()});
}

}  // namespace

Reply read(HandlerContext& context, const ReadRequest& request) {
  if (request.length > kPayloadBytesMax) {
    return error_reply({.status = Status::kProtocolError, .context = "length over 1 MiB"});
  }
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  auto result = context.home.read(*inode, request.offset, request.length);
  if (!result) return error_reply(result.error());
  Reply reply = reply_with(ReadReply{.version = result->version,
                                     .size = result->size,
                                     .digests = digests_of(request.offset, result->data.bytes)});
  if (!result->data.bytes.empty()) reply.payload = {std::move(result->data)};
  return reply;
}

namespace {

// One file of a READ_MANY. `left`: what the answer still has room for.
ReadManyFile read_whole(HandlerContext& context, NodeId node, std::size_t bytes_each,
                        std::size_t left, std::vector<Slice>& payload) {
  ReadManyFile file{.node = node, .status = static_cast<std::uint16_t>(Status::kOk)};
  const auto failed = [&file](const Error& error) {
    file.status = static_cast<std::uint16_t>(error.status);
    return file;
  };
  const auto inode = context.nodes.find(node);
  if (!inode) return failed(inode.error());
  const auto attributes = context.home.getattr(*inode);
  if (!attributes) return failed(attributes.error());
  file.version = attributes->version;
  file.size = attributes->size;
  if (attributes->size > bytes_each) return file;
  if (attributes->size > left) {
    file.status = static_cast<std::uint16_t>(Status::kWouldBlock);
    return file;
  }
  auto data = context.home.read(*inode, 0, attributes->size);
  if (!data) return failed(data.error());
  file.version = data->version;
  file.size = data->size;
  file.bytes = static_cast<std::uint32_t>(data->data.bytes.size());
  // It grew between the two looks: what was read is not the whole file, and is of no use.
  if (file.bytes < file.size) {
    file.bytes = 0;
    return file;
  }
  file.digests = digests_of(0, data->data.bytes);
  if (file.bytes > 0) payload.push_back(std::move(data->data));
  return file;
}

}  // namespace

Reply read_many(HandlerContext& context, const ReadManyRequest& request) {
  if (request.nodes.size() > kNodesPerRequestMax || request.bytes_each > kPayloadBytesMax) {
    return error_reply({.status = Status::kProtocolError, .context = "too much asked for"});
  }
  // What the fields of the answer take: 34 bytes a file, a digest a piece, and the counts.
  const std::size_t fields = request.nodes.size() * (64 + sizeof(Md5Digest)) + 1024;
  std::size_t left = std::min(kPayloadBytesMax, kBodyBytesMax - fields);
  // A file that fits into no answer beside the others is read by itself.
  const std::size_t bytes_each = std::min<std::size_t>(request.bytes_each, left);
  ReadManyReply message;
  std::vector<Slice> payload;
  for (const NodeId node : request.nodes) {
    ReadManyFile file = read_whole(context, node, bytes_each, left, payload);
    left -= file.bytes;
    message.files.push_back(std::move(file));
  }
  Reply reply = reply_with(message);
  reply.payload = std::move(payload);
  return reply;
}

namespace {

bool is_valid(const std::vector<SetattrRequest>& then, NodeId node) {
  constexpr std::uint32_t kAllowed = kSetBitsAll & ~std::uint32_t{kSetSize};
  return then.empty() ||
         (then.size() == 1 && then[0].node == node && (then[0].which & ~kAllowed) == 0);
}

// What is left of a write that was done before: nothing of its data is written again, as others may
// have written there since.
Reply write_again(HandlerContext& context, const WriteTurn& turn, const InodeRef& inode,
                  const WriteRequest& request, WriteLog::Outcome earlier) {
  if (!is_success(earlier.status)) {
    return error_reply({earlier.status, "as it was answered before"});
  }
  auto attributes = context.home.getattr(inode);
  if (!attributes) return error_reply(attributes.error());
  context.touched.data(inode, attributes->size);  // the others may not have been told of it
  if (!earlier.is_all && !request.then.empty()) {
    attributes = context.home.setattr(context.actor(), inode, request.then.front());
    turn.finish(attributes ? Status::kOk : attributes.error().status);
  }
  return change_reply(context, attributes);
}

}  // namespace

Reply write(HandlerContext& context, const WriteRequest& request, Payload data) {
  if (!is_valid(request.then, request.node)) {
    return error_reply({.status = Status::kProtocolError, .context = "unknown change of a write"});
  }
  if (auto done = check_data(request.offset, data, request.digests); !done) {
    return error_reply(done.error());
  }
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  std::optional<WriteTurn> turn;
  if (context.number != 0) turn.emplace(*context.writes, context.number, !request.then.empty());
  if (const auto earlier = turn ? turn->earlier() : std::nullopt) {
    return write_again(context, *turn, *inode, request, *earlier);
  }
  const Actor actor = context.writer(turn ? &*turn : nullptr, request);
  auto attributes =
      request.page_order <= kBufferedWrite
          ? context.home.write(actor, *inode, request.offset, data)
          : context.home.write_back(actor, *inode, request.offset, data, request.page_order);
  if (attributes && !request.then.empty()) {
    attributes = context.home.setattr(context.actor(), *inode, request.then.front());
    if (turn) turn->finish(attributes ? Status::kOk : attributes.error().status);
  }
  return change_reply(context, attributes);
}

Reply append(HandlerContext& context, const AppendRequest& request, Payload data) {
  if (auto done = check_data(0, data, request.digests); !done) return error_reply(done.error());
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto result =
      context.home.append(context.actor(Caller{}, request.from_grant), *inode, data);
  if (!result) return error_reply(result.error());
  return reply_with(AppendReply{
      .offset = result->offset, .attributes = result->attributes, .grant = context.grant.state()});
}

Reply copy(HandlerContext& context, const CopyRequest& request) {
  if (request.length > kCopyBytesMax) {
    return error_reply({.status = Status::kProtocolError, .context = "copy over its limit"});
  }
  const auto source = context.nodes.find(request.source);
  if (!source) return error_reply(source.error());
  const auto target = context.nodes.find(request.target);
  if (!target) return error_reply(target.error());
  const auto result =
      context.home.copy(context.actor(Caller{}, request.from_grant), *source, *target,
                        {.source_offset = request.source_offset,
                         .target_offset = request.target_offset,
                         .length = request.length});
  if (!result) return error_reply(result.error());
  return reply_with(CopyReply{.length = result->length,
                              .attributes = result->attributes,
                              .grant = context.grant.state()},
                    Status::kCopied);
}

Reply fallocate(HandlerContext& context, const FallocateRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  return change_reply(context, context.home.fallocate(context.actor(Caller{}, request.from_grant),
                                                      *inode, request));
}

Reply seek(HandlerContext& context, const SeekRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto offset = context.home.seek(*inode, request.offset, request.whence);
  if (!offset) return error_reply(offset.error());
  return reply_with(SeekReply{.offset = *offset});
}

Reply fsync(HandlerContext& context, const FsyncRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  // An error is told once; the reply that told it may have been lost.
  const auto earlier = context.number != 0 ? context.writes->find(context.number) : std::nullopt;
  if (earlier) return error_reply({earlier->status, "as it was answered before"});
  auto done = context.home.fsync(*inode, request.data_only);
  if (done && !request.data_only) done = context.home.settle(context.sync_debt);
  const std::optional<Status> failure = context.nodes.take_sync_failure(request.node);
  if (done && failure) done = fail(*failure, "an earlier sync of it has failed");
  if (done) return reply_with(EmptyMessage{});
  if (context.number != 0) context.writes->note(context.number, {.status = done.error().status});
  return error_reply(done.error());
}

Reply digest(HandlerContext& context, const DigestRequest& request) {
  const auto inode = context.nodes.find(request.node);
  if (!inode) return error_reply(inode.error());
  const auto message = context.home.digest(*inode, request, context.is_cancelled);
  if (!message) return error_reply(message.error());
  return reply_with(*message);
}

}  // namespace homefs::handlers
