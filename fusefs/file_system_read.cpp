// Reads: from what was fetched ahead, or from the server; every block is verified before use.
#include <algorithm>

#include "fusefs/file_system.h"
#include "protocol/block_md5.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::uint64_t kSmallFetchBytes = 64 * 1024;  // takes the control lane

// The data of a READ reply, verified; kBlockMismatch when a block does not fit its digest.
Result<Slice> verified(const InFrame& reply, std::uint64_t offset, std::size_t asked) {
  ByteReader in(reply.bytes());
  Result<ReadReply> message = decode<ReadReply>(in);
  if (!message) return std::unexpected(message.error());
  const std::span<const std::byte> data = in.rest();
  if (data.size() > asked || message->digests.size() != piece_count(offset, data.size())) {
    return fail(Status::kProtocolError, "read answered with another length than asked");
  }
  if (!md5_pieces_equal(offset, data, message->digests, nullptr))
    return fail(Status::kBlockMismatch);
  return Slice{reply.body, data};
}

}  // namespace

Task<Result<FileSystem::SizedFile>> FileSystem::file_to_read(std::uint64_t handle) {
  NodeId id{};
  {
    auto state = state_.lock();
    const auto found = state->files.find(handle);
    if (found == state->files.end()) co_return fail(Status::kInvalid);
    id = found->second.node;
    const Node* node = state->nodes.find(id);
    if (node->has_attributes) co_return SizedFile{id, effective(*node).size};
  }
  Result<AttributesOut> now = co_await getattr(id);  // another session is changing it
  if (!now) co_return std::unexpected(now.error());
  co_return SizedFile{id, now->attributes.size};
}

Task<Result<std::vector<Slice>>> FileSystem::read(std::uint64_t handle, std::uint64_t offset,
                                                  std::uint32_t length) {
  while (true) {
    Result<SizedFile> sized = co_await file_to_read(handle);
    if (!sized) co_return std::unexpected(sized.error());
    const NodeId id = sized->node;
    const std::uint64_t size = sized->size;
    if (offset >= size || length == 0) co_return std::vector<Slice>();
    const std::uint64_t count = std::min<std::uint64_t>(length, size - offset);
    bool is_dirty = false;
    std::vector<ReadCache::Fetch> fetches;
    std::string started_path;
    {
      auto state = state_.lock();
      const auto found = state->files.find(handle);
      if (found == state->files.end()) co_return fail(Status::kInvalid);
      OpenFile& file = found->second;
      Node* node = state->nodes.find(id);
      FileData& data = data_of(*node);
      is_dirty = data.writes.is_dirty();
      data.keeps_written = false;
      if (!is_dirty) {
        const bool may_read_ahead = true;
        fetches = data.reads.plan(file.stream, offset, count, size, may_read_ahead);
        if (auto here = data.reads.collect(offset, count)) {
          const std::uint64_t passed =
              offset > ReadCache::kDisorderBytes ? offset - ReadCache::kDisorderBytes : 0;
          data.reads.drop_before(passed);
          for (const auto& ahead : fetches) post_([this, id, ahead] { fetch(id, ahead, 1); });
          co_return std::move(*here);
        }
        if (!data.is_streaming_down && size > ReadCache::kWholeFileBytes) {
          data.is_streaming_down = true;
          started_path = path_of(*state, *node);
        }
      }
    }
    if (is_dirty) {  // rare: the kernel's pages hold what was written
      co_await drained(id);
      continue;
    }
    if (!started_path.empty()) {
      transfers_->on_started(id, TransferDirection::kDown, started_path, size);
    }
    Completion<Result<>> waiting([&](Completion<Result<>>::Done done) {
      bool is_waiting = false;
      {
        auto state = state_.lock();
        Node* node = state->nodes.find(id);
        is_waiting = node->data != nullptr && node->data->reads.when_fetched(offset, count, done);
      }
      for (const ReadCache::Fetch& missing : fetches) fetch(id, missing, 1);
      if (!is_waiting) done({});
    });
    Result<> fetched = co_await waiting;
    // kWouldBlock: it was part of an answer that had no room for it. Look again.
    if (!fetched && fetched.error().status != Status::kWouldBlock) {
      co_return std::unexpected(fetched.error());
    }
  }
}

void FileSystem::fetch(NodeId id, ReadCache::Fetch wanted, int attempt) {
  Call call = make_call(Op::kRead, {id}, ReadRequest{id, wanted.offset, wanted.length});
  call.lane = wanted.length <= kSmallFetchBytes ? Lane::kControl : Lane::kBulk;
  (void)link_->send(std::move(call), [this, id, wanted, attempt](Result<InFrame> reply) {
    fetched(id, wanted, attempt, std::move(reply));
  });
}

void FileSystem::fetched(NodeId id, ReadCache::Fetch wanted, int attempt, Result<InFrame> reply) {
  Result<Slice> data = reply ? verified(*reply, wanted.offset, wanted.length)
                             : Result<Slice>(std::unexpected(reply.error()));
  if (!data && data.error().status == Status::kBlockMismatch) {
    tell_damage(id, wanted.offset, attempt);
    if (attempt <= kBlockRetriesMax) return fetch(id, wanted, attempt + 1);
  }
  if (data) transfers_->on_verified(id, TransferDirection::kDown, data->bytes.size());
  end_fetch(id, wanted, std::move(data));
}

void FileSystem::tell_damage(NodeId id, std::uint64_t offset, int attempt) {
  std::string path;
  {
    auto state = state_.lock();
    if (Node* node = state->nodes.find(id)) path = path_of(*state, *node);
  }
  link_->note_damaged_block(id, offset, attempt);
  transfers_->on_block_mismatch(path, TransferDirection::kDown, offset, attempt);
}

void FileSystem::end_fetch(NodeId id, const ReadCache::Fetch& wanted, Result<Slice> data) {
  WakeList wake;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr || node->data == nullptr) return;  // closed meanwhile
    wake = node->data->reads.complete(wanted, std::move(data));
  }
  wake_all(std::move(wake));
}

WakeList FileSystem::drop_read_data(NodeId id) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  return node == nullptr || node->data == nullptr ? WakeList() : node->data->reads.clear();
}

}  // namespace homefs
