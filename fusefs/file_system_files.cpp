// Open files: handles, and the operations that need a file's writes to be on the server first.
#include <fcntl.h>

#include <atomic>

#include "fusefs/file_system.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::uint64_t kBlockUnitBytes = 512;  // of Attributes::blocks, as of stat(2)

// Without a name, and the server has not kept it: see NodeCache::forget_inode().
bool is_gone(ClientState& state, const Node& node) {
  return node.attributes.links == 0 && state.nodes.find(node.attributes.inode) != &node;
}

}  // namespace

FileData& FileSystem::data_of(Node& node) {
  if (node.data == nullptr) node.data = std::make_unique<FileData>();
  return *node.data;
}

OpenOut FileSystem::open_node(ClientState& state, Node& node, int open_flags) {
  OpenOut out{.handle = state.next_handle++};
  const bool is_writable = (open_flags & O_ACCMODE) != O_RDONLY;
  state.files.emplace(out.handle, OpenFile{.node = node.id, .is_writable = is_writable});
  ++node.opens;
  // A write through the kernel's pages locks them until the server has answered, and the server's
  // answer waits for other mounts, which may wait for our pages.
  out.direct_io = state.is_shared && is_writable;
  out.has_locks = locks_.has_record_locks(node.id);
  // With writes under way the kernel's pages are newer than any version that the server told.
  out.keep_cache = node.is_dirty() || node.kernel_version == node.attributes.version;
  if (!out.keep_cache) node.kernel_version = node.attributes.version;
  return out;
}

Task<Result<OpenOut>> FileSystem::open(NodeId id, int open_flags) {
  if ((open_flags & O_TRUNC) != 0) {
    SetattrRequest truncate{.node = id, .which = kSetSize | kSetMtimeNow};
    Result<AttributesOut> done = co_await setattr(truncate);
    if (!done) co_return std::unexpected(done.error());
  }
  if (must_be_bound(id)) co_await bind(std::vector<NodeId>(1, id));
  Result<AttributesOut> current = co_await getattr(id);  // local unless another session changed it
  if (!current) co_return std::unexpected(current.error());
  std::vector<SmallFile> ahead;
  OpenOut out;
  bool is_open = false;
  while (!is_open) {
    // The server was asked to remove the file, not to keep it for somebody who has it open.
    co_await removal_end(id);
    auto state = state_.lock();
    if (state->removals.contains(id)) continue;
    Node* node = state->nodes.find(id);
    // The kernel looks the name up once more then.
    if (node == nullptr || is_gone(*state, *node)) co_return fail(Status::kStale);
    if ((open_flags & O_ACCMODE) == O_RDONLY) {
      ahead = begin_fetches(*state, state->scan.opened(state->nodes, *node));
    }
    out = open_node(*state, *node, open_flags);
    is_open = true;
  }
  if (!ahead.empty()) fetch_small_files(std::move(ahead));
  co_return out;
}

// While others have the home too, the server must know what is open here: a file that they remove
// lives on for us, and a folder is known to be gone.
bool FileSystem::must_be_bound(NodeId id) {
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  return state->is_shared && node != nullptr && !node->is_bound;
}

Task<> FileSystem::bind(std::vector<NodeId> nodes) {
  Completion<bool> all([&](Completion<bool>::Done done) {
    struct Countdown {
      std::atomic<std::size_t> left;
      Completion<bool>::Done done;
    };
    auto countdown = std::make_shared<Countdown>(nodes.size() + 1, std::move(done));
    const auto count = [](Countdown& c) {
      if (c.left.fetch_sub(1) == 1) c.done(true);
    };
    for (const NodeId id : nodes) {
      // Any request about it introduces it. A file that is gone shows when it is used.
      (void)link_->send(make_call(Op::kGetattr, {id}, NodeRequest{id}),
                        [countdown, count](const Result<InFrame>&) { count(*countdown); });
    }
    count(*countdown);
  });
  (void)co_await all;
}

std::vector<NodeId> FileSystem::open_nodes(ClientState& state) {
  std::vector<NodeId> open;
  state.nodes.for_each([&](const Node& node) {
    if (node.opens > 0 && !node.is_folder()) open.push_back(node.id);
  });
  for (const auto& [handle, folder] : state.folders) open.push_back(folder.listing->folder);
  return open;
}

void FileSystem::release(std::uint64_t handle) {
  NodeId id{};
  bool is_orphan = false;
  bool is_dirty = false;
  bool was_streaming_up = false;
  bool was_streaming_down = false;
  WakeList wake;
  {
    auto state = state_.lock();
    const auto found = state->files.find(handle);
    if (found == state->files.end()) return;
    id = found->second.node;
    state->files.erase(found);
    Node* node = state->nodes.find(id);
    HOMEFS_CHECK(node != nullptr && node->opens > 0);
    --node->opens;
    if (node->opens > 0) return;
    if (node->data != nullptr) {
      was_streaming_up = node->data->is_streaming_up;
      was_streaming_down = node->data->is_streaming_down;
      node->data->is_streaming_up = node->data->is_streaming_down = false;
      is_dirty = node->is_dirty();
      if (!node->data->keeps_written) wake = node->data->reads.clear();
      if (is_dirty) {
        node->data->writes.stop_holding();
      } else if (!node->data->keeps_written) {
        node->data.reset();
      }
    }
    const bool is_nameless = node->parent == kNoNode || node->attributes.links == 0;
    is_orphan = is_nameless && id != kRootNode;
    state->nodes.remove_if_unused(id);
  }
  wake_all(std::move(wake));
  if (is_dirty) background_.spawn(drained(id));
  if (was_streaming_up) transfers_->on_finished(id, TransferDirection::kUp, {});
  if (was_streaming_down) transfers_->on_finished(id, TransferDirection::kDown, {});
  if (is_orphan) send_forgets(/*at_once=*/true);  // frees its bytes on the server
}

