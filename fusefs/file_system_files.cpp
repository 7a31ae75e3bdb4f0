// Open files: handles, and the operations that need a file's writes to be on the server first.
#include <fcntl.h>

#include <atomic>

#include "fusefs/file_system.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::uint64_t kBlockUnitBytes = 512;  // of Attributes::blocks, as of stat(2)

// Without a name, and the server has not kept it: see NodeCache::forget_inode(). What was heard of
// it since may hide that it has no name.
bool is_gone(ClientState& state, const Node& node) {
  const bool is_forgotten = state.nodes.find(node.attributes.inode) != &node;
  return is_forgotten && (node.attributes.links == 0 || !node.is_past);
}

}  // namespace

FileData& FileSystem::data_of(ClientState& state, Node& node) {
  if (node.data == nullptr) node.data = std::make_unique<FileData>(state.read_memory);
  return *node.data;
}

OpenOut FileSystem::open_node(ClientState& state, Node& node, int open_flags) {
  OpenOut out{.handle = state.next_handle++};
  const bool is_writable = (open_flags & O_ACCMODE) != O_RDONLY;
  // A write through the kernel's pages locks them until the server has answered, and the server's
  // answer waits for other mounts, which may wait for our pages. Where an append goes is not for
  // the kernel to say: its pages would show it at the wrong place.
  const bool is_append = (open_flags & O_APPEND) != 0;
  const bool must_have_pages =
      (open_flags & O_ACCMODE) == O_RDWR && !is_append && !state.maps_direct_files;
  out.direct_io = is_writable && (state.is_shared || is_append) && !must_have_pages;
  const bool has_pages = !out.direct_io && (open_flags & O_DIRECT) == 0;
  const std::uint64_t errors = node.data == nullptr ? 0 : node.data->writes.errors().seen_by_new();
  const OpenFile file{.node = node.id,
                      .is_writable = is_writable,
                      .is_mappable = (open_flags & O_ACCMODE) == O_RDWR,
                      .is_direct = out.direct_io,
                      .has_pages = has_pages,
                      .errors_seen = errors,
                      .stream = {.id = out.handle}};
  count_mappable(state, file, 1);
  state.files.emplace(out.handle, file);
  ++node.opens;
  node.may_have_pages = true;
  node.has_read_pages |= has_pages;
  out.has_locks = locks_.has_record_locks(node.id) || locks_.had_record_locks();
  // With writes under way the kernel's pages are newer than any version that the server told.
  const bool is_newer = node.data != nullptr && node.data->has_unsent();
  out.keep_cache = is_newer || node.kernel_version == node.attributes.version;
  if (!out.keep_cache) node.kernel_version = node.attributes.version;
  return out;
}

Task<Result<OpenOut>> FileSystem::open(NodeId id, int open_flags) {
  if ((open_flags & O_TRUNC) != 0) {
    SetattrRequest truncate{.node = id, .which = kSetSize | kSetMtimeNow};
    Result<AttributesOut> done = co_await setattr(truncate);
    if (!done) co_return std::unexpected(done.error());
  }
  int binds = 0;
  if (must_be_bound(id)) co_await bind(std::vector<NodeId>(1, id));
  Result<AttributesOut> current =
      co_await attributes_now(id);  // local unless another session changed it
  if (!current) co_return std::unexpected(current.error());
  std::vector<SmallFile> ahead;
  OpenOut out;
  bool is_open = false;
  while (!is_open) {
    // The server was asked to remove the file, not to keep it for somebody who has it open.
    co_await removal_end(id);
    {
      auto state = state_.lock();
      if (state->removals.contains(id)) continue;
      Node* node = state->nodes.find(id);
      // The kernel looks the name up once more then.
      if (node == nullptr || is_gone(*state, *node)) co_return fail(Status::kStale);
      is_open = !is_unbound(*state, *node);
      if (is_open && (open_flags & O_ACCMODE) == O_RDONLY) {
        ahead = begin_fetches(*state, state->scan.opened(state->nodes, *node));
      }
      if (is_open) out = open_node(*state, *node, open_flags);
    }
    // The home has become shared meanwhile: what is open now the server must know.
    if (!is_open && binds++ == kBindsMax) co_return fail(Status::kStale);
    if (!is_open) co_await bind(std::vector<NodeId>(1, id));
  }
  if (!ahead.empty()) fetch_small_files(std::move(ahead));
  co_return out;
}

// While others have the home too, the server must know what is open here: a file that they remove
// lives on for us, and a folder is known to be gone.
bool FileSystem::is_unbound(const ClientState& state, const Node& node) {
  return state.is_shared && !node.is_known;
}

bool FileSystem::must_be_bound(NodeId id) {
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  return node != nullptr && is_unbound(*state, *node);
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
  for (const auto& [handle, folder] : state.folders) open.push_back(folder.node);
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
    count_mappable(*state, found->second, -1);
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
      if (is_dirty) node->data->writes.stop_holding();
    }
    const bool is_nameless = node->parent == kNoNode || node->attributes.links == 0;
    is_orphan = is_nameless && id != kRootNode;
    end_use(*state, *node);
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

