// FakeKernel: the kernel above a FileSystem, for simulations. Programs make system calls; what it
// has been allowed to keep it answers itself, from dentries, attributes and pages; all else it asks
// for, under the locks that Linux takes.
//
// It does as Linux 6.1 to 6.18 do where the client core relies on it: which request a call needs,
// when a notification takes effect, that an older answer does not replace newer attributes, what
// happens to pages at a write, a truncation, an opening. Not modelled: mmap(2), the kernel's own
// copy of listings, permissions. A signal interrupts only who waits for a lock.
//
// Every request, and every answer, waits for its turn: see `later`.
//
// Owner: the test. Executor: the test's thread. Blocks: never.
#pragma once

#include <fcntl.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fusefs/file_system.h"
#include "tests/support/client/fake_notifier.h"

namespace homefs::test {

class FakeKernel {
 public:
  /// Takes what a thread of the kernel does next; runs it at a time of its choice.
  using Later = std::function<void(std::move_only_function<void()>)>;
  static constexpr std::uint64_t kPageBytes = 4096;

  FakeKernel(FileSystem& files, Later later);
  ~FakeKernel();
  FakeKernel(const FakeKernel&) = delete;
  FakeKernel& operator=(const FakeKernel&) = delete;

  // ---- System calls. Paths are names with slashes between them, from the root on. ----

  Task<Result<int>> open(std::string path, int flags);
  /// `owner`: of the record locks of the program; close(2) drops those that it has of the file.
  Task<Result<>> close(int fd, std::uint64_t owner = 0);
  Task<Result<std::string>> read(int fd, std::uint64_t offset, std::uint64_t length);
  /// With O_APPEND `offset` is ignored.
  Task<Result<>> write(int fd, std::uint64_t offset, std::string data);
  Task<Result<>> fsync(int fd);
  Task<Result<>> truncate(int fd, std::uint64_t size);
  Task<Result<>> chmod(std::string path, std::uint32_t mode);
  Task<Result<Attributes>> stat(std::string path);
  Task<Result<Attributes>> fstat(int fd);
  /// lseek(2) with SEEK_END: the kernel asks, and goes by what it then has.
  Task<Result<std::uint64_t>> seek_end(int fd);
  /// Whether locks are known to be lost that were taken through it.
  [[nodiscard]] bool has_lost_locks(int fd) const {
    return files_.locks().is_lost(files_open_.at(fd)->handle);
  }
  Task<Result<>> mkdir(std::string path);
  Task<Result<>> remove(std::string path, bool is_folder);
  Task<Result<>> rename(std::string from, std::string to, RenameMode mode);
  Task<Result<>> link(std::string from, std::string to);
  /// The names, asked for `part` at a time; `with_lookup` as READDIRPLUS does.
  Task<Result<std::vector<std::string>>> list(std::string path, std::size_t part, bool with_lookup);
  Task<Result<>> setxattr(int fd, std::string name, std::string value);
  Task<Result<>> removexattr(int fd, std::string name);
  Task<Result<std::string>> getxattr(int fd, std::string name);
  Task<Result<std::vector<std::string>>> listxattr(int fd);
  /// flock(2) and fcntl(2): the locker's node and the handle are those of `fd`.
  Task<Result<>> lock(int fd, FileLock asked);

  /// What an open file is, as the kernel knows it.
  struct Identity {
    InodeNumber inode{};
    std::uint32_t generation = 0;
    auto operator<=>(const Identity&) const = default;
  };
  [[nodiscard]] Identity identity_of(int fd) const;

  // ---- What happens by itself. ----

  /// Whether a notification could be delivered: nobody holds the lock it needs.
  [[nodiscard]] bool can_take(const Notice& notice) const;
  void take(const Notice& notice);
  /// Memory is short: pages, names and nodes that nobody uses go. `choice` says which.
  void shrink(std::uint64_t choice);
  /// A program that waits for a lock gets a signal.
  [[nodiscard]] bool has_lock_waits() const { return !lock_waits_.empty(); }
  void interrupt_lock(std::uint64_t choice);
  /// Time passes.
  void pass(std::chrono::seconds time) { now_ += time; }
  [[nodiscard]] std::size_t open_count() const { return files_open_.size(); }
  /// How many renames had nothing to do, since both names were one file's.
  [[nodiscard]] std::uint64_t renames_of_one_file() const { return renames_of_one_file_; }
  /// For people.
  [[nodiscard]] std::string held_locks() const;

