// Reads: from what was fetched ahead, or from the server; every block is verified before use.
#include <algorithm>

#include "fusefs/file_system.h"
#include "protocol/block_md5.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::uint64_t kSmallFetchBytes = 64 * 1024;  // takes the control lane
// A scan over a folder's files: so many are asked for in one request, of so many bytes in all.
constexpr std::size_t kSmallFilesAhead = 64;
constexpr std::uint64_t kSmallFilesBytes = 768 * 1024;

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

Task<Result<std::vector<Slice>>> FileSystem::read(std::uint64_t handle, std::uint64_t offset,
                                                  std::uint32_t length) {
  while (true) {
    NodeId id{};
    bool is_dirty = false;
    std::vector<ReadCache::Fetch> fetches;
    std::string started_path;
    std::uint64_t size = 0;
    std::uint64_t count = 0;
    {
      auto state = state_.lock();
      const auto found = state->files.find(handle);
      if (found == state->files.end()) co_return fail(Status::kInvalid);
      OpenFile& file = found->second;
      id = file.node;
      Node* node = state->nodes.find(id);
      size = effective(*node).size;
      if (offset >= size || length == 0) co_return std::vector<Slice>();
      count = std::min<std::uint64_t>(length, size - offset);
      FileData& data = data_of(*node);
      is_dirty = data.writes.is_dirty();
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

// ---- Many small files ---------------------------------------------------------------------------

std::vector<FileSystem::SmallFile> FileSystem::plan_small_files(ClientState& state, Node& opened) {
  std::vector<SmallFile> files;
  Node* parent = state.nodes.find(opened.parent);
  if (parent == nullptr || parent->folder == nullptr || !parent->folder->is_complete) return files;
  Folder& folder = *parent->folder;
  const std::size_t position = folder.position_of(opened.attributes.inode, state.nodes);
  if (!folder.is_scan(position)) return files;

  std::uint64_t bytes = 0;
  while (folder.next_ahead < folder.order.size() && files.size() < kSmallFilesAhead) {
    Node* node = state.nodes.find(folder.order[folder.next_ahead]);
    ++folder.next_ahead;
    if (node == nullptr || !node->is_regular() || !node->has_attributes || node->is_dirty()) {
      continue;
    }
    const std::uint64_t size = node->attributes.size;
    const bool is_known = node->kernel_version == node->attributes.version;
    if (size == 0 || size > ReadCache::kWholeFileBytes || is_known) continue;
    FileData& data = data_of(*node);
    if (!data.reads.is_empty()) continue;
    if (bytes + size > kSmallFilesBytes && !files.empty()) {
      --folder.next_ahead;
      break;
    }
    ReadStream whole;
    const auto fetches = data.reads.plan(whole, 0, size, size, false);
    HOMEFS_CHECK(fetches.size() == 1);
    files.push_back({node->id, fetches.front()});
    bytes += size;
    state.prefetched.push_back(node->id);
    state.prefetched_bytes += size;
  }
  WakeList nobody;  // files that nobody has opened have no waiters
  drop_prefetched(state, nobody);
  return files;
}

void FileSystem::drop_prefetched(ClientState& state, WakeList& wake) {
  while (state.prefetched_bytes > options_.prefetched_bytes_max && !state.prefetched.empty()) {
    const NodeId id = state.prefetched.front();
    state.prefetched.pop_front();
    Node* node = state.nodes.find(id);
    if (node == nullptr) continue;
    state.prefetched_bytes -=
        std::min<std::uint64_t>(state.prefetched_bytes, node->attributes.size);
    if (node->opens > 0 || node->data == nullptr || node->is_dirty()) continue;
    std::ranges::move(node->data->reads.clear(), std::back_inserter(wake));
    node->data.reset();
  }
  if (state.prefetched.empty()) state.prefetched_bytes = 0;
}

void FileSystem::fetch_small_files(std::vector<SmallFile> files) {
  ReadManyRequest request{.bytes_each = ReadCache::kWholeFileBytes};
  for (const SmallFile& file : files) request.nodes.push_back(file.node);
  Call call = make_call(Op::kReadMany, request.nodes, request);
  call.lane = Lane::kBulk;
  (void)link_->send(std::move(call), [this, files = std::move(files)](Result<InFrame> reply) {
    fetched_small_files(files, std::move(reply));
  });
}

void FileSystem::fetched_small_files(const std::vector<SmallFile>& files, Result<InFrame> reply) {
  ByteReader in(reply ? reply->bytes() : std::span<const std::byte>());
  Result<ReadManyReply> message =
      reply ? decode<ReadManyReply>(in) : Result<ReadManyReply>(std::unexpected(reply.error()));
  for (std::size_t i = 0; i < files.size(); ++i) {
    // Whatever is missing, or damaged, is fetched on its own when somebody waits for it.
    Result<Slice> data = fail(Status::kWouldBlock);
    if (message && i < message->files.size() && message->files[i].node == files[i].node) {
      const ReadManyFile& file = message->files[i];
      const std::span<const std::byte> bytes = in.get_bytes(file.bytes);
      const bool is_whole = file.status == static_cast<std::uint16_t>(Status::kOk) &&
                            bytes.size() == files[i].fetch.length &&
                            file.digests.size() == piece_count(0, bytes.size());
      if (is_whole && md5_pieces_equal(0, bytes, file.digests, nullptr)) {
        data = Slice{reply->body, bytes};
      } else if (is_whole) {
        tell_damage(files[i].node, 0, /*attempt=*/1);
      }
    }
    end_fetch(files[i].node, files[i].fetch, std::move(data));
  }
}

}  // namespace homefs
