#include "fusefs/transfer/large_put.h"

#include <algorithm>
#include <memory>

#include "fusefs/remote/partial_name.h"
#include "fusefs/transfer/content_compare.h"
#include "fusefs/transfer/local_tree.h"
#include "protocol/block_md5.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

// Blocks under way of one file: 16 MiB, which fills 100 MB/s at a round trip of 160 ms.
constexpr std::size_t kWritesAhead = 16;
constexpr std::size_t kCopiesAhead = 8;
// A whole that differs is compared by blocks again, so often.
constexpr int kRoundsMax = kBlockRetriesMax + 1;

}  // namespace

LargePut::LargePut(RemoteClient& client, TransferMonitor& monitor, RateLimit& rate,
                   const TransferOptions& options, const PutFile& file)
    : client_(client),
      monitor_(monitor),
      rate_(rate),
      options_(options),
      file_(file),
      partial_{file.place.folder, partial_name(file.place.name)},
      key_(client.book().next_id()),
      writes_(kWritesAhead),
      copies_(kCopiesAhead) {}

void LargePut::run() {
  const auto size = local_entry(file_.local);
  monitor_.begin(key_, file_.path, size ? size->attributes.size : 0);
  Result<> done;
  for (int i = 0; i < kFileAttemptsMax; ++i) {
    if (i > 0) monitor_.begin_again(key_);
    done = attempt();
    if (done || !is_worth_another_try(done.error())) break;
  }
  monitor_.end(key_, file_.path, done);
}

Result<> LargePut::attempt() {
  const auto local = LocalFile::open_to_read(file_.local);
  if (!local) return std::unexpected(local.error());
  const auto stat = local->settled_stat();
  if (!stat) return std::unexpected(stat.error());
  attributes_ = attributes_of(*stat);
  basis_ = {};
  if (file_.target != nullptr && file_.target->is_file()) {
    basis_.attributes = file_.target->attributes;
    basis_.id = client_.number_for(file_.place, basis_.attributes);
    const auto is_there = is_there_already(*local);
    if (is_there && *is_there) {
      const auto set = client_.setattr(attributes_request(basis_.id, attributes_)).get();
      if (!set) return std::unexpected(set.error());
      return {};
    }
  }
  if (const Result<> opened = open_partial(); !opened) return opened;
  Result<> done = check_quota();
  if (done) done = transfer(*local);
  if (done) done = publish(*local);
  if (!done) give_partial_up(done.error());
  client_.drop(node_.id);
  client_.drop(basis_.id);
  return done;
}

Result<bool> LargePut::is_there_already(const LocalFile& local) {
  if (basis_.attributes.size != attributes_.size) return false;
  const auto there = remote_digests(client_, basis_.id, attributes_.size);
  if (!there) return std::unexpected(there.error());
  const auto here = local.digests(0, attributes_.size);
  if (!here) return std::unexpected(here.error());
  if (*here != *there) return false;
  monitor_.copied(key_, attributes_.size);
  return true;
}

// Nothing is sent of what cannot get its place in the end.
Result<> LargePut::check_quota() {
  const auto space = client_.statfs().get();
  if (!space) return std::unexpected(space.error());
  const GrantState& grant = space->grant;
  if (grant.limit == 0) return {};
  const std::uint64_t growth = attributes_.size - std::min(attributes_.size, node_.attributes.size);
  const std::uint64_t free = grant.limit - std::min(grant.limit, grant.used);
  if (growth <= free) return {};
  return fail(Status::kOverQuota, std::to_string(growth) + " bytes more are needed, " +
                                      std::to_string(free) + " are free");
}

Result<RemoteNode> LargePut::find_or_create_partial() {
  auto found = client_.lookup(partial_).get();
  if (found || found.error().status != Status::kNoSuchFile) return found;
  const NodeId node = client_.book().next_id();
  const auto made = client_.create(partial_, node, 0600).get();
  if (made) return RemoteNode{.id = node, .attributes = made->attributes};
  if (made.error().status != Status::kExists) return std::unexpected(made.error());
  return client_.lookup(partial_).get();  // another put was quicker
}

Result<> LargePut::open_partial() {
  constexpr int kAttempts = 10;  // the one who has it may rename it away between the steps
  for (int i = 0; i < kAttempts; ++i) {
    auto node = find_or_create_partial();
    if (!node) return std::unexpected(node.error());
    session_ = client_.link().session_number();
    const auto locked = client_.lock(node->id, true).get();
    if (!locked && locked.error().status == Status::kWouldBlock) break;
    if (!locked) return std::unexpected(locked.error());
    const auto named = client_.lookup(partial_).get();
    const bool is_it = named && named->attributes.inode == node->attributes.inode;
    if (named) client_.drop(named->id);
    if (is_it) {
      node_ = *std::move(node);
      return {};
    }
    client_.drop(node->id);
  }
  return fail(Status::kBusy, "another transfer of it is under way");
}

