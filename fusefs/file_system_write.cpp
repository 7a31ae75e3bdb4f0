// Write-behind: a write is answered once it is buffered within the quota's grant, and sent in the
// background, hashed; errors stay on the file until write, fsync or close reports them.
#include <spdlog/spdlog.h>

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

bool is_over_quota(const Result<>& result) {
  return !result && result.error().status == Status::kOverQuota;
}

Call append_of(NodeId id, Slice data, std::uint64_t from_grant) {
  AppendRequest request{.node = id};
  request.from_grant = from_grant;
  request.digests.resize(piece_count(0, data.bytes.size()));
  md5_pieces(0, data.bytes, request.digests);
  Call call = make_call(Op::kAppend, {id}, request);
  call.payload.push_back(std::move(data));
  return call;
}

Call write_of(NodeId id, WriteQueue::Outgoing segment, const std::optional<SetattrRequest>& then) {
  const std::size_t bytes = segment.data.bytes.size();
  WriteRequest request{.node = id, .offset = segment.offset};
  request.from_grant = segment.growth;
  request.page_order = segment.page_order;
  if (segment.page_order == 0 && segment.is_buffered) request.page_order = kBufferedWrite;
  request.digests.resize(piece_count(segment.offset, bytes));
  md5_pieces(segment.offset, segment.data.bytes, request.digests);
  if (then) request.then.push_back(*then);
  Call call = make_call(Op::kWrite, {id}, request);
  call.lane = bytes <= kSmallWriteBytes ? Lane::kControl : Lane::kBulk;
  call.payload.push_back(std::move(segment.data));
  return call;
}

// What a reply to either says of the file.
Result<ChangeReply> change_in(const Result<InFrame>& reply, bool is_append) {
  if (!reply && reply.error().status == Status::kLeaseLost) {
    return fail(Status::kIoError, "another mount had changed the file before it was sent");
  }
  if (!reply) return std::unexpected(reply.error());
  if (!is_append) return message_of<ChangeReply>(*reply);
  const Result<AppendReply> appended = message_of<AppendReply>(*reply);
  if (!appended) return std::unexpected(appended.error());
  return ChangeReply{appended->attributes, appended->grant};
}

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

Task<Result<>> FileSystem::write(WriteTarget to, Slice data) {
  if (data.bytes.empty()) co_return Result<>();
  const Result<std::uint64_t> session = session_of(to);
  if (!session) co_return std::unexpected(session.error());
  bool was_refused = false;
  while (true) {
    co_await room_for(to.node);
    Result<> result;
    const Slice again = data;
    TakenWrite taken = take_write(to, data, *session, nullptr);
    if (taken.kind == TakenWrite::Kind::kWaits) {
      // The server decides (over the grant), or the other mounts have to see it.
      Completion<Result<>> waiting([&](WriteDone done) {
        taken = take_write(to, data, *session, &done);
        tell_of(to, taken);
        if (done) {
          done({});
        } else {
          send_writes(to.node);
        }
      });
      result = co_await waiting;
    } else {
      tell_of(to, taken);
    }
    if (taken.kind == TakenWrite::Kind::kRefused) co_return std::move(taken.refusal);
    if (taken.kind == TakenWrite::Kind::kBehind) {
      co_await older_changes_end(to.node);
      continue;
    }
    if (taken.kind == TakenWrite::Kind::kAtServer) {
      Result<> appended = co_await append_at_server(to.node, data, *session);
      result = std::move(appended);
    }
    if (taken.is_passing) co_await end_passing(to.node, result.has_value());
    if (is_over_quota(result) && !std::exchange(was_refused, true)) {
      // The server may have made more of the quota ours in answers that were under way. Once all
      // have come, what is left of it is known to the byte.
      co_await drain_all();
      data = again;
      continue;
    }
    if (!result || !taken.must_sync) co_return result;
    Result<> synced = co_await fsync(to.node, to.handle, !to.is_synced);
    co_return synced;
  }
}

// What was stored through a mapping is written back on behalf of nobody: it may have been stored
// under a lock that is lost, as long as whoever had that lock may have the file mapped.
Result<std::uint64_t> FileSystem::session_of(const WriteTarget& to) {
  if (!to.is_page) return locks_.session_for(to.node, to.handle);
  const std::vector<std::uint64_t> lost = locks_.lost_handles(to.node);
  if (!lost.empty()) {
    const auto state = state_.lock();
    for (const std::uint64_t handle : lost) {
      const auto open = state->files.find(handle);
      if (open != state->files.end() && open->second.is_mappable) {
        return fail(Status::kIoError, "locks of this file are lost");
      }
    }
  }
  return locks_.session_for(to.node, 0);
}

