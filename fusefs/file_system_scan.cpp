// Scans: the small files that a program will open next (see Scan) are fetched before they are asked
// for, many in one request.
#include "fusefs/file_system.h"
#include "protocol/block_md5.h"

namespace homefs {
namespace {

// Files that are kept for a first read: each costs some 500 bytes beside its data.
constexpr std::size_t kPrefetchedFilesMax = 4096;

}  // namespace

std::vector<FileSystem::SmallFile> FileSystem::begin_fetches(ClientState& state,
                                                             const std::vector<NodeId>& files) {
  std::vector<SmallFile> begun;
  for (const NodeId id : files) {
    Node& node = *state.nodes.find(id);
    const std::uint64_t size = node.attributes.size;
    ReadStream whole;
    ReadCache& reads = data_of(state, node).reads;
    if (!reads.is_empty()) continue;  // it is here, or being fetched
    const auto fetches = reads.plan(whole, 0, size, size, false);
    HOMEFS_CHECK(fetches.size() == 1);
    begun.push_back({id, fetches.front()});
  }
  WakeList nobody;  // files that nobody has opened have no waiters
  for (const SmallFile& file : begun) {
    add_prefetched(state, file.node, file.fetch.length, nobody);
  }
  return begun;
}

void FileSystem::add_prefetched(ClientState& state, NodeId node, std::size_t bytes,
                                WakeList& wake) {
  state.prefetched.push_back({node, bytes});
  state.prefetched_bytes += bytes;
  while (state.prefetched_bytes > options_.prefetched_bytes_max ||
         state.prefetched.size() > kPrefetchedFilesMax) {
    const Prefetched oldest = state.prefetched.front();
    state.prefetched.pop_front();
    state.prefetched_bytes -= oldest.bytes;
    Node* known = state.nodes.find(oldest.node);
    if (known == nullptr || known->data == nullptr) continue;
    known->data->keeps_written = false;
    if (known->opens > 0 || known->is_dirty()) continue;
    std::ranges::move(known->data->reads.clear(), std::back_inserter(wake));
    ++known->names;  // keeps it: a caller may be at it
    end_use(state, *known);
    --known->names;
  }
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