 private:
  using Seconds = std::chrono::seconds;
  struct Page {
    std::string bytes = std::string(kPageBytes, '\0');
    bool is_uptodate = false;
    bool is_locked = false;
    std::vector<std::move_only_function<void()>> waiters;
  };
  using PageRef = std::shared_ptr<Page>;
  // Shared and exclusive, as i_rwsem.
  struct Lock {
    int readers = 0;
    bool has_writer = false;
    std::vector<std::move_only_function<void()>> waiters;
  };
  struct Inode;
  using InodeRef = std::shared_ptr<Inode>;
  struct Dentry {
    InodeRef inode;  // null: the name does not exist
    Seconds until{};
    std::uint64_t epoch = 0;
  };
  struct Inode {
    NodeId node{};
    Attributes attributes;
    Seconds attributes_until{};  // 0: invalid
    std::uint64_t attributes_version = 0;
    std::uint64_t size = 0;
    bool is_size_unstable = false;
    std::uint64_t lookups = 0;
    Lock lock;
    std::map<std::uint64_t, PageRef> pages;
    std::map<std::string, Dentry> dentries;
  };
  struct OpenFile {
    InodeRef inode;
    std::uint64_t handle = 0;
    int flags = 0;
    bool is_direct = false;
    bool has_flush = true;
    std::vector<InodeRef> above;  ///< the folders that lead to it stay as long as it is open
  };
  using OpenRef = std::shared_ptr<OpenFile>;
  struct Place {
    InodeRef folder;
    std::string name;
  };
  /// Holds an inode's lock.
  class Held {
   public:
    Held(FakeKernel& kernel, InodeRef inode, bool is_exclusive)
        : kernel_(&kernel), inode_(std::move(inode)), is_exclusive_(is_exclusive) {}
    Held(Held&& other) noexcept
        : kernel_(other.kernel_),
          inode_(std::move(other.inode_)),
          is_exclusive_(other.is_exclusive_) {}
    Held& operator=(Held&&) = delete;
    ~Held();

   private:
    FakeKernel* kernel_;
    InodeRef inode_;
    bool is_exclusive_;
  };

  Task<> pause();
  template <class T>
  Task<T> ask(Task<T> request);
  /// The same through an open file: whoever has lost a lock hears so (fuse_ops.cpp).
  template <class T>
  Task<Result<T>> ask_through(OpenRef file, Task<Result<T>> request);
  Task<Held> acquire(InodeRef inode, bool is_exclusive);
  void wake(std::vector<std::move_only_function<void()>>& waiters);

  // Names.
  /// `above`: takes the folders on the way; null: nobody needs them.
  Task<Result<InodeRef>> walk(std::string path, bool revalidates,
                              std::vector<InodeRef>* above = nullptr);
  Task<Result<Place>> place_of(std::string path, bool revalidates,
                               std::vector<InodeRef>* above = nullptr);
  Task<Result<InodeRef>> find_name(InodeRef folder, std::string name, bool is_locked,
                                   bool revalidates);
  Task<Result<InodeRef>> look_up(InodeRef folder, std::string name);
  InodeRef instantiate(const EntryOut& entry, std::uint64_t version);
  void put_dentry(Inode& folder, const std::string& name, InodeRef inode, Seconds ttl);
  Task<Result<int>> open_once(std::string path, int flags, bool revalidates);
  Task<Result<int>> create(Place place, int flags);
  Task<Result<int>> open_inode(InodeRef inode, int flags);
  int add_open(InodeRef inode, const OpenOut& out, int flags);
  void removed(Inode& folder, const std::string& name, const Result<>& result);
  [[nodiscard]] bool is_valid(const Dentry& dentry) const;
  Task<Result<>> read_part(InodeRef folder, std::uint64_t handle, std::size_t part,
                           bool with_lookup, std::uint64_t& offset,
                           std::vector<std::string>& names);
  void link_listed(Inode& folder, const std::string& name, const EntryOut& out,
                   std::uint64_t version);

  // Attributes.
  void change_attributes(Inode& inode, const Attributes& attributes, Seconds ttl,
                         std::uint64_t version);
  void invalidate_attributes(Inode& inode) { inode.attributes_until = Seconds(0); }
  [[nodiscard]] bool has_attributes(const Inode& inode) const {
    return inode.attributes_until > now_;
  }
  Task<Result<Attributes>> get_attributes(InodeRef inode);
  Task<Result<>> set_attributes(InodeRef inode, SetattrRequest request);
  static void truncate_pages(Inode& inode, std::uint64_t size);

  // Data.
  Task<Result<std::string>> read_direct(OpenRef file, std::uint64_t offset, std::uint64_t length);
  Task<Result<>> read_page(OpenRef file, std::uint64_t index);
  Task<Result<>> write_direct(OpenRef file, std::uint64_t offset, std::string data);
  Task<Result<>> write_pages(OpenRef file, std::uint64_t offset, std::string data);
  Task<Result<>> send_write(OpenRef file, std::uint64_t offset, std::string data);
  Task<> lock_page(PageRef page);
  void unlock_page(Page& page);
  void wrote(Inode& inode, std::uint64_t end);

  FileSystem& files_;
  const Later later_;
  Seconds now_{1};
  std::uint64_t epoch_ = 0;
  std::uint64_t version_ = 1;  // of attributes, as fuse_conn::attr_version
  std::map<NodeId, InodeRef> inodes_;
  std::map<int, OpenRef> files_open_;
  int last_fd_ = 2;
  std::set<std::uint64_t> lock_waits_;  // requests for locks that the file system has
  std::uint64_t renames_of_one_file_ = 0;
};

template <class T>
Task<T> FakeKernel::ask(Task<T> request) {
  co_await pause();
  T answer = co_await std::move(request);
  co_await pause();
  co_return answer;
}

template <class T>
Task<Result<T>> FakeKernel::ask_through(OpenRef file, Task<Result<T>> request) {
  co_await pause();
  Result<T> answer = fail(Status::kIoError, "its locks are lost");
  if (!files_.locks().is_lost(file->handle)) answer = co_await std::move(request);
  co_await pause();
  co_return answer;
}

}  // namespace homefs::test
