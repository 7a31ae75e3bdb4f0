// Data, extended attributes and locks.
#include <sys/stat.h>

#include <algorithm>

#include "tests/support/client/fake_kernel.h"

namespace homefs::test {
namespace {

Slice slice_of_text(const std::string& text) {
  auto buffer = std::make_shared<Buffer>(text.size());
  std::ranges::copy(std::as_bytes(std::span(text)), buffer->writable().begin());
  return slice_of(buffer);
}

std::string text_of(const std::vector<Slice>& slices) {
  std::string all;
  for (const Slice& slice : slices) {
    all.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
  }
  return all;
}

}  // namespace

Task<> FakeKernel::lock_page(PageRef page) {
  while (page->is_locked) {
    Completion<bool> turn([&](Completion<bool>::Done done) {
      page->waiters.push_back([done = std::move(done)]() mutable { done(true); });
    });
    (void)co_await turn;
  }
  page->is_locked = true;
}

void FakeKernel::unlock_page(Page& page) {
  page.is_locked = false;
  wake(page.waiters);
}

// ---- Reading ------------------------------------------------------------------------------------

Task<Result<std::string>> FakeKernel::read(int fd, std::uint64_t offset, std::uint64_t length) {
  OpenRef file = files_open_.at(fd);
  if (file->is_direct) {
    Result<std::string> text = co_await read_direct(file, offset, length);
    co_return text;
  }
  Inode& inode = *file->inode;
  // Behind the end that is known there may be more. Linux asks once, and an answer that a notice
  // has overtaken it does not keep: it may show an end of before, which nobody above it can
  // prevent.
  while (offset + length > inode.size && !has_attributes(inode)) {
    const std::uint64_t version = version_;
    Result<Attributes> now = co_await get_attributes(file->inode);
    if (!now) co_return std::unexpected(now.error());
    if (inode.attributes_version > version && now->size == inode.size) break;
  }
  std::string text;
  while (text.size() < length) {
    const std::uint64_t at = offset + text.size();
    if (at >= inode.size) break;
    const std::uint64_t index = at / kPageBytes;
    const auto found = inode.pages.find(index);
    if (found == inode.pages.end() || !found->second->is_uptodate) {
      Result<> filled = co_await read_page(file, index);
      if (!filled) co_return std::unexpected(filled.error());
      continue;
    }
    const std::uint64_t within = at % kPageBytes;
    const std::uint64_t count =
        std::min({length - text.size(), kPageBytes - within, inode.size - at});
    text += found->second->bytes.substr(within, count);
  }
  co_return text;
}

Task<Result<>> FakeKernel::read_page(OpenRef file, std::uint64_t index) {
  Inode& inode = *file->inode;
  PageRef& place = inode.pages[index];
  if (place == nullptr) place = std::make_shared<Page>();
  PageRef page = place;
  co_await lock_page(page);
  const auto now = inode.pages.find(index);
  if (now == inode.pages.end() || now->second != page || page->is_uptodate) {
    unlock_page(*page);
    co_return Result<>();
  }
  const std::uint64_t version = version_;
  const std::uint64_t begin = index * kPageBytes;
  Result<std::vector<Slice>> data = co_await ask_through(
      file, files_.read(file->handle, begin, static_cast<std::uint32_t>(kPageBytes),
                        /*is_page=*/true));
  if (!data) {
    const auto failed = inode.pages.find(index);
    if (failed != inode.pages.end() && failed->second == page) inode.pages.erase(failed);
    unlock_page(*page);
    co_return std::unexpected(data.error());
  }
  std::string text = text_of(*data);
  // As fuse_short_read(): the file is shorter than was known, unless something newer was heard.
  const std::uint64_t end = begin + text.size();
  const bool is_short = text.size() < kPageBytes && end < inode.size;
  if (is_short && version == inode.attributes_version && !inode.is_size_unstable) {
    inode.attributes_version = ++version_;
    inode.size = end;
  }
  text.resize(kPageBytes, '\0');
  page->bytes = std::move(text);
  page->is_uptodate = true;
  unlock_page(*page);
  co_return Result<>();
}

Task<Result<std::string>> FakeKernel::read_direct(OpenRef file, std::uint64_t offset,
                                                  std::uint64_t length) {
  Result<std::vector<Slice>> data = co_await ask_through(
      file, files_.read(file->handle, offset, static_cast<std::uint32_t>(length)));
  if (!data) co_return std::unexpected(data.error());
  co_return text_of(*data);
}

// ---- Writing ------------------------------------------------------------------------------------

Task<Result<>> FakeKernel::write(int fd, std::uint64_t offset, std::string data) {
  OpenRef file = files_open_.at(fd);
  Held held = co_await acquire(file->inode, /*is_exclusive=*/true);
  if ((file->flags & O_APPEND) != 0) offset = file->inode->size;
  Task<Result<>> work = file->is_direct ? write_direct(file, offset, std::move(data))
                                        : write_pages(file, offset, std::move(data));
  Result<> result = co_await std::move(work);
  co_return result;
}

// As fuse_ops.cpp does it; O_SYNC too, where the kernel leaves that to the file system.
Task<Result<>> FakeKernel::send_write(OpenRef file, std::uint64_t offset, std::string data) {
  const NodeId node = file->inode->node;
  co_await pause();
  if (files_.locks().is_lost(file->handle)) {
    co_await pause();
    co_return fail(Status::kIoError, "its locks are lost");
  }
  co_await files_.room_for(node);
  const WriteTarget to{.node = node,
                       .handle = file->handle,
                       .offset = offset,
                       .is_append = (file->flags & O_APPEND) != 0,
                       .is_synced = (file->flags & O_SYNC) == O_SYNC,
                       .is_data_synced = (file->flags & O_DSYNC) != 0};
  Slice slice = slice_of_text(data);
  Result<> result = co_await files_.write(to, std::move(slice));
  files_.send_writes(node);
  co_await pause();
  co_return result;
}

void FakeKernel::wrote(Inode& inode, std::uint64_t end) {
  inode.attributes_version = ++version_;
  inode.size = std::max(inode.size, end);
  invalidate_attributes(inode);
}

// The pages stay as they are: Linux drops them before such a write since 6.6, and whoever reads
// meanwhile brings them back.
Task<Result<>> FakeKernel::write_direct(OpenRef file, std::uint64_t offset, std::string data) {
  const std::uint64_t end = offset + data.size();
  Result<> result = co_await send_write(file, offset, std::move(data));
  if (result) wrote(*file->inode, end);
  co_return result;
}

// Through the pages, without the kernel's own write-behind: what was written whole is kept.
Task<Result<>> FakeKernel::write_pages(OpenRef file, std::uint64_t offset, std::string data) {
  Inode& inode = *file->inode;
  const std::uint64_t end = offset + data.size();
  std::vector<std::pair<std::uint64_t, PageRef>> pages;
  for (std::uint64_t index = offset / kPageBytes; index * kPageBytes < end; ++index) {
    while (true) {
      PageRef& place = inode.pages[index];
      if (place == nullptr) place = std::make_shared<Page>();
      PageRef page = place;
      co_await lock_page(page);
      const auto now = inode.pages.find(index);
      if (now != inode.pages.end() && now->second == page) {
        pages.emplace_back(index, std::move(page));
        break;
      }
      unlock_page(*page);
    }
  }
  const bool grows = inode.size < end;
  if (grows) inode.is_size_unstable = true;
  for (const auto& [index, page] : pages) {
    const std::uint64_t begin = index * kPageBytes;
    const std::uint64_t from = std::max(begin, offset);
    const std::uint64_t to = std::min(begin + kPageBytes, end);
    page->bytes.replace(from - begin, to - from, data, from - offset, to - from);
  }
  Result<> result = co_await send_write(file, offset, std::move(data));
  for (const auto& [index, page] : pages) {
    const std::uint64_t begin = index * kPageBytes;
    if (!result) {
      page->is_uptodate = false;
    } else if (begin >= offset && begin + kPageBytes <= end) {
      page->is_uptodate = true;
    }
    unlock_page(*page);
  }
  if (grows) inode.is_size_unstable = false;
  if (result) wrote(inode, end);
  co_return result;
}

Task<Result<>> FakeKernel::fsync(int fd) {
  OpenRef file = files_open_.at(fd);
  Held held = co_await acquire(file->inode, /*is_exclusive=*/true);
  Result<> done = co_await ask_through(file, files_.fsync(file->inode->node, file->handle, false));
  co_return done;
}

// ---- Extended attributes: the kernel keeps none -------------------------------------------------

Task<Result<>> FakeKernel::setxattr(int fd, std::string name, std::string value) {
  InodeRef inode = files_open_.at(fd)->inode;
  Held held = co_await acquire(inode, /*is_exclusive=*/true);
  Result<> done =
      co_await ask(files_.setxattr(inode->node, name, slice_of_text(value), XattrMode::kSet));
  invalidate_attributes(*inode);
  co_return done;
}

Task<Result<>> FakeKernel::removexattr(int fd, std::string name) {
  InodeRef inode = files_open_.at(fd)->inode;
  Held held = co_await acquire(inode, /*is_exclusive=*/true);
  Result<> done = co_await ask(files_.removexattr(inode->node, name));
  invalidate_attributes(*inode);
  co_return done;
}

Task<Result<std::string>> FakeKernel::getxattr(int fd, std::string name) {
  InodeRef inode = files_open_.at(fd)->inode;
  Result<SharedBuffer> value = co_await ask(files_.getxattr(inode->node, name));
  if (!value) co_return std::unexpected(value.error());
  const auto bytes = (*value)->bytes();
  co_return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Task<Result<std::vector<std::string>>> FakeKernel::listxattr(int fd) {
  InodeRef inode = files_open_.at(fd)->inode;
  Result<SharedBuffer> list = co_await ask(files_.listxattr(inode->node));
  if (!list) co_return std::unexpected(list.error());
  std::vector<std::string> names;
  std::string name;
  for (const std::byte byte : (*list)->bytes()) {
    if (byte == std::byte{}) {
      names.push_back(std::exchange(name, {}));
    } else {
      name += static_cast<char>(byte);
    }
  }
  co_return names;
}

// ---- Locks --------------------------------------------------------------------------------------

Task<Result<>> FakeKernel::lock(int fd, FileLock asked) {
  OpenRef file = files_open_.at(fd);
  asked.locker.node = file->inode->node;
  asked.handle = file->handle;
  co_await pause();
  const std::uint64_t id = files_.locks().begin();
  if (asked.waits) lock_waits_.insert(id);
  Result<> done = co_await files_.set_lock(asked, id);
  lock_waits_.erase(id);
  co_await pause();
  co_return done;
}

// The signal may be late: the file system has answered by then.
void FakeKernel::interrupt_lock(std::uint64_t choice) {
  if (lock_waits_.empty()) return;
  const std::uint64_t id =
      *std::next(lock_waits_.begin(), static_cast<std::ptrdiff_t>(choice % lock_waits_.size()));
  later_([this, id] { files_.locks().interrupt(id); });
}

}  // namespace homefs::test
