// Names.
#include "tests/support/client/fake_kernel.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace homefs::test {

FakeKernel::FakeKernel(FileSystem& files, Later later) : files_(files), later_(std::move(later)) {
  auto root = std::make_shared<Inode>();
  root->node = kRootNode;
  root->lookups = 1;
  root->attributes.mode = S_IFDIR | 0755;
  inodes_[kRootNode] = std::move(root);
}

FakeKernel::~FakeKernel() = default;

// ---- Turns and locks ----------------------------------------------------------------------------

Task<> FakeKernel::pause() {
  Completion<bool> turn([this](Completion<bool>::Done done) {
    later_([done = std::move(done)]() mutable { done(true); });
  });
  (void)co_await turn;
}

void FakeKernel::wake(std::vector<std::move_only_function<void()>>& waiters) {
  for (auto& waiter : std::exchange(waiters, {})) later_(std::move(waiter));
}

Task<FakeKernel::Held> FakeKernel::acquire(InodeRef inode, bool is_exclusive) {
  while (inode->lock.has_writer || (is_exclusive && inode->lock.readers > 0)) {
    Completion<bool> turn([&](Completion<bool>::Done done) {
      inode->lock.waiters.push_back([done = std::move(done)]() mutable { done(true); });
    });
    (void)co_await turn;
  }
  if (is_exclusive) {
    inode->lock.has_writer = true;
  } else {
    ++inode->lock.readers;
  }
  co_return Held(*this, inode, is_exclusive);
}

FakeKernel::Held::~Held() {
  if (inode_ == nullptr) return;
  if (is_exclusive_) {
    inode_->lock.has_writer = false;
  } else {
    --inode_->lock.readers;
  }
  kernel_->wake(inode_->lock.waiters);
}

std::string FakeKernel::held_locks() const {
  std::string all = "locked:";
  for (const auto& [node, inode] : inodes_) {
    const std::uint64_t number = number_of(node);
    if (inode->lock.has_writer) all += fmt::format(" node {}", number);
    if (inode->lock.readers > 0) all += fmt::format(" node {} (shared)", number);
    for (const auto& [index, page] : inode->pages) {
      if (page->is_locked) all += fmt::format(" page {} of {}", index, number);
    }
  }
  return all;
}

// ---- Names --------------------------------------------------------------------------------------

bool FakeKernel::is_valid(const Dentry& dentry) const {
  return dentry.epoch == epoch_ && dentry.until > now_;
}

void FakeKernel::put_dentry(Inode& folder, const std::string& name, InodeRef inode, Seconds ttl) {
  folder.dentries[name] = {std::move(inode), now_ + ttl, epoch_};
}

FakeKernel::InodeRef FakeKernel::instantiate(const EntryOut& entry, std::uint64_t version) {
  InodeRef& inode = inodes_[entry.node];
  const bool is_new = inode == nullptr;
  if (is_new) {
    inode = std::make_shared<Inode>();
    inode->node = entry.node;
  }
  ++inode->lookups;
  change_attributes(*inode, entry.attributes, entry.attributes_ttl, is_new ? 0 : version);
  return inode;
}

/// A LOOKUP of a name that the kernel knows nothing of.
Task<Result<FakeKernel::InodeRef>> FakeKernel::look_up(InodeRef folder, std::string name) {
  const std::uint64_t version = version_;
  const std::uint64_t epoch = epoch_;
  Result<EntryOut> entry = co_await ask(files_.lookup(folder->node, name));
  if (!entry) co_return std::unexpected(entry.error());
  InodeRef inode = entry->node == kNoNode ? nullptr : instantiate(*entry, version);
  if (inode != nullptr || entry->entry_ttl.count() > 0) {
    put_dentry(*folder, name, inode, entry->entry_ttl);
    folder->dentries[name].epoch = epoch;  // as of before the question
  } else {
    folder->dentries.erase(name);
  }
  co_return inode;
}