Result<> LargePut::transfer(const LocalFile& local) {
  const std::uint64_t size = attributes_.size;
  if (node_.attributes.size > size) {
    const auto cut = client_.setattr({.node = node_.id, .which = kSetSize, .size = size}).get();
    if (!cut) return std::unexpected(cut.error());
    node_.attributes.size = size;
  }
  std::vector<Md5Digest> basis;
  if (basis_.id != kNoNode) {
    auto digests = remote_digests(client_, basis_.id, basis_.attributes.size);
    if (digests) basis = *std::move(digests);  // one that changes is no basis
  }
  for (int round = 0; round < kRoundsMax; ++round) {
    const std::uint64_t there = round == 0 ? node_.attributes.size : size;
    const auto have = remote_digests(client_, node_.id, there);
    if (!have) return std::unexpected(have.error());
    if (const Result<> sent = send_blocks(local, *have, basis); !sent) return sent;
    const auto whole = client_.digest({.node = node_.id, .whole = true}).get();
    if (!whole) return std::unexpected(whole.error());
    const Md5Digest here = whole_.finish();
    if (whole->size == size && whole->digests.size() == 1 && whole->digests[0] == here) {
      monitor_.verified(key_, here);
      return {};
    }
    monitor_.begin_again(key_);
    basis.clear();
  }
  return fail(Status::kIoError, "the MD5 of the whole differs again and again");
}

Result<> LargePut::send_blocks(const LocalFile& local, std::span<const Md5Digest> have,
                               std::span<const Md5Digest> basis) {
  whole_ = {};
  error_.reset();
  for (std::uint64_t at = 0; at < attributes_.size && !error_;) {
    if (options_.has_to_stop()) {
      note_error({Status::kInterrupted, {}});
      break;
    }
    const auto chunk = read_chunk(local, at);
    if (!chunk) {
      note_error(chunk.error());
      break;
    }
    send_chunk(*chunk, blocks_from(have, at), blocks_from(basis, at));
    at += chunk->data.bytes.size();
  }
  writes_.drain();
  copies_.drain();
  if (error_) return std::unexpected(*error_);
  return {};
}

Result<LargePut::Chunk> LargePut::read_chunk(const LocalFile& local, std::uint64_t offset) {
  Chunk chunk{.offset = offset};
  const std::uint64_t wanted =
      std::min<std::uint64_t>(rate_.request_bytes_max(), attributes_.size - offset);
  auto buffer = std::make_shared<Buffer>(wanted);
  const auto count = local.read_at(offset, buffer->writable());
  if (!count) return std::unexpected(count.error());
  if (*count != wanted) return fail(Status::kIoError, "it became shorter while it was read");
  chunk.data = slice_of(buffer);
  chunk.digests.resize(piece_count(offset, wanted));
  md5_pieces(offset, chunk.data.bytes, chunk.digests);
  whole_.update(chunk.data.bytes);
  return chunk;
}

void LargePut::send_chunk(const Chunk& chunk, std::span<const Md5Digest> have,
                          std::span<const Md5Digest> basis) {
  const std::uint64_t length = chunk.data.bytes.size();
  for (const BlockRun& run : diff_blocks(chunk.offset, length, chunk.digests, have, basis)) {
    switch (run.source) {
      case BlockSource::kHave:
        monitor_.resumed(key_, run.length);
        break;
      case BlockSource::kCopy:
        copy_run(run);
        break;
      case BlockSource::kSend:
        send_run(chunk, run);
        break;
    }
  }
}

void LargePut::send_run(const Chunk& chunk, const BlockRun& run) {
  if (!rate_.take(run.length)) return note_error({Status::kInterrupted, {}});
  const std::size_t begin = run.offset - chunk.offset;
  const auto digests =
      std::span(chunk.digests).subspan(begin / kBlockBytes, piece_count(run.offset, run.length));
  writes_.push(client_.write(node_.id, run.offset, chunk.data.subslice(begin, run.length), digests),
               [this, length = run.length](const Result<ChangeReply>& reply) {
                 if (reply) return monitor_.sent(key_, length);
                 note_error(reply.error());
               });
}

void LargePut::copy_run(const BlockRun& run) {
  copies_.push(client_.copy({.source = basis_.id,
                             .source_offset = run.offset,
                             .target = node_.id,
                             .target_offset = run.offset,
                             .length = run.length}),
               [this, length = run.length](const Result<CopyReply>& reply) {
                 if (reply) return monitor_.copied(key_, length);
                 note_error(reply.error());
               });
}

Result<> LargePut::publish(const LocalFile& local) {
  const auto stat = local.stat();
  if (!stat) return std::unexpected(stat.error());
  const Attributes now = attributes_of(*stat);
  if (now.size != attributes_.size || now.mtime != attributes_.mtime) {
    return fail(Status::kIoError, "it changed while it was put");
  }
  auto set = client_.setattr(attributes_request(node_.id, attributes_));
  // With the session the lock would be lost, and with it the right to this name.
  auto renamed = client_.rename(partial_, file_.place, RenameMode::kReplace, node_.id, session_);
  (void)client_.lock(node_.id, false);
  const auto is_set = set.get();
  const auto is_renamed = renamed.get();
  if (!is_renamed) return std::unexpected(is_renamed.error());
  if (!is_set) return fail(is_set.error().status, "its mode and times are not kept");
  return {};
}

// What cannot be finished for lack of room must not take room away; anything else is gone on with.
void LargePut::give_partial_up(const Error& error) {
  const bool lacks_room = error.status == Status::kOverQuota || error.status == Status::kNoSpace;
  if (lacks_room) (void)client_.unlink(partial_).get();
  (void)client_.lock(node_.id, false);
}

void LargePut::note_error(const Error& error) {
  if (!error_) error_ = error;
}

}  // namespace homefs
