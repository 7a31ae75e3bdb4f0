// The contents of files: every block is verified on arrival, at either end.
#include <algorithm>
#include <memory>

#include "fusefs/remote/answer_call.h"
#include "fusefs/remote/remote_client.h"
#include "protocol/block_md5.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::size_t kSmallBytes = 64 * 1024;  // takes the control lane

Lane lane_of_bytes(std::size_t bytes) {
  return bytes <= kSmallBytes ? Lane::kControl : Lane::kBulk;
}

// One piece of a file that is asked for until it comes undamaged.
struct Reading {
  Link& link;
  ReadRequest request;
  std::promise<Result<ReadData>> done;
  int attempt = 1;
};

Result<ReadData> data_of(const InFrame& reply, const ReadRequest& request) {
  ByteReader in(reply.bytes());
  const Result<ReadReply> message = decode<ReadReply>(in);
  if (!message) return std::unexpected(message.error());
  const std::span<const std::byte> data = in.rest();
  if (data.size() > request.length ||
      message->digests.size() != piece_count(request.offset, data.size())) {
    return fail(Status::kProtocolError, "read answered with another length than asked");
  }
  if (!md5_pieces_equal(request.offset, data, message->digests, nullptr)) {
    return fail(Status::kBlockMismatch);
  }
  return ReadData{.size = message->size, .data = Slice{reply.body, data}};
}

void ask_for(std::shared_ptr<Reading> reading) {
  Call call = make_call(Op::kRead, {reading->request.node}, reading->request);
  call.lane = lane_of_bytes(reading->request.length);
  Link& link = reading->link;
  (void)link.send(std::move(call), [reading = std::move(reading)](Result<InFrame> reply) mutable {
    if (!reply) return reading->done.set_value(std::unexpected(std::move(reply.error())));
    Result<ReadData> data = data_of(*reply, reading->request);
    if (!data && data.error().status == Status::kBlockMismatch) {
      const int attempt = reading->attempt++;
      reading->link.note_damaged_block(reading->request.node, reading->request.offset, attempt);
      if (attempt <= kBlockRetriesMax) return ask_for(std::move(reading));
      data = fail(Status::kIoError, "a block came damaged again and again");
    }
    reading->done.set_value(std::move(data));
  });
}

Result<Slice> small_file_of(const ReadManyFile& file, const SharedBuffer& body,
                            std::span<const std::byte> bytes) {
  const auto status = static_cast<Status>(file.status);
  if (status != Status::kOk) return fail(status);
  const bool is_whole = bytes.size() == file.size && file.bytes == file.size &&
                        file.digests.size() == piece_count(0, bytes.size());
  // Not whole, or damaged: it is asked for alone, where the attempts are counted.
  if (!is_whole || !md5_pieces_equal(0, bytes, file.digests, nullptr)) {
    return fail(Status::kWouldBlock);
  }
  return Slice{body, bytes};
}

}  // namespace

Answer<ChangeReply> RemoteClient::write(NodeId node, std::uint64_t offset, Slice data,
                                        std::span<const Md5Digest> digests) {
  WriteRequest request{.node = node, .offset = offset};
  request.digests.assign(digests.begin(), digests.end());
  if (digests.empty()) {
    request.digests.resize(piece_count(offset, data.bytes.size()));
    md5_pieces(offset, data.bytes, request.digests);
  }
  Call call = make_call(Op::kWrite, {node}, request);
  call.lane = Lane::kBulk;
  call.payload.push_back(std::move(data));
  return answer_call<ChangeReply>(
      link_, std::move(call), [](const InFrame& frame) { return message_of<ChangeReply>(frame); });
}

Answer<AppendReply> RemoteClient::append(NodeId node, Slice data) {
  AppendRequest request{.node = node};
  request.digests.resize(piece_count(0, data.bytes.size()));
  md5_pieces(0, data.bytes, request.digests);
  Call call = make_call(Op::kAppend, {node}, request);
  call.payload.push_back(std::move(data));
  return answer_call<AppendReply>(
      link_, std::move(call), [](const InFrame& frame) { return message_of<AppendReply>(frame); });
}

Answer<ReadData> RemoteClient::read(NodeId node, std::uint64_t offset, std::uint32_t length) {
  auto reading = std::make_shared<Reading>(link_, ReadRequest{node, offset, length});
  Answer<ReadData> answer(reading->done.get_future());
  ask_for(std::move(reading));
  return answer;
}

Answer<std::vector<SmallFileData>> RemoteClient::read_many(std::vector<NodeId> nodes,
                                                           std::uint32_t bytes_each) {
  ReadManyRequest request{.nodes = std::move(nodes), .bytes_each = bytes_each};
  Call call = make_call(Op::kReadMany, request.nodes, request);
  call.lane = Lane::kBulk;
  return answer_call<std::vector<SmallFileData>>(
      link_, std::move(call),
      [asked =
           std::move(request.nodes)](const InFrame& frame) -> Result<std::vector<SmallFileData>> {
        ByteReader in(frame.bytes());
        const Result<ReadManyReply> message = decode<ReadManyReply>(in);
        if (!message) return std::unexpected(message.error());
        if (message->files.size() != asked.size()) return fail(Status::kProtocolError);
        std::vector<SmallFileData> files;
        for (std::size_t i = 0; i < asked.size(); ++i) {
          const ReadManyFile& file = message->files[i];
          const auto bytes = in.get_bytes(file.bytes);
          files.push_back({asked[i], small_file_of(file, frame.body, bytes)});
        }
        return files;
      });
}

Answer<DigestReply> RemoteClient::digest(DigestRequest request) {
  Call call = make_call(Op::kDigest, {request.node}, request);
  call.lane = Lane::kBulk;
  return answer_call<DigestReply>(
      link_, std::move(call), [](const InFrame& frame) { return message_of<DigestReply>(frame); });
}

}  // namespace homefs