/// Null: it does not exist. `is_locked`: the caller holds the folder's lock.
Task<Result<FakeKernel::InodeRef>> FakeKernel::find_name(InodeRef folder, std::string name,
                                                         bool is_locked, bool revalidates) {
  const auto found = folder->dentries.find(name);
  if (found != folder->dentries.end()) {
    InodeRef known = found->second.inode;
    if (!revalidates && is_valid(found->second)) co_return known;
    if (known != nullptr) {
      const std::uint64_t version = version_;
      const std::uint64_t epoch = epoch_;
      Result<EntryOut> entry = co_await ask(files_.lookup(folder->node, name));
      if (entry && entry->node == known->node) {
        ++known->lookups;
        change_attributes(*known, entry->attributes, entry->attributes_ttl, version);
        const auto now = folder->dentries.find(name);
        if (now != folder->dentries.end() && now->second.inode == known) {
          now->second.until = now_ + entry->entry_ttl;
          now->second.epoch = epoch;
        }
        co_return known;
      }
      if (entry && entry->node != kNoNode) files_.forget(entry->node, 1);
      if (!entry && entry.error().status != Status::kNoSuchFile) {
        co_return std::unexpected(entry.error());
      }
    }
    const auto now = folder->dentries.find(name);
    if (now != folder->dentries.end() && now->second.inode == known) folder->dentries.erase(now);
  }
  if (is_locked) co_return co_await look_up(folder, name);
  Held held = co_await acquire(folder, /*is_exclusive=*/false);
  const auto now = folder->dentries.find(name);
  if (!revalidates && now != folder->dentries.end() && is_valid(now->second)) {
    co_return now->second.inode;
  }
  Result<InodeRef> fresh = co_await look_up(folder, name);
  co_return fresh;
}

Task<Result<FakeKernel::InodeRef>> FakeKernel::walk(std::string path, bool revalidates,
                                                    std::vector<InodeRef>* above) {
  InodeRef at = inodes_[kRootNode];
  std::size_t begin = 0;
  while (begin < path.size()) {
    const std::size_t slash = std::min(path.find('/', begin), path.size());
    if (!S_ISDIR(at->attributes.mode)) co_return fail(Status::kNotDirectory);
    std::string name = path.substr(begin, slash - begin);
    Result<InodeRef> next = co_await find_name(at, std::move(name), false, revalidates);
    if (!next) co_return next;
    if (*next == nullptr) co_return fail(Status::kNoSuchFile);
    if (above != nullptr) above->push_back(at);
    at = *next;
    begin = slash + 1;
  }
  co_return at;
}

Task<Result<FakeKernel::Place>> FakeKernel::place_of(std::string path, bool revalidates,
                                                     std::vector<InodeRef>* above) {
  const std::size_t slash = path.rfind('/');
  const bool is_top = slash == std::string::npos;
  std::string folders = is_top ? std::string() : path.substr(0, slash);
  Result<InodeRef> folder = co_await walk(std::move(folders), revalidates, above);
  if (!folder) co_return std::unexpected(folder.error());
  if (!S_ISDIR((*folder)->attributes.mode)) co_return fail(Status::kNotDirectory);
  co_return Place{*folder, is_top ? path : path.substr(slash + 1)};
}

Task<Result<int>> FakeKernel::open(std::string path, int flags) {
  Result<int> opened = co_await open_once(path, flags, false);
  if (!opened && opened.error().status == Status::kStale) {
    opened = co_await open_once(path, flags, true);
  }
  co_return opened;
}

Task<Result<int>> FakeKernel::open_once(std::string path, int flags, bool revalidates) {
  std::vector<InodeRef> above;
  if ((flags & O_CREAT) == 0) {
    Result<InodeRef> inode = co_await walk(path, revalidates, &above);
    if (!inode) co_return std::unexpected(inode.error());
    Result<int> opened = co_await open_inode(*inode, flags);
    if (opened) files_open_.at(*opened)->above = std::move(above);
    co_return opened;
  }
  Result<Place> place = co_await place_of(path, revalidates, &above);
  if (!place) co_return std::unexpected(place.error());
  InodeRef existing;
  {
    Held held = co_await acquire(place->folder, /*is_exclusive=*/true);
    Result<InodeRef> found = co_await find_name(place->folder, place->name, true, revalidates);
    if (!found) co_return std::unexpected(found.error());
    existing = *found;
    if (existing == nullptr) {
      Result<int> created = co_await create(*place, flags);
      if (created) files_open_.at(*created)->above = std::move(above);
      if (created) files_open_.at(*created)->above.push_back(place->folder);
      co_return created;
    }
  }
  if ((flags & O_EXCL) != 0) co_return fail(Status::kExists);
  Result<int> opened = co_await open_inode(existing, flags);
  above.push_back(place->folder);
  if (opened) files_open_.at(*opened)->above = std::move(above);
  co_return opened;
}

