#include "fusefs/fuse_reply.h"

#define FUSE_USE_VERSION 314
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/uio.h>

#include <array>

#include "fusefs/fuse_session.h"
#include "fusefs/fuse_waiting.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

fuse_entry_param entry_param(const FuseOps& ops, const EntryOut& entry) {
  fuse_entry_param out{};
  out.ino = number_of(entry.node);
  out.generation = 0;  // numbers are never used again
  out.entry_timeout = static_cast<double>(entry.entry_ttl.count());
  out.attr_timeout = static_cast<double>(entry.attributes_ttl.count());
  if (entry.node != kNoNode) out.attr = ops.to_stat(entry.attributes);
  return out;
}

fuse_file_info open_info(const OpenOut& open, int flags) {
  fuse_file_info info{};
  info.flags = flags;
  info.fh = open.handle;
  info.keep_cache = open.keep_cache ? 1 : 0;
  // Nothing was written through a handle that only reads: its close needs no answer, but for those
  // who lose their locks by it.
  info.noflush = (flags & O_ACCMODE) == O_RDONLY && !open.has_locks ? 1 : 0;
  info.direct_io = open.direct_io ? 1 : 0;
  return info;
}

// The kernel takes one entry of a request that was interrupted as not delivered.
bool is_not_delivered(int result) { return result == -ENOENT; }

}  // namespace

void reply_error(FuseRequest request, const Error& error) {
  fuse_reply_err(request, errno_of(error.status));
}

Task<> reply_done(FuseRequest request, Task<Result<>> work) {
  Waiting waiting(request);
  Result<> result = co_await std::move(work);
  if (!waiting.take()) co_return;
  fuse_reply_err(request, result ? 0 : errno_of(result.error().status));
}

bool is_in_doubt(const Error& error) {
  return error.status == Status::kIoError || error.status == Status::kTimedOut ||
         error.status == Status::kDisconnected || error.status == Status::kInterrupted;
}

Task<> reply_change(FuseOps& ops, FuseRequest request, Concerned concerned, Task<Result<>> work) {
  Waiting waiting(request);
  Result<> result = co_await std::move(work);
  const bool is_late = !waiting.take();
  if (!is_late) fuse_reply_err(request, result ? 0 : errno_of(result.error().status));
  if (is_late || (!result && is_in_doubt(result.error()))) ops.files().correct_kernel(concerned);
}

Task<> reply_flush(FuseRequest request, Task<Result<>> work) {
  Waiting waiting(request, WaitingRequests::Kind::kClose);
  Result<> result = co_await std::move(work);
  if (!waiting.take()) co_return;
  fuse_reply_err(request, result ? 0 : errno_of(result.error().status));
}

Task<> reply_entry(FuseOps& ops, FuseRequest request, Task<Result<EntryOut>> work,
                   Concerned concerned) {
  Waiting waiting(request);
  Result<EntryOut> entry = co_await std::move(work);
  bool is_delivered = waiting.take();
  const bool is_in_time = is_delivered && (entry || !is_in_doubt(entry.error()));
  if (is_delivered && !entry) {
    reply_error(request, entry.error());
  } else if (is_delivered && entry->node == kNoNode && entry->entry_ttl.count() == 0) {
    fuse_reply_err(request, ENOENT);
  } else if (is_delivered) {
    const fuse_entry_param out = entry_param(ops, *entry);
    is_delivered = !is_not_delivered(fuse_reply_entry(request, &out));
  }
  if (!is_in_time) ops.files().correct_kernel(concerned);
  if (entry) ops.files().kernel_has(entry->node, entry->attributes_ttl);
  if (!is_delivered && entry && entry->node != kNoNode) ops.files().forget(entry->node, 1);
}

Task<> reply_attributes(FuseOps& ops, FuseRequest request, Task<Result<AttributesOut>> work,
                        Concerned concerned) {
  Waiting waiting(request);
  Result<AttributesOut> out = co_await std::move(work);
  const bool is_late = !waiting.take();
  if (is_late || (!out && is_in_doubt(out.error()))) ops.files().correct_kernel(concerned);
  if (is_late) co_return;
  if (!out) {
    reply_error(request, out.error());
  } else {
    const struct stat attributes = ops.to_stat(out->attributes);
    fuse_reply_attr(request, &attributes, static_cast<double>(out->ttl.count()));
  }
}

Task<> reply_target(FuseRequest request, Task<Result<std::string>> work) {
  Waiting waiting(request);
  Result<std::string> target = co_await std::move(work);
  if (!waiting.take()) co_return;
  if (!target) {
    reply_error(request, target.error());
  } else {
    fuse_reply_readlink(request, target->c_str());
  }
}

Task<> reply_open(FuseOps& ops, FuseRequest request, int flags, Task<Result<OpenOut>> work,
                  Concerned concerned) {
  Waiting waiting(request);
  Result<OpenOut> open = co_await std::move(work);
  bool is_delivered = waiting.take();
  if (!is_delivered) ops.files().correct_kernel(concerned);
  if (is_delivered && !open) {
    reply_error(request, open.error());
  } else if (is_delivered) {
    const fuse_file_info info = open_info(*open, flags);
    is_delivered = !is_not_delivered(fuse_reply_open(request, &info));
  }
  if (!is_delivered && open) ops.files().release(open->handle);
}