FileSystem::TakenWrite::Kind FileSystem::kind_of(const ClientState& state, const Node& node,
                                                 const WriteTarget& to, std::uint64_t growth) {
  using Kind = TakenWrite::Kind;
  const bool is_known_end =
      !state.is_shared && node.has_attributes && !node.data->at_server.is_any();
  if (node.data->change.is_pending()) return Kind::kBehind;
  // The kernel holds the page meanwhile, which others wait for to hear that we know of their
  // changes; and what a page is no part of any more the server leaves out.
  if (to.is_page) return Kind::kBuffered;
  const bool is_covered = is_known_end && state.grant.covers(growth);
  // One that waits for the server may come there when another mount has moved the end.
  if (to.is_append && !is_covered) return Kind::kAtServer;
  if (node.data->at_server.is_any()) return Kind::kBehind;
  // Of a size that another mount has changed nobody knows by how much it grows.
  if (!is_covered) return Kind::kWaits;
  return Kind::kBuffered;
}

// Decides where the write goes, and puts it there, under one lock: a read that came in between
// would fetch what is about to be overwritten, and keep it. What has to wait is put there only with
// `done`, which is taken then.
FileSystem::TakenWrite FileSystem::take_write(const WriteTarget& to, Slice& data,
                                              std::uint64_t session, WriteDone* done) {
  const std::size_t count = data.bytes.size();
  TakenWrite taken;
  auto state = state_.lock();
  Node* node = state->nodes.find(to.node);
  if (node == nullptr) taken.refusal = fail(Status::kStale);
  // The kernel writes a page back on behalf of nobody, and keeps an error itself.
  if (node != nullptr && !to.is_page) taken.refusal = take_error(*state, *node, to.handle);
  if (!taken.refusal) {
    taken.kind = TakenWrite::Kind::kRefused;
    return taken;
  }
  FileData& file = data_of(*state, *node);
  ++file.changes;
  use_pages(*node);
  const std::uint64_t size = effective(*node).size;
  const std::uint64_t offset = to.is_append ? size : to.offset;
  const std::uint64_t end = offset + count;
  // Too much rather than too little, where the size is not known.
  const std::uint64_t longer = !node->has_attributes ? end : end > size ? end - size : 0;
  std::uint64_t growth = to.is_page ? 0 : longer;
  const std::uint64_t page_order = to.is_page ? std::max<std::uint64_t>(state->told_order, 2) : 0;
  taken.kind = kind_of(*state, *node, to, growth);
  const auto open = state->files.find(to.handle);
  taken.passes_pages = !to.is_page && open != state->files.end() && open->second.is_direct;
  taken.must_sync = (to.is_synced || to.is_data_synced) && taken.passes_pages;
  const bool waits = taken.kind == TakenWrite::Kind::kWaits;
  const bool is_tried = waits && done == nullptr;  // it comes back with `done`
  taken.is_passing = taken.passes_pages && taken.kind != TakenWrite::Kind::kBehind && !is_tried;
  if (taken.is_passing) ++file.passing;
  if (is_tried || (!waits && taken.kind != TakenWrite::Kind::kBuffered)) return taken;

  taken.is_moved = to.is_append && offset != to.offset;
  const bool is_growing = growth > 0;
  if (waits) {
    growth = state->grant.offer(growth);
  } else {
    state->grant.take(growth);
  }
  state->dirty_bytes += count;
  file.last_write = wall_clock_now();
  file.was_closed = false;
  if (!file.reads.is_empty()) taken.wake = file.reads.clear();
  if (!file.is_streaming_up) {
    file.is_streaming_up = true;
    taken.started_path = path_of(*state, *node);
    taken.started_bytes = end;
  }
  const bool is_small = count <= kJoinableBytes;
  // Other mounts see a page as soon as possible.
  const bool may_join = is_small && !waits && !(to.is_page && state->is_shared);
  if (may_join && file.writes.join(offset, data.bytes, growth, to.is_append, page_order, session)) {
    return taken;
  }
  // A small write would hold a whole request's buffer (1 MiB): copy it out.
  WriteSegment& segment =
      file.writes.push(offset, is_small ? joinable_copy(data.bytes) : std::move(data), growth,
                       may_join, to.is_append, page_order);
  segment.is_growing = is_growing;
  segment.session = session;
  if (waits) segment.waiters.push_back(std::exchange(*done, {}));
  // Also while somebody waits for older ones: it is held back as soon as these are answered.
  if (may_join) state->held.push_back(to.node);
  return taken;
}