Task<> FileSystem::writes_drained(NodeId id) {
  Completion<bool> waiting([this, id](Completion<bool>::Done done) {
    std::move_only_function<void()> wake = [done = std::move(done)]() mutable { done(true); };
    bool is_waiting = false;
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      is_waiting =
          node != nullptr && node->data != nullptr && node->data->writes.when_drained(wake);
    }
    if (is_waiting) {
      send_writes(id);  // nothing is held back from somebody who waits
    } else {
      wake();
    }
  });
  (void)co_await waiting;
}

// Changes come behind the writes: they are the newer ones, as a write sends them first.
Task<> FileSystem::drained(NodeId id) {
  co_await writes_drained(id);
  while (true) {
    std::optional<SetattrRequest> change;
    Completion<bool> answered([&](Completion<bool>::Done done) {
      std::move_only_function<void()> wake = [done = std::move(done)]() mutable { done(true); };
      {
        auto state = state_.lock();
        Node* node = state->nodes.find(id);
        FileData* data = node == nullptr ? nullptr : node->data.get();
        if (data != nullptr && data->change.when_answered(wake)) return;
        if (data != nullptr) change = data->change.begin_sending();
      }
      wake();
    });
    (void)co_await answered;
    if (change) co_await send_deferred(*change);
    if (change || !has_deferred_change(id)) co_return;
  }
}

Task<> FileSystem::drain_all() {
  std::vector<NodeId> dirty;
  {
    auto state = state_.lock();
    state->nodes.for_each([&](const Node& node) {
      if (node.is_dirty()) dirty.push_back(node.id);
    });
  }
  for (const NodeId id : dirty) co_await drained(id);
}

Result<> FileSystem::take_error(NodeId id) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr || node->data == nullptr) return {};
  std::optional<Error> error = node->data->writes.take_error();
  if (error) return std::unexpected(std::move(*error));
  return {};
}

Task<Result<>> FileSystem::flush(NodeId id) {
  co_await drained(id);
  co_return take_error(id);
}

Task<Result<>> FileSystem::fsync(NodeId id, bool data_only) {
  Result<> flushed = co_await flush(id);
  const std::uint64_t before = state_.lock()->unsynced.last_change();
  if (flushed) {
    Call call = make_call(Op::kFsync, {id}, FsyncRequest{id, data_only});
    Result<EmptyMessage> reply = co_await ask<EmptyMessage>(std::move(call));
    if (!reply) flushed = std::unexpected(reply.error());
  }
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  if (node == nullptr) co_return flushed;
  const InodeNumber inode = node->attributes.inode;
  // The server, which has been started again meanwhile, has synced what is left.
  const bool is_lost = state->unsynced.take_lost(inode);
  if (flushed) state->unsynced.synced(inode, before);
  if (flushed && is_lost) co_return fail(Status::kIoError, "the server has lost power");
  co_return flushed;
}

Task<Result<std::uint64_t>> FileSystem::copy(CopyRequest request) {
  Result<> flushed = co_await flush(request.source);
  if (flushed) flushed = co_await flush(request.target);
  if (!flushed) co_return std::unexpected(flushed.error());
  request.length = std::min(request.length, kCopyBytesMax);  // the caller asks again for the rest
  const NodeId target = request.target;
  Call call = make_call(Op::kCopy, {request.source, target}, request);
  if (Result<> held = locks_.guard(target, call); !held) co_return std::unexpected(held.error());
  Result<CopyReply> reply = co_await ask<CopyReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  changed(target, ChangeReply{reply->attributes, reply->grant});
  wake_all(drop_read_data(target));
  co_return reply->length;
}

Task<Result<std::uint64_t>> FileSystem::seek(SeekRequest request) {
  Result<> flushed = co_await flush(request.node);
  if (!flushed) co_return std::unexpected(flushed.error());
  {
    // As many blocks as it needs: it has no holes that anybody has to be told of.
    auto state = state_.lock();
    const Node* node = state->nodes.find(request.node);
    if (node == nullptr) co_return fail(Status::kStale);
    const std::uint64_t size = node->attributes.size;
    if (node->has_attributes && node->attributes.blocks * kBlockUnitBytes >= size &&
        request.offset < size) {
      co_return request.whence == SeekWhence::kData ? request.offset : size;
    }
  }
  Call call = make_call(Op::kSeek, {request.node}, request);
  Result<SeekReply> reply = co_await ask<SeekReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  co_return reply->offset;
}

Task<Result<>> FileSystem::fallocate(FallocateRequest request) {
  const NodeId id = request.node;
  Result<> flushed = co_await flush(id);
  if (!flushed) co_return flushed;
  Call call = make_call(Op::kFallocate, {id}, request);
  if (Result<> held = locks_.guard(id, call); !held) co_return held;
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  changed(id, *reply);
  wake_all(drop_read_data(id));
  co_return Result<>();
}

}  // namespace homefs
