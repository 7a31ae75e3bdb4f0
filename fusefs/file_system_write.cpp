// Write-behind: a write is answered once it is buffered within the quota's grant, and sent in the
// background, hashed; errors stay on the file until write, fsync or close reports them.
#include "fusefs/file_system.h"
#include "fusefs/wall_clock.h"
#include "protocol/block_md5.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

// Up to here a write is hashed and sent by the thread that brought it, and takes the control lane;
// above, the copy, the hash and the encryption (0.1 ms and more) go to an io thread.
constexpr std::size_t kSmallWriteBytes = 64 * 1024;
// A file up to this size is kept when it was written, until somebody has read it.
constexpr std::size_t kKeptBytesMax = 64 * 1024;
// Writes up to here are copied into a buffer that later ones can join.
constexpr std::size_t kJoinableBytes = 128 * 1024;

// A copy of `bytes` in a buffer of its own.
Slice joinable_copy(std::span<const std::byte> bytes) {
  auto buffer = std::make_shared<Buffer>(bytes.size());
  std::ranges::copy(bytes, buffer->writable().begin());
  return slice_of(buffer);
}

}  // namespace

Task<> FileSystem::room_for(NodeId id) {
  Completion<bool> waiting([this, id](Completion<bool>::Done done) {
    {
      auto state = state_.lock();
      const Node* node = state->nodes.find(id);
      const bool is_full = state->dirty_bytes >= options_.dirty_bytes_max ||
                           (node != nullptr && node->data != nullptr &&
                            node->data->writes.bytes() >= options_.dirty_bytes_per_file_max);
      if (is_full) {
        state->room_waiters.push_back([done = std::exchange(done, {})]() mutable { done(true); });
      }
    }
    if (done) return done(true);
    send_held_writes();  // what is held back makes no room by itself
  });
  (void)co_await waiting;
}

Task<Result<>> FileSystem::write(NodeId id, std::uint64_t offset, Slice data) {
  const std::size_t count = data.bytes.size();
  if (count == 0) co_return Result<>();
  const std::uint64_t end = offset + count;
  const bool is_small = count <= kJoinableBytes;
  co_await room_for(id);
  if (has_deferred_change(id)) co_await drained(id);  // it is the older one
  if (Result<> earlier = take_error(id); !earlier) co_return earlier;

  std::string started_path;
  std::uint64_t started_bytes = 0;
  bool must_wait = false;
  std::uint64_t growth = 0;
  WakeList wake;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr) co_return fail(Status::kStale);
    FileData& file = data_of(*node);
    const std::uint64_t size = effective(*node).size;
    growth = end > size ? end - size : 0;
    // Shared: the other mounts see it from when the call returns.
    must_wait = state->is_shared || !state->grant.covers(growth);
    state->grant.take(growth);
    state->dirty_bytes += count;
    file.last_write = wall_clock_now();
    file.was_closed = false;
    if (!file.reads.is_empty()) wake = file.reads.clear();
    if (!file.is_streaming_up) {
      file.is_streaming_up = true;
      started_path = path_of(*state, *node);
      started_bytes = end;
    }
    if (!must_wait) {
      const bool is_joined = is_small && file.writes.join(offset, data.bytes, growth);
      if (!is_joined) {
        // A small write would hold a whole request's buffer (1 MiB): copy it out.
        file.writes.push(offset, is_small ? joinable_copy(data.bytes) : std::move(data), growth,
                         is_small);
        if (file.writes.is_holding()) state->held.push_back(id);
      }
    }
  }
  wake_all(std::move(wake));
  if (!started_path.empty()) {
    transfers_->on_started(id, TransferDirection::kUp, started_path, started_bytes);
  }
  if (!must_wait) co_return Result<>();

  // Over the grant: the server decides, and write(2) hears of it. `data` was not moved then.
  // NOLINTNEXTLINE(bugprone-use-after-move)
  Completion<Result<>> waiting([&](Completion<Result<>>::Done done) {
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      HOMEFS_CHECK(node != nullptr);
      WriteSegment& segment = data_of(*node).writes.push(
          offset, is_small ? joinable_copy(data.bytes) : std::move(data), growth, false);
      segment.waiters.push_back(std::move(done));
    }
    send_writes(id);
  });
  co_return co_await waiting;
}

Task<Result<>> FileSystem::append(NodeId id, std::uint64_t offset, Slice data) {
  if (data.bytes.empty() || !state_.lock()->is_shared) {
    co_return co_await write(id, offset, std::move(data));
  }
  Result<> flushed = co_await flush(id);
  if (!flushed) co_return flushed;
  AppendRequest request{.node = id};
  request.digests.resize(piece_count(0, data.bytes.size()));
  md5_pieces(0, data.bytes, request.digests);
  Call call = make_call(Op::kAppend, {id}, request);
  call.payload.push_back(std::move(data));
  if (Result<> held = locks_.guard(id, call); !held) co_return held;
  Result<AppendReply> reply = co_await ask<AppendReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  changed(id, ChangeReply{reply->attributes, reply->grant});
  wake_all(drop_read_data(id));
  notifier_->invalidate_data(id);  // it is not where the kernel believes
  co_return Result<>();
}