Task<Result<int>> FakeKernel::create(Place place, int flags) {
  const std::uint64_t epoch = epoch_;
  CreateRequest request{.parent = place.folder->node, .name = place.name, .mode = S_IFREG | 0644};
  Result<CreateOut> made = co_await ask(files_.create(request, flags));
  if (!made) {
    place.folder->dentries.erase(place.name);
    co_return std::unexpected(made.error());
  }
  InodeRef inode = instantiate(made->entry, 0);
  put_dentry(*place.folder, place.name, inode, made->entry.entry_ttl);
  place.folder->dentries[place.name].epoch = epoch;
  invalidate_attributes(*place.folder);
  co_return add_open(inode, made->open, flags);
}

Task<Result<int>> FakeKernel::open_inode(InodeRef inode, int flags) {
  if (S_ISDIR(inode->attributes.mode)) co_return fail(Status::kIsDirectory);
  Result<OpenOut> out = co_await ask(files_.open(inode->node, flags & ~(O_TRUNC | O_CREAT)));
  if (!out) co_return std::unexpected(out.error());
  const int fd = add_open(inode, *out, flags);
  if ((flags & O_TRUNC) != 0) {
    Result<> cut = co_await truncate(fd, 0);
    if (!cut) {
      (void)co_await close(fd);
      co_return std::unexpected(cut.error());
    }
  }
  co_return fd;
}

// As fuse_reply.cpp tells the kernel.
int FakeKernel::add_open(InodeRef inode, const OpenOut& out, int flags) {
  const bool is_writer = (flags & O_ACCMODE) != O_RDONLY;
  auto file = std::make_shared<OpenFile>();
  file->handle = out.handle;
  file->flags = flags;
  file->is_direct = out.direct_io;
  file->has_flush = is_writer || out.has_locks;
  if (!out.keep_cache && !file->is_direct) inode->pages.clear();
  file->inode = std::move(inode);
  const int fd = ++last_fd_;
  files_open_.emplace(fd, std::move(file));
  return fd;
}

FakeKernel::Identity FakeKernel::identity_of(int fd) const {
  const Attributes& attributes = files_open_.at(fd)->inode->attributes;
  return {attributes.inode, attributes.generation};
}

Task<Result<>> FakeKernel::close(int fd, std::uint64_t owner) {
  OpenRef file = files_open_.at(fd);
  files_open_.erase(fd);
  Result<> flushed;
  if (file->has_flush) {
    flushed = co_await ask(files_.close(file->inode->node, file->handle, owner));
  }
  co_await pause();
  files_.release_with_locks(file->handle);
  co_return flushed;
}

Task<Result<>> FakeKernel::mkdir(std::string path) {
  Result<Place> place = co_await place_of(path, false);
  if (!place) co_return std::unexpected(place.error());
  Held held = co_await acquire(place->folder, /*is_exclusive=*/true);
  Result<InodeRef> found = co_await find_name(place->folder, place->name, true, false);
  if (!found) co_return std::unexpected(found.error());
  if (*found != nullptr) co_return fail(Status::kExists);
  const std::uint64_t epoch = epoch_;
  MakeRequest request{.parent = place->folder->node, .name = place->name, .mode = S_IFDIR | 0755};
  Result<EntryOut> made = co_await ask(files_.make(request));
  place->folder->dentries.erase(place->name);
  if (!made) co_return std::unexpected(made.error());
  put_dentry(*place->folder, place->name, instantiate(*made, 0), made->entry_ttl);
  place->folder->dentries[place->name].epoch = epoch;
  invalidate_attributes(*place->folder);
  co_return Result<>();
}

void FakeKernel::removed(Inode& folder, const std::string& name, const Result<>& result) {
  const bool is_gone = result || result.error().status == Status::kInterrupted ||
                       result.error().status == Status::kNoSuchFile;
  if (!is_gone) return;
  const auto found = folder.dentries.find(name);
  if (found != folder.dentries.end()) {
    if (found->second.inode != nullptr) invalidate_attributes(*found->second.inode);
    folder.dentries.erase(found);
  }
  invalidate_attributes(folder);
}

