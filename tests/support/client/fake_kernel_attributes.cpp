// Attributes, notifications, and what happens by itself.
#include <sys/stat.h>

#include <algorithm>

#include "tests/support/client/fake_kernel.h"

namespace homefs::test {

// ---- Attributes ---------------------------------------------------------------------------------

// As fuse_change_attributes(): what was asked before something newer was heard changes nothing.
void FakeKernel::change_attributes(Inode& inode, const Attributes& attributes, Seconds ttl,
                                   std::uint64_t version) {
  const bool is_new = inode.attributes.inode == InodeNumber{};
  if (!is_new && inode.is_size_unstable) return;
  if (version != 0 && inode.attributes_version > version) return;
  inode.attributes_version = ++version_;
  inode.attributes = attributes;
  inode.attributes_until = now_ + ttl;
  const std::uint64_t before = std::exchange(inode.size, attributes.size);
  if (before != attributes.size) truncate_pages(inode, attributes.size);
}

// The rest of the last page is zeroed, so that it does not show when the file grows again.
void FakeKernel::truncate_pages(Inode& inode, std::uint64_t size) {
  inode.pages.erase(inode.pages.lower_bound((size + kPageBytes - 1) / kPageBytes),
                    inode.pages.end());
  const auto last = inode.pages.find(size / kPageBytes);
  if (last == inode.pages.end()) return;
  std::fill(last->second->bytes.begin() + static_cast<std::ptrdiff_t>(size % kPageBytes),
            last->second->bytes.end(), '\0');
}

Task<Result<Attributes>> FakeKernel::get_attributes(InodeRef inode) {
  const std::uint64_t version = version_;
  Result<AttributesOut> out = co_await ask(files_.getattr(inode->node));
  if (!out) co_return std::unexpected(out.error());
  change_attributes(*inode, out->attributes, out->ttl, version);
  co_return out->attributes;
}

Task<Result<Attributes>> FakeKernel::stat(std::string path) {
  Result<InodeRef> inode = co_await walk(path, false);
  if (!inode) co_return std::unexpected(inode.error());
  Attributes kept = (*inode)->attributes;
  kept.size = (*inode)->size;
  if (has_attributes(**inode)) co_return kept;
  Result<Attributes> asked = co_await get_attributes(*inode);
  co_return asked;
}

Task<Result<Attributes>> FakeKernel::fstat(int fd) {
  InodeRef inode = files_open_.at(fd)->inode;
  Attributes kept = inode->attributes;
  kept.size = inode->size;
  if (has_attributes(*inode)) co_return kept;
  Result<Attributes> asked = co_await get_attributes(inode);
  co_return asked;
}

Task<Result<std::uint64_t>> FakeKernel::seek_end(int fd) {
  InodeRef inode = files_open_.at(fd)->inode;
  if (!has_attributes(*inode)) {
    Result<Attributes> asked = co_await get_attributes(inode);
    if (!asked) co_return std::unexpected(asked.error());
  }
  co_return inode->size;
}

Task<Result<>> FakeKernel::set_attributes(InodeRef inode, SetattrRequest request) {
  Held held = co_await acquire(inode, /*is_exclusive=*/true);
  const bool has_size = (request.which & kSetSize) != 0;
  request.node = inode->node;
  if (has_size) inode->is_size_unstable = true;
  Result<AttributesOut> out = co_await ask(files_.setattr(request));
  inode->is_size_unstable = false;
  if (!out) {
    invalidate_attributes(*inode);
    co_return std::unexpected(out.error());
  }
  inode->attributes_version = ++version_;
  inode->attributes = out->attributes;
  inode->attributes_until = now_ + out->ttl;
  const std::uint64_t before = std::exchange(inode->size, out->attributes.size);
  if (has_size || before != inode->size) truncate_pages(*inode, inode->size);
  if (before != inode->size) inode->pages.clear();
  co_return Result<>();
}

Task<Result<>> FakeKernel::truncate(int fd, std::uint64_t size) {
  InodeRef inode = files_open_.at(fd)->inode;
  SetattrRequest request{.which = kSetSize, .size = size};
  Result<> done = co_await set_attributes(inode, request);
  co_return done;
}

Task<Result<>> FakeKernel::chmod(std::string path, std::uint32_t mode) {
  Result<InodeRef> inode = co_await walk(path, false);
  if (!inode) co_return std::unexpected(inode.error());
  SetattrRequest request{.which = kSetMode, .mode = mode};
  Result<> done = co_await set_attributes(*inode, request);
  co_return done;
}

// ---- Notifications ------------------------------------------------------------------------------

bool FakeKernel::can_take(const Notice& notice) const {
  const auto found = inodes_.find(notice.node);
  if (found == inodes_.end()) return true;
  const Inode& inode = *found->second;
  if (notice.kind == Notice::Kind::kEntry) {
    return !inode.lock.has_writer && inode.lock.readers == 0;
  }
  if (notice.kind == Notice::Kind::kEnd) {
    const auto page = inode.pages.find((notice.place - 1) / kPageBytes);
    return page == inode.pages.end() || !page->second->is_locked;
  }
  if (notice.kind != Notice::Kind::kData) return true;
  return std::ranges::none_of(inode.pages,
                              [](const auto& entry) { return entry.second->is_locked; });
}

void FakeKernel::take(const Notice& notice) {
  if (notice.kind == Notice::Kind::kAllEntries) {
    ++epoch_;
    return;
  }
  const auto found = inodes_.find(notice.node);
  if (found == inodes_.end()) return;
  Inode& inode = *found->second;
  if (notice.kind == Notice::Kind::kEntry) {
    inode.dentries.erase(notice.name);
    invalidate_attributes(inode);
    return;
  }
  // As fuse_notify_store(): an end that is none the newer changes no attributes.
  const bool is_old_end = notice.kind == Notice::Kind::kEnd && notice.place <= inode.size;
  if (!is_old_end) inode.attributes_version = ++version_;
  if (notice.kind == Notice::Kind::kEnd) {
    inode.size = std::max(inode.size, notice.place);
    const auto page = inode.pages.find((notice.place - 1) / kPageBytes);
    if (page == inode.pages.end() || !page->second->is_uptodate) return;
    page->second->bytes[(notice.place - 1) % kPageBytes] = static_cast<char>(notice.last);
    return;
  }
  invalidate_attributes(inode);
  if (notice.kind == Notice::Kind::kData) inode.pages.clear();
}

void FakeKernel::shrink(std::uint64_t choice) {
  std::vector<InodeRef> all;
  for (const auto& [node, inode] : inodes_) all.push_back(inode);
  const InodeRef inode = all[choice % all.size()];
  std::erase_if(inode->pages, [](const auto& entry) { return !entry.second->is_locked; });
  // Its names that nobody uses: leaves only.
  for (auto place = inode->dentries.begin(); place != inode->dentries.end();) {
    const InodeRef& child = place->second.inode;
    const bool is_used = child != nullptr && !child->dentries.empty();
    place = is_used || inode->lock.has_writer || inode->lock.readers > 0
                ? std::next(place)
                : inode->dentries.erase(place);
  }
  all.clear();
  std::vector<std::pair<NodeId, std::uint64_t>> forgotten;
  std::erase_if(inodes_, [&](const auto& entry) {
    // Only the table has it, and (for the one that was chosen) we.
    const long users = entry.second == inode ? 2 : 1;
    if (entry.first == kRootNode || entry.second.use_count() > users) return false;
    forgotten.emplace_back(entry.first, entry.second->lookups);
    return true;
  });
  for (const auto& [node, count] : forgotten) files_.forget(node, count);
}

}  // namespace homefs::test
