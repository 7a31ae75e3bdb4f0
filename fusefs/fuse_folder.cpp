#include "fusefs/fuse_folder.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <vector>

#include "fusefs/fuse_reply.h"
#include "fusefs/fuse_waiting.h"

namespace homefs {
namespace {

FuseOps& ops_of(fuse_req_t request) { return *static_cast<FuseOps*>(fuse_req_userdata(request)); }

void on_opendir(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_folder(ops, request, ops.files().open_folder(NodeId{node})));
}

// One answer to readdir or readdirplus: entries until `bytes` are filled.
class Listing {
 public:
  Listing(FuseOps& ops, fuse_req_t request, std::size_t bytes, bool is_plus)
      : ops_(ops), request_(request), buffer_(bytes), is_plus_(is_plus) {}

  bool add(const SnapshotEntry& entry, const EntryOut& out, std::uint64_t next_offset) {
    const std::size_t room = buffer_.size() - used_;
    const auto offset = static_cast<off_t>(next_offset);
    std::size_t needed = 0;
    if (is_plus_) {
      fuse_entry_param shown{};
      shown.ino = number_of(out.node);
      shown.entry_timeout = static_cast<double>(out.entry_ttl.count());
      shown.attr_timeout = static_cast<double>(out.attributes_ttl.count());
      shown.attr = ops_.to_stat(out.attributes);
      if (out.node == kNoNode) shown.attr = type_only(entry);
      needed = fuse_add_direntry_plus(request_, buffer_.data() + used_, room, entry.name.c_str(),
                                      &shown, offset);
    } else {
      const struct stat shown = type_only(entry);
      needed = fuse_add_direntry(request_, buffer_.data() + used_, room, entry.name.c_str(), &shown,
                                 offset);
    }
    if (needed > room) return false;
    used_ += needed;
    end_ = next_offset;
    may_be_kept_ |= out.entry_ttl.count() > 0 || out.attributes_ttl.count() > 0;
    return true;
  }
  void reply() { fuse_reply_buf(request_, buffer_.data(), used_); }
  /// The offset behind the last entry.
  [[nodiscard]] std::uint64_t end() const { return end_; }
  [[nodiscard]] bool may_be_kept() const { return may_be_kept_; }

 private:
  static struct stat type_only(const SnapshotEntry& entry) {
    struct stat shown{};
    shown.st_ino = number_of(entry.inode);
    shown.st_mode = entry.mode;
    return shown;
  }

  FuseOps& ops_;
  fuse_req_t request_;
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  std::uint64_t end_ = 0;
  bool may_be_kept_ = false;
  bool is_plus_;
};

Task<> read_folder(FuseOps& ops, fuse_req_t request, std::size_t bytes, std::uint64_t offset,
                   std::uint64_t handle, bool is_plus) {
  Waiting waiting(request);
  Result<> rewound = co_await ops.files().rewind_folder(handle, offset);
  if (!waiting.take()) co_return;
  if (!rewound) {
    reply_error(request, rewound.error());
    co_return;
  }
  Listing listing(ops, request, bytes, is_plus);
  const FileSystem::Show show = [&listing](const SnapshotEntry& entry, const EntryOut& out,
                                           std::uint64_t next) {
    return listing.add(entry, out, next);
  };
  Result<> result = ops.files().read_folder(handle, offset, is_plus, show);
  if (!result) {
    reply_error(request, result.error());
  } else {
    const auto shown = listing.may_be_kept() ? ops.files().listing_of(handle) : nullptr;
    listing.reply();
    if (shown != nullptr) ops.files().kernel_listed(*shown, offset, listing.end());
  }
}

void on_readdir(fuse_req_t request, fuse_ino_t, std::size_t bytes, off_t offset,
                fuse_file_info* info) {
  FuseOps& ops = ops_of(request);
  ops.spawn(read_folder(ops, request, bytes, static_cast<std::uint64_t>(offset), info->fh, false));
}

void on_readdirplus(fuse_req_t request, fuse_ino_t, std::size_t bytes, off_t offset,
                    fuse_file_info* info) {
  FuseOps& ops = ops_of(request);
  ops.spawn(read_folder(ops, request, bytes, static_cast<std::uint64_t>(offset), info->fh, true));
}

void on_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  ops_of(request).files().release_folder(info->fh);
  fuse_reply_err(request, 0);
}

void on_fsyncdir(fuse_req_t request, fuse_ino_t node, int data_only, fuse_file_info*) {
  FuseOps& ops = ops_of(request);
  ops.spawn(reply_done(request, ops.files().fsync(NodeId{node}, /*handle=*/0, data_only != 0)));
}

}  // namespace

void add_folder_operations(fuse_lowlevel_ops& table) {
  table.opendir = on_opendir;
  table.readdir = on_readdir;
  table.readdirplus = on_readdirplus;
  table.releasedir = on_releasedir;
  table.fsyncdir = on_fsyncdir;
}

}  // namespace homefs