Task<Result<>> FakeKernel::remove(std::string path, bool is_folder) {
  Result<Place> place = co_await place_of(path, false);
  if (!place) co_return std::unexpected(place.error());
  Held held = co_await acquire(place->folder, /*is_exclusive=*/true);
  Result<InodeRef> found = co_await find_name(place->folder, place->name, true, false);
  if (!found) co_return std::unexpected(found.error());
  if (*found == nullptr) co_return fail(Status::kNoSuchFile);
  const bool is_really_folder = S_ISDIR((*found)->attributes.mode);
  if (is_folder && !is_really_folder) co_return fail(Status::kNotDirectory);
  if (!is_folder && is_really_folder) co_return fail(Status::kIsDirectory);
  Held child = co_await acquire(*found, /*is_exclusive=*/true);
  Result<> result = co_await ask(files_.remove(place->folder->node, place->name, is_folder));
  removed(*place->folder, place->name, result);
  co_return result;
}

Task<Result<>> FakeKernel::rename(std::string from, std::string to, RenameMode mode) {
  Result<Place> a = co_await place_of(from, false);
  if (!a) co_return std::unexpected(a.error());
  Result<Place> b = co_await place_of(to, false);
  if (!b) co_return std::unexpected(b.error());
  // One rename between folders at a time (s_vfs_rename_mutex); here: the root's lock goes first.
  const bool is_swapped = number_of(b->folder->node) < number_of(a->folder->node);
  InodeRef first_folder = is_swapped ? b->folder : a->folder;
  InodeRef second_folder = is_swapped ? a->folder : b->folder;
  Held first = co_await acquire(first_folder, true);
  std::optional<Held> second;
  if (a->folder != b->folder) {
    Held other = co_await acquire(second_folder, true);
    second.emplace(std::move(other));
  }
  Result<InodeRef> moved = co_await find_name(a->folder, a->name, true, false);
  if (!moved) co_return std::unexpected(moved.error());
  if (*moved == nullptr) co_return fail(Status::kNoSuchFile);
  Result<InodeRef> other = co_await find_name(b->folder, b->name, true, false);
  if (!other) co_return std::unexpected(other.error());
  if (*other != nullptr && mode == RenameMode::kNoReplace) co_return fail(Status::kExists);
  if (*other == nullptr && mode == RenameMode::kExchange) co_return fail(Status::kNoSuchFile);
  if (*other == *moved) {
    ++renames_of_one_file_;
    co_return Result<>();
  }
  // As lock_two_nondirectories(): in the order of their addresses.
  std::vector<InodeRef> both{*moved};
  if (*other != nullptr) both.push_back(*other);
  std::ranges::sort(both, {}, [](const InodeRef& one) { return number_of(one->node); });
  std::vector<Held> held;
  for (const InodeRef& one : both) {
    if (S_ISDIR(one->attributes.mode)) continue;
    Held next = co_await acquire(one, /*is_exclusive=*/true);
    held.push_back(std::move(next));
  }
  RenameRequest request{.parent = a->folder->node,
                        .name = a->name,
                        .new_parent = b->folder->node,
                        .new_name = b->name,
                        .mode = mode};
  Result<> result = co_await ask(files_.rename(request));
  if (!result) {
    removed(*a->folder, a->name, result);
    removed(*b->folder, b->name, result);
    co_return result;
  }
  invalidate_attributes(*a->folder);
  invalidate_attributes(*b->folder);
  invalidate_attributes(**moved);
  if (*other != nullptr) invalidate_attributes(**other);
  // The dentries change places, each with the time it may be kept.
  const auto take = [](Place& place) {
    const auto found = place.folder->dentries.find(place.name);
    std::optional<Dentry> taken;
    if (found == place.folder->dentries.end()) return taken;
    taken = std::move(found->second);
    place.folder->dentries.erase(found);
    return taken;
  };
  std::optional<Dentry> source = take(*a);
  std::optional<Dentry> target = take(*b);
  if (source) b->folder->dentries[b->name] = *std::move(source);
  if (target && mode == RenameMode::kExchange) a->folder->dentries[a->name] = *std::move(target);
  co_return result;
}

