#include "fusefs/transfer/large_get.h"

#include <unistd.h>

#include <algorithm>

#include "fusefs/remote/answer_call.h"
#include "fusefs/remote/partial_name.h"
#include "fusefs/transfer/content_compare.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::size_t kReadsAhead = 16;
constexpr int kRoundsMax = kBlockRetriesMax + 1;

}  // namespace

LargeGet::LargeGet(RemoteClient& client, TransferMonitor& monitor, RateLimit& rate,
                   const TransferOptions& options, const GetFile& file)
    : client_(client),
      monitor_(monitor),
      rate_(rate),
      options_(options),
      file_(file),
      partial_path_(file.local.parent_path() / partial_name(file.local.filename().string())),
      reads_(kReadsAhead) {}

void LargeGet::run() {
  monitor_.begin(file_.node, file_.path, file_.attributes.size);
  Result<> done;
  for (int i = 0; i < kFileAttemptsMax; ++i) {
    if (i > 0) monitor_.begin_again(file_.node);
    done = attempt();
    if (done || !is_worth_another_try(done.error())) break;
  }
  monitor_.end(file_.node, file_.path, done);
  client_.drop(file_.node);
}

Result<> LargeGet::attempt() {
  const auto partial = LocalFile::open_partial(partial_path_);
  if (!partial) return std::unexpected(partial.error());
  basis_.reset();
  if (file_.has_basis) {
    if (auto basis = LocalFile::open_to_read(file_.local)) basis_ = *std::move(basis);
  }
  // It may have changed since it was listed, or since the attempt before.
  const NodeId node = file_.node;
  const auto now = answer_call<AttributesReply>(
                       client_.link(), make_call(Op::kGetattr, {node}, NodeRequest{node}),
                       [](const InFrame& reply) { return message_of<AttributesReply>(reply); })
                       .get();
  if (!now) return std::unexpected(now.error());
  attributes_ = now->attributes;
  size_ = attributes_.size;
  Result<> done = transfer(*partial);
  if (done) done = partial->publish(attributes_, file_.local);
  const bool lacks_room = !done && (done.error().status == Status::kNoSpace ||
                                    done.error().status == Status::kOverQuota);
  // What cannot be finished for lack of room must not take room away.
  if (lacks_room) (void)::unlink(partial_path_.c_str());
  return done;
}

Result<> LargeGet::transfer(const LocalFile& partial) {
  const auto stat = partial.stat();
  if (!stat) return std::unexpected(stat.error());
  for (int round = 0; round < kRoundsMax; ++round) {
    if (round > 0) monitor_.begin_again(file_.node);
    const bool has_blocks = round > 0 || stat->st_size > 0 || basis_.has_value();
    if (const Result<> fetched = fetch_blocks(partial, has_blocks); !fetched) return fetched;
    if (const Result<> cut = partial.truncate(size_); !cut) return cut;
    const auto whole = is_whole(partial);
    if (!whole) return std::unexpected(whole.error());
    if (*whole) return {};
    basis_.reset();
  }
  return fail(Status::kIoError, "the MD5 of the whole differs again and again");
}

Result<bool> LargeGet::is_whole(const LocalFile& partial) {
  auto asked = client_.digest({.node = file_.node, .whole = true});
  const auto here = partial.whole_digest();
  const auto there = asked.get();
  if (!here) return std::unexpected(here.error());
  if (!there) return std::unexpected(there.error());
  if (there->size != size_) return fail(Status::kIoError, "it changed while it was got");
  if (there->digests.size() != 1 || there->digests[0] != *here) return false;
  monitor_.verified(file_.node, *here);
  return true;
}

Result<> LargeGet::fetch_blocks(const LocalFile& partial, bool has_blocks) {
  std::vector<Md5Digest> wanted;
  if (has_blocks) {
    auto digests = remote_digests(client_, file_.node, size_);
    if (!digests) return std::unexpected(digests.error());
    wanted = *std::move(digests);
  }
  error_.reset();
  for (std::uint64_t at = 0; at < size_ && !error_;) {
    if (options_.has_to_stop()) {
      note_error({Status::kInterrupted, {}});
      break;
    }
    const std::uint64_t length = std::min<std::uint64_t>(rate_.request_bytes_max(), size_ - at);
    const auto part = has_blocks ? blocks_from(wanted, at).first(piece_count(at, length))
                                 : std::span<const Md5Digest>();
    if (const Result<> fetched = fetch_chunk(partial, at, length, part); !fetched) {
      note_error(fetched.error());
    }
    at += length;
  }
  reads_.drain();
  if (error_) return std::unexpected(*error_);
  return {};
}

// Without `wanted` there is nothing here that could be used.
Result<> LargeGet::fetch_chunk(const LocalFile& partial, std::uint64_t offset, std::uint64_t length,
                               std::span<const Md5Digest> wanted) {
  if (wanted.empty()) {
    fetch_run(partial, {BlockSource::kSend, offset, length});
    return {};
  }
  const auto have = partial.digests(offset, length);
  if (!have) return std::unexpected(have.error());
  Result<std::vector<Md5Digest>> basis;
  if (basis_) basis = basis_->digests(offset, length);
  if (!basis) return std::unexpected(basis.error());
  for (const BlockRun& run : diff_blocks(offset, length, wanted, *have, *basis)) {
    if (run.source == BlockSource::kHave) {
      monitor_.resumed(file_.node, run.length);
    } else if (run.source == BlockSource::kSend) {
      fetch_run(partial, run);
    } else if (const Result<> copied = copy_run(partial, run); !copied) {
      return copied;
    }
  }
  return {};
}

void LargeGet::fetch_run(const LocalFile& partial, const BlockRun& run) {
  if (!rate_.take(run.length)) return note_error({Status::kInterrupted, {}});
  reads_.push(client_.read(file_.node, run.offset, static_cast<std::uint32_t>(run.length)),
              [this, &partial, run](const Result<ReadData>& read) {
                if (!read) return note_error(read.error());
                if (read->size != size_ || read->data.bytes.size() != run.length) {
                  return note_error({Status::kIoError, "it changed while it was got"});
                }
                if (error_) return;
                const Result<> written = partial.write_at(run.offset, read->data.bytes);
                if (!written) return note_error(written.error());
                monitor_.sent(file_.node, run.length);
              });
}

Result<> LargeGet::copy_run(const LocalFile& partial, const BlockRun& run) {
  std::vector<std::byte> data(run.length);
  const auto count = basis_->read_at(run.offset, data);
  if (!count) return std::unexpected(count.error());
  const Result<> written = partial.write_at(run.offset, std::span(data).first(*count));
  if (written) monitor_.copied(file_.node, run.length);
  return written;
}

void LargeGet::note_error(const Error& error) {
  if (!error_) error_ = error;
}

}  // namespace homefs