void FileSystem::tell_of(const WriteTarget& to, TakenWrite& taken) {
  wake_all(std::exchange(taken.wake, {}));
  if (!taken.started_path.empty()) {
    transfers_->on_started(to.node, TransferDirection::kUp, taken.started_path,
                           taken.started_bytes);
  }
  if (taken.is_moved) notifier_->invalidate_data(to.node);
}

Task<Result<>> FileSystem::append_at_server(NodeId id, Slice data, std::uint64_t session) {
  co_await begin_change_at_server(id);
  const std::uint64_t from_grant = state_.lock()->grant.offer(data.bytes.size());
  Call call = append_of(id, std::move(data), from_grant);
  call.session = session;
  Result<AppendReply> reply = co_await ask<AppendReply>(std::move(call));
  // It is not where the kernel believes.
  if (reply) changed(id, ChangeReply{reply->attributes, reply->grant}, /*is_in_pages=*/false);
  if (!reply) change_failed(id);
  end_change_at_server(id, from_grant);
  if (!reply) co_return std::unexpected(reply.error());
  notifier_->invalidate_data(id);
  co_return Result<>();
}

// ---- Beside changes that are no writes ---------------------------------------------------------

// What is under way then is older than any write that comes, and newer than those of before. Again
// and again, as a write may have come while the last ones left.
Task<> FileSystem::begin_change_at_server(NodeId id) {
  while (true) {
    co_await drained(id);
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr) co_return;
    if (node->data != nullptr && node->data->writes.is_dirty()) continue;
    data_of(*state, *node).at_server.begin();
    co_return;
  }
}

// What of the grant a change may use that makes the file at most `end` long. Near the limit answers
// under way have to come first: what the server has made ours in them cannot be offered before.
Task<std::uint64_t> FileSystem::offer_grant(NodeId id, std::uint64_t end) {
  for (int attempt = 0;; ++attempt) {
    {
      auto state = state_.lock();
      const Node* node = state->nodes.find(id);
      const std::uint64_t size =
          node != nullptr && node->has_attributes ? effective(*node).size : 0;
      const std::uint64_t growth = end - std::min(end, size);
      const std::uint64_t offered = state->grant.offer(growth);
      if (offered == growth || attempt > 0 || state->grant.last().limit == 0) co_return offered;
      state->grant.settle(offered);
    }
    co_await drain_all();
  }
}

// `offered`: what offer_grant() gave.
void FileSystem::end_change_at_server(NodeId id, std::uint64_t offered) {
  WakeList wake;
  {
    auto state = state_.lock();
    state->grant.settle(offered);
    Node* node = state->nodes.find(id);
    if (node == nullptr) return;  // since begin_change_at_server()
    wake = node->data->reads.clear();
    std::ranges::move(node->data->at_server.end(), std::back_inserter(wake));
    end_use(*state, *node);
  }
  wake_all(std::move(wake));
}

Task<> FileSystem::older_changes_end(NodeId id) {
  co_await drained(id);
  Completion<bool> over([this, id](Completion<bool>::Done done) {
    std::move_only_function<void()> wake = [done = std::move(done)]() mutable { done(true); };
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      if (node != nullptr && node->data != nullptr && node->data->at_server.when_over(wake)) return;
    }
    wake();
  });
  (void)co_await over;
}

// Drops what nobody needs any more of a file that is not open. An error that nobody has heard of is
// for whoever opens it next.
void FileSystem::end_use(ClientState& state, Node& node) {
  if (node.opens > 0 || node.is_dirty()) return;
  if (node.data != nullptr && node.data->reads.is_empty()) {
    ErrorSequence errors = node.data->writes.errors();
    const bool is_for_the_next = errors.show(errors.seen_by_new()).has_value();
    if (!is_for_the_next) node.data.reset();
  }
  state.nodes.remove_if_unused(node.id);
}

// ---- To the server -----------------------------------------------------------------------------