Result<> FileSystem::take_error(ClientState& state, Node& node, std::uint64_t handle) {
  if (node.data == nullptr) return {};
  const auto open = state.files.find(handle);
  if (open == state.files.end()) return {};
  std::optional<Error> error = node.data->writes.errors().take(open->second.errors_seen);
  if (error) return std::unexpected(std::move(*error));
  return {};
}

Result<> FileSystem::show_error(NodeId id, std::uint64_t handle) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  const auto open = state->files.find(handle);
  if (node == nullptr || node->data == nullptr || open == state->files.end()) return {};
  if (!open->second.is_writable) return {};
  std::optional<Error> error = node->data->writes.errors().show(open->second.errors_seen);
  if (error) return std::unexpected(std::move(*error));
  return {};
}

Task<Result<>> FileSystem::drained_and_told(NodeId id, std::uint64_t handle) {
  co_await drained(id);
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr) co_return fail(Status::kStale);
  co_return take_error(*state, *node, handle);
}

Task<Result<>> FileSystem::flush(NodeId id, std::uint64_t handle) {
  co_await drained(id);
  co_return show_error(id, handle);
}

Task<Result<>> FileSystem::fsync(NodeId id, std::uint64_t handle, bool data_only) {
  Result<> result = co_await drained_and_told(id, handle);
  const std::uint64_t before = state_.lock()->unsynced.last_change();
  if (result) {
    Call call = make_call(Op::kFsync, {id}, FsyncRequest{id, data_only});
    Result<EmptyMessage> reply = co_await ask<EmptyMessage>(std::move(call));
    if (!reply) result = std::unexpected(reply.error());
    if (!reply) note_sync_error(id, handle, reply.error());
  }
  bool is_lost = false;
  {
    auto state = state_.lock();
    const Node* node = state->nodes.find(id);
    if (node == nullptr) co_return result;
    const InodeNumber inode = node->attributes.inode;
    // The server, which has been started again meanwhile, has synced what is left.
    is_lost = state->unsynced.take_lost(inode);
    if (result) state->unsynced.synced(inode, before);
  }
  if (result && is_lost) {
    result = fail(Status::kIoError, "the server has lost power");
    note_sync_error(id, handle, result.error());
  }
  co_return result;
}

// The server tells each mount once that its disk has failed. Here everybody who has the file open
// is told, as by a local disk; who asked knows it.
void FileSystem::note_sync_error(NodeId id, std::uint64_t handle, const Error& error) {
  const bool is_of_disk = error.status == Status::kIoError || error.status == Status::kNoSpace ||
                          error.status == Status::kOverQuota;
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  const auto open = state->files.find(handle);
  if (!is_of_disk || node == nullptr || open == state->files.end()) return;
  ErrorSequence& errors = data_of(*state, *node).writes.errors();
  errors.add(error);
  (void)errors.take(open->second.errors_seen);
}

Task<Result<std::uint64_t>> FileSystem::copy(CopyRequest request, std::uint64_t handle) {
  const NodeId target = request.target;
  const Result<std::uint64_t> session = locks_.session_for(target, handle);
  if (!session) co_return std::unexpected(session.error());
  co_await drained(request.source);
  Result<> told = co_await drained_and_told(target, handle);
  if (!told) co_return std::unexpected(told.error());
  request.length = std::min(request.length, kCopyBytesMax);  // the caller asks again for the rest
  co_await begin_change_at_server(target);
  const std::uint64_t offered =
      co_await offer_grant(target, request.target_offset + request.length);
  request.from_grant = offered;
  Call call = make_call(Op::kCopy, {request.source, target}, request);
  call.session = *session;
  Result<CopyReply> reply = co_await ask<CopyReply>(std::move(call));
  if (reply) changed(target, ChangeReply{reply->attributes, reply->grant});
  if (!reply) change_failed(target);
  end_change_at_server(target, request.from_grant);
  if (!reply) co_return std::unexpected(reply.error());
  co_return reply->length;
}

// What went wrong with the data is for who writes it, not for who looks where there is some.
Task<Result<std::uint64_t>> FileSystem::seek(SeekRequest request) {
  co_await take_pages(request.node);
  co_await drained(request.node);
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

Task<Result<>> FileSystem::fallocate(FallocateRequest request, std::uint64_t handle) {
  const NodeId id = request.node;
  const Result<std::uint64_t> session = locks_.session_for(id, handle);
  if (!session) co_return std::unexpected(session.error());
  Result<> told = co_await drained_and_told(id, handle);
  if (!told) co_return told;
  co_await begin_change_at_server(id);
  const std::uint64_t offered = co_await offer_grant(id, request.offset + request.length);
  request.from_grant = offered;
  Call call = make_call(Op::kFallocate, {id}, request);
  call.session = *session;
  Result<ChangeReply> reply = co_await ask<ChangeReply>(std::move(call));
  if (reply) changed(id, *reply);
  if (!reply) change_failed(id);
  end_change_at_server(id, request.from_grant);
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<>();
}

}  // namespace homefs