Task<> reply_create(FuseOps& ops, FuseRequest request, int flags, Task<Result<CreateOut>> work,
                    Concerned concerned) {
  Waiting waiting(request);
  Result<CreateOut> created = co_await std::move(work);
  bool is_delivered = waiting.take();
  const bool is_in_time = is_delivered && (created || !is_in_doubt(created.error()));
  if (is_delivered && !created) {
    reply_error(request, created.error());
  } else if (is_delivered) {
    const fuse_entry_param entry = entry_param(ops, created->entry);
    const fuse_file_info info = open_info(created->open, flags);
    is_delivered = !is_not_delivered(fuse_reply_create(request, &entry, &info));
  }
  if (!is_in_time) ops.files().correct_kernel(concerned);
  if (created) ops.files().kernel_has(created->entry.node, created->entry.attributes_ttl);
  if (!is_delivered && created) {
    ops.files().release(created->open.handle);
    ops.files().forget(created->entry.node, 1);
  }
}

Task<> reply_folder(FuseOps& ops, FuseRequest request, Task<Result<FolderOut>> work) {
  Waiting waiting(request);
  Result<FolderOut> opened = co_await std::move(work);
  bool is_delivered = waiting.take();
  if (is_delivered && !opened) {
    reply_error(request, opened.error());
  } else if (is_delivered) {
    fuse_file_info info{};
    info.fh = opened->handle;
    info.cache_readdir = opened->may_cache ? 1 : 0;
    info.keep_cache = opened->keep_cache ? 1 : 0;
    is_delivered = !is_not_delivered(fuse_reply_open(request, &info));
  }
  if (!is_delivered && opened) ops.files().release_folder(opened->handle);
}

Task<> reply_data(FuseRequest request, Task<Result<std::vector<Slice>>> work) {
  Waiting waiting(request);
  Result<std::vector<Slice>> data = co_await std::move(work);
  if (!waiting.take()) co_return;
  if (!data) {
    reply_error(request, data.error());
  } else {
    std::vector<iovec> parts;
    parts.reserve(data->size());
    for (const Slice& slice : *data) {
      // writev() does not change what it sends; the kernel's interface has no const.
      parts.push_back({const_cast<std::byte*>(slice.bytes.data()), slice.bytes.size()});
    }
    fuse_reply_iov(request, parts.data(), static_cast<int>(parts.size()));
  }
}

Task<> reply_xattr(FuseRequest request, std::size_t size, Task<Result<SharedBuffer>> work) {
  Waiting waiting(request);
  Result<SharedBuffer> value = co_await std::move(work);
  if (!waiting.take()) co_return;
  if (!value) {
    reply_error(request, value.error());
  } else if (size == 0) {
    fuse_reply_xattr(request, (*value)->bytes().size());
  } else if ((*value)->bytes().size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    const auto bytes = (*value)->bytes();
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

Task<> reply_statfs(FuseRequest request, Task<StatfsReply> work) {
  constexpr std::uint64_t kUnitBytes = 4096;
  constexpr std::uint64_t kFilesUnlimited = std::uint64_t{1} << 32;
  Waiting waiting(request);
  const StatfsReply home = co_await std::move(work);
  if (!waiting.take()) co_return;
  const bool is_limited = home.grant.limit != 0;
  const std::uint64_t left =
      home.grant.limit > home.grant.used ? home.grant.limit - home.grant.used : 0;
  const std::uint64_t size = is_limited ? home.grant.limit : home.disk_bytes;
  const std::uint64_t free = is_limited ? left : home.disk_bytes_free;
  const std::uint64_t files = home.files_max != 0 ? home.files_max : kFilesUnlimited;
  struct statvfs out{};
  out.f_bsize = kIoBytes;
  out.f_frsize = kUnitBytes;
  out.f_blocks = size / kUnitBytes;
  out.f_bfree = free / kUnitBytes;
  out.f_bavail = free / kUnitBytes;
  out.f_files = files;
  out.f_ffree = files - std::min(files, home.files_used);
  out.f_favail = out.f_ffree;
  out.f_namemax = kNameBytesMax;
  fuse_reply_statfs(request, &out);
}

Task<> reply_count(FuseOps& ops, FuseRequest request, Task<Result<std::uint64_t>> work,
                   Concerned concerned) {
  Waiting waiting(request);
  Result<std::uint64_t> count = co_await std::move(work);
  const bool is_late = !waiting.take();
  if (is_late || (!count && is_in_doubt(count.error()))) ops.files().correct_kernel(concerned);
  if (is_late) co_return;
  if (!count) {
    reply_error(request, count.error());
  } else {
    fuse_reply_write(request, *count);
  }
}

Task<> reply_offset(FuseRequest request, Task<Result<std::uint64_t>> work) {
  Waiting waiting(request);
  Result<std::uint64_t> offset = co_await std::move(work);
  if (!waiting.take()) co_return;
  if (!offset) {
    reply_error(request, offset.error());
  } else {
    fuse_reply_lseek(request, static_cast<off_t>(*offset));
  }
}

}  // namespace homefs