void FileSystem::send_writes(NodeId id) {
  while (true) {
    std::optional<WriteQueue::Outgoing> segment;
    std::optional<SetattrRequest> then;
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      if (node == nullptr || node->data == nullptr) return;
      segment = node->data->writes.next_to_send();
      if (segment && segment->is_alone) then = node->data->change.begin_sending();
    }
    if (!segment) return;
    if (segment->data.bytes.size() <= kSmallWriteBytes) {
      send_segment(id, std::move(*segment), then);
    } else {
      post_([this, id, segment = std::move(*segment), then]() mutable {
        send_segment(id, std::move(segment), then);
      });
    }
  }
}

void FileSystem::send_held_writes() {
  std::vector<NodeId> held;
  {
    auto state = state_.lock();
    held.swap(state->held);
    for (const NodeId id : held) {
      Node* node = state->nodes.find(id);
      if (node != nullptr && node->data != nullptr) node->data->writes.stop_holding();
    }
  }
  for (const NodeId id : held) {
    if (has_deferred_change(id)) {
      background_.spawn(drained(id));
    } else {
      send_writes(id);
    }
  }
}

void FileSystem::send_segment(NodeId id, WriteQueue::Outgoing segment,
                              const std::optional<SetattrRequest>& then) {
  const std::size_t bytes = segment.data.bytes.size();
  WriteRequest request{.node = id, .offset = segment.offset};
  request.digests.resize(piece_count(segment.offset, bytes));
  md5_pieces(segment.offset, segment.data.bytes, request.digests);
  if (then) request.then.push_back(*then);
  Call call = make_call(Op::kWrite, {id}, request);
  call.lane = bytes <= kSmallWriteBytes ? Lane::kControl : Lane::kBulk;
  call.payload.push_back(std::move(segment.data));
  const SentWrite sent{segment.number, bytes, then.has_value()};
  if (Result<> held = locks_.guard(id, call); !held) {
    // Later: written() sends what comes next.
    post_([this, id, sent, error = std::move(held.error())]() mutable {
      written(id, sent, std::unexpected(std::move(error)));
    });
    return;
  }
  (void)link_->send(std::move(call), [this, id, sent](Result<InFrame> reply) {
    written(id, sent, std::move(reply));
  });
}

// What is written is often read next (git, a compiler and its linker), and of a small file the
// kernel's pages keep nothing: a page that was not written whole it asks for.
void FileSystem::keep_written(ClientState& state, Node& node, const WriteQueue::Finished& finished,
                              WakeList& wake) {
  const std::size_t size = finished.data.bytes.size();
  const bool is_whole =
      finished.offset == 0 && size == node.attributes.size && !node.data->writes.is_dirty();
  const bool is_ours =
      !state.is_shared && node.has_attributes && node.kernel_version == node.attributes.version;
  if (!is_whole || !is_ours || size > kKeptBytesMax || !node.data->reads.is_empty()) return;
  node.data->reads.put_whole(finished.data);
  node.data->keeps_written = true;
  state.prefetched.push_back(node.id);
  state.prefetched_bytes += size;
  drop_prefetched(state, wake);
}

void FileSystem::written(NodeId id, const SentWrite& sent, Result<InFrame> reply) {
  Result<ChangeReply> change =
      reply ? message_of<ChangeReply>(*reply) : Result<ChangeReply>(std::unexpected(reply.error()));
  const Result<> result = change ? Result<>() : std::unexpected(change.error());
  if (change) changed(id, *change);
  WakeList wake;
  bool is_failed_now = false;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    HOMEFS_CHECK(node != nullptr);  // dirty nodes are kept
    WriteQueue::Finished finished = node->data->writes.finish(sent.number, result);
    if (sent.has_change) wake = node->data->change.finish();
    state->grant.settle(finished.growth);
    state->dirty_bytes -= finished.data.bytes.size();
    if (result) keep_written(*state, *node, finished, wake);
    std::ranges::move(finished.wake, std::back_inserter(wake));
    std::ranges::move(std::exchange(state->room_waiters, {}), std::back_inserter(wake));
    if (!result) {
      // Size, times and contents did not become what we assumed, and the kernel has.
      node->has_attributes = false;
      node->kernel_version = 0;
      // Told of once; also after the last close, which believed that all was well.
      is_failed_now = std::exchange(node->data->is_streaming_up, false) || node->opens == 0;
    }
    if (!node->is_dirty() && node->opens == 0) state->nodes.remove_if_unused(id);
  }
  if (result) {
    transfers_->on_verified(id, TransferDirection::kUp, sent.bytes);
  } else if (is_failed_now) {
    transfers_->on_finished(id, TransferDirection::kUp, result);
  }
  if (!result) notifier_->invalidate_data(id);
  wake_all(std::move(wake));
  send_writes(id);
}

}  // namespace homefs