void FileSystem::send_writes(NodeId id) {
  while (true) {
    std::optional<WriteQueue::Outgoing> segment;
    std::optional<SetattrRequest> then;
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      if (node == nullptr || node->data == nullptr) return;
      segment = node->data->writes.next_to_send();
      const bool may_bring_change = segment && segment->is_alone && !segment->is_moved;
      if (may_bring_change) then = node->data->change.begin_sending();
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
  const SentWrite sent{.number = segment.number,
                       .bytes = segment.data.bytes.size(),
                       .offset = segment.offset,
                       .has_change = then.has_value(),
                       .is_moved = segment.is_moved};
  const std::uint64_t session = segment.session;
  if (session != 0 && session != link_->session_number()) {
    // Later: written() sends what comes next.
    post_([this, id, sent] {
      written(id, sent, fail(Status::kIoError, "the lock under which it was written is lost"));
    });
    return;
  }
  Call call = segment.is_moved ? append_of(id, std::move(segment.data), segment.growth)
                               : write_of(id, std::move(segment), then);
  call.session = session;
  (void)link_->send(std::move(call), [this, id, sent](Result<InFrame> reply) {
    written(id, sent, std::move(reply));
  });
}

// What is written is often read next (git, a compiler and its linker), and of a small file the
// kernel's pages keep nothing: a page that was not written whole it asks for.
void FileSystem::keep_written(ClientState& state, Node& node, const WriteQueue::Finished& finished,
                              WakeList& wake) {
  const std::size_t size = finished.data.bytes.size();
  const bool is_whole = finished.offset == 0 && size == node.attributes.size &&
                        !node.data->writes.is_dirty() && !finished.is_page;
  const bool is_ours =
      !state.is_shared && node.has_attributes && node.kernel_version == node.attributes.version;
  if (!is_whole || !is_ours || size > kKeptBytesMax || !node.data->reads.is_empty()) return;
  node.data->reads.put_whole(finished.data);
  node.data->keeps_written = true;
  add_prefetched(state, node.id, size, wake);
}

// The server has refused it, since the file has another end by now.
bool FileSystem::move_to_end(NodeId id, const SentWrite& sent) {
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    HOMEFS_CHECK(node != nullptr);  // dirty nodes are kept
    if (!node->data->writes.move_to_end(sent.number)) return false;
    if (sent.has_change) {
      node->data->change.put_back();
      state->held.push_back(id);  // for when the data is there
    }
    node->has_attributes = false;
    node->kernel_version = 0;
  }
  notifier_->invalidate_data(id);  // it is not where the kernel believes
  send_writes(id);
  return true;
}

void FileSystem::written(NodeId id, const SentWrite& sent, Result<InFrame> reply) {
  const bool is_refused = !reply && reply.error().status == Status::kLeaseLost;
  if (is_refused && move_to_end(id, sent)) return;
  Result<ChangeReply> change = change_in(reply, sent.is_moved);
  const Result<> result = change ? Result<>() : std::unexpected(change.error());
  if (change) changed(id, *change);
  WakeList wake;
  bool is_failed_now = false;
  std::string path;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    HOMEFS_CHECK(node != nullptr);  // dirty nodes are kept
    if (is_refused) path = path_of(*state, *node);
    WriteQueue::Finished finished = node->data->writes.finish(sent.number, result);
    if (sent.has_change) wake = node->data->change.finish();
    state->grant.settle(finished.growth);
    state->dirty_bytes -= finished.data.bytes.size();
    if (sent.is_moved) std::ranges::move(node->data->reads.clear(), std::back_inserter(wake));
    if (result && !sent.is_moved) keep_written(*state, *node, finished, wake);
    std::ranges::move(finished.wake, std::back_inserter(wake));
    std::ranges::move(std::exchange(state->room_waiters, {}), std::back_inserter(wake));
    if (!result) {
      // Size, times and contents did not become what we assumed, and the kernel has.
      node->has_attributes = false;
      node->kernel_version = 0;
      // Told of once; also after the last close, which believed that all was well.
      is_failed_now = std::exchange(node->data->is_streaming_up, false) || node->opens == 0;
    }
    end_use(*state, *node);
  }
  if (result) {
    transfers_->on_verified(id, TransferDirection::kUp, sent.bytes);
  } else if (is_failed_now) {
    transfers_->on_finished(id, TransferDirection::kUp, result);
  }
  if (!result || sent.is_moved) notifier_->invalidate_data(id);
  if (is_refused) {
    spdlog::error(
        "not written, as another mount had changed the file before: file=\"{}\" offset={} bytes={}",
        path, sent.offset, sent.bytes);
  }
  wake_all(std::move(wake));
  send_writes(id);
}

}  // namespace homefs