Task<Result<>> FakeKernel::link(std::string from, std::string to) {
  Result<InodeRef> inode = co_await walk(from, false);
  if (!inode) co_return std::unexpected(inode.error());
  Result<Place> place = co_await place_of(to, false);
  if (!place) co_return std::unexpected(place.error());
  if (S_ISDIR((*inode)->attributes.mode)) co_return fail(Status::kNotPermitted);
  Held held = co_await acquire(place->folder, /*is_exclusive=*/true);
  Result<InodeRef> found = co_await find_name(place->folder, place->name, true, false);
  if (!found) co_return std::unexpected(found.error());
  if (*found != nullptr) co_return fail(Status::kExists);
  Held source = co_await acquire(*inode, /*is_exclusive=*/true);
  const std::uint64_t epoch = epoch_;
  Result<EntryOut> made =
      co_await ask(files_.link((*inode)->node, place->folder->node, place->name));
  place->folder->dentries.erase(place->name);
  if (!made) co_return std::unexpected(made.error());
  put_dentry(*place->folder, place->name, instantiate(*made, version_), made->entry_ttl);
  place->folder->dentries[place->name].epoch = epoch;
  invalidate_attributes(*place->folder);
  co_return Result<>();
}

// ---- Listings -----------------------------------------------------------------------------------

Task<Result<std::vector<std::string>>> FakeKernel::list(std::string path, std::size_t part,
                                                        bool with_lookup) {
  Result<InodeRef> folder = co_await walk(path, false);
  if (!folder) co_return std::unexpected(folder.error());
  if (!S_ISDIR((*folder)->attributes.mode)) co_return fail(Status::kNotDirectory);
  Result<FolderOut> out = co_await ask(files_.open_folder((*folder)->node));
  if (!out) co_return std::unexpected(out.error());
  std::vector<std::string> names;
  std::uint64_t offset = 0;
  Result<> result;
  while (result) {
    const std::uint64_t before = offset;
    result = co_await read_part(*folder, out->handle, part, with_lookup, offset, names);
    if (offset == before) break;
  }
  co_await pause();
  files_.release_folder(out->handle);
  if (!result) co_return std::unexpected(result.error());
  std::erase_if(names, [](const std::string& name) { return name == "." || name == ".."; });
  co_return names;
}

/// One READDIR or READDIRPLUS.
Task<Result<>> FakeKernel::read_part(InodeRef folder, std::uint64_t handle, std::size_t part,
                                     bool with_lookup, std::uint64_t& offset,
                                     std::vector<std::string>& names) {
  Held held = co_await acquire(folder, /*is_exclusive=*/false);
  const std::uint64_t version = version_;
  co_await pause();
  if (offset == 0) {
    Result<> rewound = co_await files_.rewind_folder(handle);
    if (!rewound) co_return rewound;
  }
  std::vector<std::pair<std::string, EntryOut>> shown;
  std::uint64_t next = offset;
  const FileSystem::Show show = [&](const SnapshotEntry& entry, const EntryOut& out,
                                    std::uint64_t next_offset) {
    if (shown.size() == part) return false;
    shown.emplace_back(entry.name, out);
    next = next_offset;
    return true;
  };
  Result<> result = files_.read_folder(handle, offset, with_lookup, show);
  if (!result) co_return result;
  const auto listing = files_.listing_of(handle);
  co_await pause();
  const bool may_be_kept = std::ranges::any_of(
      shown, [](const auto& entry) { return entry.second.entry_ttl > Seconds(0); });
  if (may_be_kept) files_.kernel_listed(*listing, offset, next);
  for (const auto& [name, out] : shown) {
    names.push_back(name);
    if (with_lookup && out.node != kNoNode) link_listed(*folder, name, out, version);
  }
  offset = next;
  co_return Result<>();
}

void FakeKernel::link_listed(Inode& folder, const std::string& name, const EntryOut& out,
                             std::uint64_t version) {
  const auto found = folder.dentries.find(name);
  const bool is_known = found != folder.dentries.end() && found->second.inode != nullptr &&
                        found->second.inode->node == out.node;
  InodeRef inode = instantiate(out, version);
  if (!is_known) {
    put_dentry(folder, name, std::move(inode), out.entry_ttl);
  } else {
    found->second.until = now_ + out.entry_ttl;
    found->second.epoch = epoch_;
  }
}

}  // namespace homefs::test
