// Reads: from what was fetched ahead, or from the server; every block is verified before use.
#include <algorithm>

#include "fusefs/file_system.h"
#include "protocol/block_md5.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::uint64_t kSmallFetchBytes = 64 * 1024;  // takes the control lane

Call read_of(NodeId id, std::uint64_t offset, std::uint64_t count) {
  Call call =
      make_call(Op::kRead, {id}, ReadRequest{id, offset, static_cast<std::uint32_t>(count)});
  call.lane = count <= kSmallFetchBytes ? Lane::kControl : Lane::kBulk;
  return call;
}

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
  // Another session is changing it. Not getattr(): the kernel waits for this with its pages locked.
  Result<AttributesOut> now = co_await attributes_now(id);
  if (!now) co_return std::unexpected(now.error());
  co_return SizedFile{id, now->attributes.size};
}

Result<FileSystem::ReadPlan> FileSystem::plan_read(std::uint64_t handle, const SizedFile& sized,
                                                   std::uint64_t offset, std::uint64_t count,
                                                   bool is_page) {
  auto state = state_.lock();
  const auto found = state->files.find(handle);
  if (found == state->files.end()) return fail(Status::kInvalid);
  const bool fills_pages = is_page || found->second.has_pages;
  Node* node = state->nodes.find(sized.node);
  FileData& data = data_of(*state, *node);
  ReadPlan plan{.is_dirty = data.writes.is_dirty()};
  data.keeps_written = false;
  use_pages(*node);
  node->has_read_pages |= fills_pages;
  plan.is_beside_writes =
      plan.is_dirty && state->is_shared && fills_pages && data.writes.is_awaited();
  if (plan.is_dirty) return plan;
  plan.fetches = data.reads.plan(found->second.stream, offset, count, sized.size, true);
  plan.here = data.reads.collect(
      offset, count, fills_pages ? ReadCache::Keep::kOnce : ReadCache::Keep::kUntilPassed);
  if (plan.here) {
    data.reads.drop_passed(found->second.stream, offset);
  } else if (!data.is_streaming_down && sized.size > ReadCache::kWholeFileBytes) {
    data.is_streaming_down = true;
    plan.started_path = path_of(*state, *node);
  }
  return plan;
}

Task<Result<>> FileSystem::fetch_planned(NodeId id, std::uint64_t offset, std::uint64_t count,
                                         std::vector<ReadCache::Fetch> fetches) {
  Completion<Result<>> waiting([&](Completion<Result<>>::Done done) {
    bool is_waiting = false;
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      // Null: its program was interrupted, and has closed the file.
      is_waiting = node != nullptr && node->data != nullptr &&
                   node->data->reads.when_fetched(offset, count, done);
    }
    for (const ReadCache::Fetch& missing : fetches) fetch(id, missing, 1);
    if (!is_waiting) done({});
  });
  co_return co_await waiting;
}

Task<Result<std::vector<Slice>>> FileSystem::read(std::uint64_t handle, std::uint64_t offset,
                                                  std::uint32_t length, bool is_page) {
  while (true) {
    const Result<SizedFile> sized = co_await file_to_read(handle);
    if (!sized) co_return std::unexpected(sized.error());
    const NodeId id = sized->node;
    if (offset >= sized->size || length == 0) co_return std::vector<Slice>();
    const std::uint64_t count = std::min<std::uint64_t>(length, sized->size - offset);
    Result<ReadPlan> plan = plan_read(handle, *sized, offset, count, is_page);
    if (!plan) co_return std::unexpected(plan.error());
    if (plan->is_beside_writes) {
      Result<std::vector<Slice>> now = co_await read_beside_writes(id, offset, count);
      co_return now;
    }
    if (plan->is_dirty) {  // rare: the kernel's pages hold what was written
      co_await drained(id);
      continue;
    }
    if (plan->here) {
      for (const auto& ahead : plan->fetches) post_([this, id, ahead] { fetch(id, ahead, 1); });
      co_return *std::move(plan->here);
    }
    if (!plan->started_path.empty()) {
      transfers_->on_started(id, TransferDirection::kDown, plan->started_path, sized->size);
    }
    const Result<> fetched = co_await fetch_planned(id, offset, count, std::move(plan->fetches));
    // kWouldBlock: it was part of an answer that had no room for it. Look again.
    if (!fetched && fetched.error().status != Status::kWouldBlock) {
      co_return std::unexpected(fetched.error());
    }
  }
}

// Of writes that no program has done yet it may show some and others not. It does not wait for
// them, since it holds a page: the answers to the writes wait for other mounts, and these for our
// pages where they have changed the file too. Nothing is kept: see end_passing().
Task<Result<std::vector<Slice>>> FileSystem::read_beside_writes(NodeId id, std::uint64_t offset,
                                                                std::uint64_t count) {
  for (int attempt = 1;; ++attempt) {
    auto waiting = link_->call(read_of(id, offset, count));
    const Result<InFrame> reply = co_await waiting;
    if (!reply) co_return std::unexpected(reply.error());
    Result<Slice> data = verified(*reply, offset, count);
    if (data) {
      transfers_->on_verified(id, TransferDirection::kDown, data->bytes.size());
      co_return std::vector<Slice>(1, *std::move(data));
    }
    if (data.error().status != Status::kBlockMismatch) co_return std::unexpected(data.error());
    tell_damage(id, offset, attempt);
    if (attempt > kBlockRetriesMax) co_return std::unexpected(data.error());
  }
}

void FileSystem::fetch(NodeId id, ReadCache::Fetch wanted, int attempt) {
  (void)link_->send(read_of(id, wanted.offset, wanted.length),
                    [this, id, wanted, attempt](Result<InFrame> reply) {
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

}  // namespace homefs
