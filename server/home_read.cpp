// Home: operations on data that change nothing.

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include <unistd.h>

#include "protocol/block.h"
#include "protocol/block_md5.h"
#include "protocol/md5_stream.h"
#include "server/digest_cache.h"
#include "server/disk_mode.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/orphanage.h"
#include "server/sync_debt.h"

namespace homefs {
namespace {

constexpr auto kOffsetMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// Blocks in one answer to a digest request: their digests fit into a frame with room to spare.
constexpr std::uint64_t kDigestBlocksMax = 32768;

/// The digest of a file above this is worth a wait of 50 ms that makes it one to keep: it is hashed
/// at some 600 MB/s.
constexpr std::uint64_t kWorthKeepingBytes = 64ull * 1024 * 1024;

bool is_gone(Status status) { return status == Status::kNoSuchFile || status == Status::kStale; }

/// Whether another attempt to open a file may do.
bool is_for_now(Status status) {
  return status == Status::kTooManyOpen || status == Status::kNoMemory ||
         status == Status::kIoError;
}

}  // namespace

// The descriptor of a regular file; data of anything else is not the server's business.
Result<disk::FdRef> Home::open_file(const InodeRef& inode) {
  if (inode->is_folder()) return fail(Status::kIsDirectory);
  if (!inode->is_file()) return fail(Status::kInvalid);
  return inodes_->open(inode);
}

Result<ReadResult> Home::read(const InodeRef& inode, std::uint64_t offset, std::size_t length) {
  HOMEFS_CHECK(length <= kPayloadBytesMax);
  if (offset > kOffsetMax - length) return fail(Status::kInvalid, "offset out of range");
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  // The version is taken first: if a write comes in between, what was read counts as older than it
  // is, and is read again; never as newer.
  const auto stat = disk::stat_fd((*file)->get());
  if (!stat) return std::unexpected(stat.error());
  const Attributes attributes = told(inode, *stat, /*is_change=*/false);
  ReadResult result{.version = attributes.version, .size = attributes.size};
  if (offset >= attributes.size) return result;
  const std::size_t wanted = std::min<std::uint64_t>(length, attributes.size - offset);
  SharedBuffer buffer = options_.buffers->get(wanted);
  const auto bytes = disk::read_at((*file)->get(), buffer->writable().first(wanted), offset);
  if (!bytes) return std::unexpected(bytes.error());
  buffer->resize(*bytes);
  result.data = slice_of(buffer);
  return result;
}

Result<std::uint64_t> Home::seek(const InodeRef& inode, std::uint64_t offset, SeekWhence whence) {
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  if (offset > kOffsetMax) return fail(Status::kNoDeviceAddress);
  return disk::seek((*file)->get(), offset, whence == SeekWhence::kData ? SEEK_DATA : SEEK_HOLE);
}

Result<void> Home::fsync(const InodeRef& inode, bool data_only) {
  if (!inode->is_file() && !inode->is_folder()) return fail(Status::kInvalid);
  const auto file = inodes_->open(inode);
  if (!file && file.error().status == Status::kNoSuchFile) return {};  // a folder that was removed
  if (!file) return std::unexpected(file.error());
  return inode->sync_failures().run([&] { return disk::sync((*file)->get(), data_only); });
}

Result<void> Home::settle(SyncDebt& debt) {
  return debt.settle(
      {.sync_inode = [this](const InodeRef& inode) -> Result<void> {
         // The disk has no more of the others than their folder says.
         if (!inode->is_file() && !inode->is_folder()) return {};
         const auto file = inodes_->open(inode);
         if (!file && is_gone(file.error().status)) return {};  // its folder was touched as well
         if (!file && is_for_now(file.error().status)) return std::unexpected(file.error());
         // The server may rename what it may not open: that is no error of the file that is synced.
         if (!file) return disk::sync_file_system(orphanage_->folder()->get());
         return inode->sync_failures().run(
             [&] { return disk::sync((*file)->get(), /*data_only=*/false); });
       },
       .sync_all = [this] { return disk::sync_file_system(orphanage_->folder()->get()); }});
}

Result<DigestReply> Home::digest(const InodeRef& inode, const DigestRequest& request,
                                 const std::function<bool()>& is_cancelled) {
  const auto file = open_file(inode);
  if (!file) return std::unexpected(file.error());
  auto stat = disk::stat_fd((*file)->get());
  if (!stat) return std::unexpected(stat.error());
  if (request.whole && stat->attributes.size > kWorthKeepingBytes) {
    // To read such a file once more takes longer than its last change needs to grow old.
    std::this_thread::sleep_for(
        InodeTable::time_until_settled(disk::nanoseconds_of(stat->attributes.ctime)));
    stat = disk::stat_fd((*file)->get());
    if (!stat) return std::unexpected(stat.error());
  }
  // Another change in the same tick of the clock would be told by the version only while the inode
  // is known: such a digest is not kept.
  const bool is_settled =
      InodeTable::time_until_settled(disk::nanoseconds_of(stat->attributes.ctime)).count() == 0;
  const Attributes attributes = told(inode, *stat, /*is_change=*/false);
  DigestReply reply{.version = attributes.version, .size = attributes.size};
  if (request.whole) {
    if (const auto known = digests_->find(inode->number(), reply.version)) {
      reply.digests.assign(1, *known);
      return reply;
    }
  }

  std::uint64_t at = 0;
  std::uint64_t end = attributes.size;
  if (!request.whole) {
    if (request.offset > kOffsetMax || request.length > kOffsetMax - request.offset) {
      return fail(Status::kInvalid, "range out of range");
    }
    if (request.length > kDigestBlocksMax * kBlockBytes) return fail(Status::kInvalid, "too long");
    if (request.length == 0) return reply;
    // Whole blocks, as they are in the file.
    at = request.offset - request.offset % kBlockBytes;
    const std::uint64_t last = request.offset + request.length;
    end = std::min<std::uint64_t>(end, (last + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
  }
  Md5Stream whole;
  SharedBuffer buffer = options_.buffers->get(kPayloadBytesMax);
  while (at < end) {
    if (is_cancelled && is_cancelled()) return fail(Status::kInterrupted);
    const auto part = buffer->writable().first(std::min<std::uint64_t>(kPayloadBytesMax, end - at));
    const auto bytes = disk::read_at((*file)->get(), part, at);
    if (!bytes) return std::unexpected(bytes.error());
    if (*bytes == 0) break;  // cut short meanwhile; the version says so
    const auto data = part.first(*bytes);
    if (request.whole) {
      whole.update(data);
    } else {
      const std::size_t first = reply.digests.size();
      reply.digests.resize(first + piece_count(at, data.size()));
      md5_pieces(at, data, std::span(reply.digests).subspan(first));
    }
    at += *bytes;
  }
  if (request.whole) {
    reply.digests.assign(1, whole.finish());
    // The version is older than the data at most: what is kept under it is asked for no more then.
    if (is_settled) digests_->put(inode->number(), reply.version, reply.digests.front());
  }
  return reply;
}

}  // namespace homefs
