// The client core on the server's file side, against a local folder: the same random operations on
// both, and the same answers, names, attributes and contents.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <random>
#include <set>

#include "fusefs/file_system.h"
#include "server/home.h"
#include "tests/model/direct_link.h"
#include "tests/support/seed.h"

namespace homefs {
namespace {

class NoNotifier final : public KernelNotifier {
 public:
  void invalidate_attributes(NodeId) override {}
  void invalidate_data(NodeId) override {}
  void extend(NodeId, Place) override {}
  void set_end(NodeId, std::uint64_t, std::byte) override {}
  std::uint64_t moment() override { return 0; }
  bool has_told(NodeId, std::uint64_t) override { return false; }
  void invalidate_entry(NodeId, std::string) override {}
  void invalidate_all_entries() override {}
  void when_told(std::move_only_function<void()> done) override { done(); }
};

class NoTransfers final : public TransferEvents {
 public:
  void on_started(NodeId, TransferDirection, const std::string&, std::uint64_t) override {}
  void on_verified(NodeId, TransferDirection, std::uint64_t) override {}
  void on_finished(NodeId, TransferDirection, const Result<>&) override {}
  void on_block_mismatch(const std::string&, TransferDirection, std::uint64_t, int) override {}
};

template <class T>
Task<> deliver(Task<Result<T>> task, std::promise<Result<T>>& promise) {
  Result<T> result = co_await std::move(task);
  promise.set_value(std::move(result));
}

// A home on a temporary folder, and a client on it.
class Rig {
 public:
  explicit Rig(std::uint64_t quota, std::size_t names_max = 1'000'000) {
    const char* base = std::getenv("TMPDIR");
    std::string pattern = std::string(base != nullptr ? base : "/var/tmp") + "/homefs-model-XXXXXX";
    HOMEFS_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    std::filesystem::create_directories(folder_ / "home");
    std::filesystem::create_directories(folder_ / "local");
    auto opened = Home::open(
        {.root = folder_ / "home", .orphan_folder = folder_ / "orphans", .bytes_max = quota});
    HOMEFS_CHECK(opened.has_value());
    home_ = *opened;
    auto session = SessionHome::open(home_);
    HOMEFS_CHECK(session.has_value());
    session_ = std::move(*session);
    session_->set_shared(false);
    link_ = std::make_unique<DirectLink>(*session_);
    files_ = std::make_unique<FileSystem>(
        [this](std::move_only_function<void()> work) { link_->post(std::move(work)); },
        FileSystemOptions{.dirty_bytes_max = 4 << 20,
                          .dirty_bytes_per_file_max = 1 << 20,
                          .names_max = names_max});
    files_->attach(*link_, notifier_, transfers_);
    files_->let_kernel_keep_absent_names();
    files_->let_kernel_map_direct_files();
    link_->attach(*files_);
    EXPECT_TRUE(wait(files_->start()));
  }
  ~Rig() {
    files_->wait_idle();
    tasks_.wait_idle();
    link_.reset();  // joins the threads that still run callbacks of the file system
    files_.reset();
    session_.reset();
    home_.reset();
    std::filesystem::remove_all(folder_);
  }

  template <class T>
  Result<T> wait(Task<Result<T>> task) {
    std::promise<Result<T>> promise;
    auto future = promise.get_future();
    tasks_.spawn(deliver(std::move(task), promise));
    Result<T> result = future.get();
    tasks_.wait_idle();  // the promise must outlive the coroutine that holds it
    return result;
  }
  StatfsReply statfs() { return *wait(statfs_task()); }
  FileSystem& files() { return *files_; }
  DirectLink& link() { return *link_; }
  [[nodiscard]] std::filesystem::path local() const { return folder_ / "local"; }

 private:
  Task<Result<StatfsReply>> statfs_task() { co_return co_await files_->statfs(); }

  std::filesystem::path folder_;
  std::shared_ptr<Home> home_;
  std::unique_ptr<SessionHome> session_;
  NoNotifier notifier_;
  NoTransfers transfers_;
  std::unique_ptr<DirectLink> link_;
  std::unique_ptr<FileSystem> files_;
  TaskGroup tasks_;
};

// The calls of a program, on the client core, by path: what the kernel would make of them.
class Client {
 public:
  explicit Client(Rig& rig) : rig_(rig) {}

  // The node of a path, looked up name by name and never forgotten (the kernel's dentries).
  Result<EntryOut> walk(const std::string& path) {
    EntryOut entry{.node = kRootNode};
    for (const auto& part : std::filesystem::path(path)) {
      // What the kernel finds out by itself on the way: links are followed (ours lead nowhere),
      // and nothing is looked up in what is not a folder.
      if (S_ISLNK(entry.attributes.mode)) return fail(Status::kNoSuchFile);
      if (entry.node != kRootNode && !S_ISDIR(entry.attributes.mode)) {
        return fail(Status::kNotDirectory);
      }
      auto next = rig_.wait(rig_.files().lookup(entry.node, part.string()));
      if (!next) return next;
      if (next->node == kNoNode) return fail(Status::kNoSuchFile);
      rig_.files().forget(next->node, drop_lookups_ ? 1 : 0);
      took(next->node);
      entry = *next;
    }
    return entry;
  }
  void drop_lookups(bool drop) { drop_lookups_ = drop; }

  // The kernel forgets what it has looked up, below before above.
  void forget_all() {
    for (auto node = taken_.rbegin(); node != taken_.rend(); ++node) rig_.files().forget(*node, 1);
    taken_.clear();
  }

  struct Parent {
    NodeId node{};
    std::string name;
  };
  Result<Parent> parent(const std::string& path) {
    const std::filesystem::path p(path);
    auto folder = walk(p.parent_path());
    if (!folder) return std::unexpected(folder.error());
    if (S_ISLNK(folder->attributes.mode)) return fail(Status::kNoSuchFile);
    if (folder->node != kRootNode && !S_ISDIR(folder->attributes.mode)) {
      return fail(Status::kNotDirectory);
    }
    return Parent{folder->node, p.filename()};
  }

  int make(const std::string& path, mode_t mode, const std::string& target = {}) {
    auto at = parent(path);
    if (!at) return errno_of(at.error().status);
    if (exists(*at)) return EEXIST;
    auto made = rig_.wait(
        rig_.files().make({.parent = at->node, .name = at->name, .mode = mode, .target = target}));
    if (made) took(made->node);
    return made ? 0 : errno_of(made.error().status);
  }
  int write(const std::string& path, std::uint64_t offset, const std::string& text, bool truncate) {
    auto at = parent(path);
    if (!at) return errno_of(at.error().status);
    auto found = rig_.wait(rig_.files().lookup(at->node, at->name));
    if (!found) return errno_of(found.error().status);
    took(found->node);
    NodeId node = found->node;
    std::uint64_t handle = 0;
    if (node == kNoNode) {
      auto made = rig_.wait(rig_.files().create(
          {.parent = at->node, .name = at->name, .mode = S_IFREG | 0644}, O_RDWR));
      if (!made) return errno_of(made.error().status);
      node = made->entry.node;
      took(node);
      handle = made->open.handle;
    } else if (S_ISDIR(found->attributes.mode)) {
      return EISDIR;
    } else if (!S_ISREG(found->attributes.mode)) {
      return ELOOP;
    } else {
      auto opened = rig_.wait(rig_.files().open(node, O_RDWR | (truncate ? O_TRUNC : 0)));
      if (!opened) return errno_of(opened.error().status);
      handle = opened->handle;
    }
    auto buffer = std::make_shared<Buffer>(text.size());
    std::ranges::copy(std::as_bytes(std::span(text)), buffer->writable().begin());
    auto written = rig_.wait(
        rig_.files().write({.node = node, .handle = handle, .offset = offset}, slice_of(buffer)));
    rig_.files().send_writes(node);
    auto flushed = rig_.wait(rig_.files().flush(node, handle));
    rig_.files().release(handle);
    if (!written) return errno_of(written.error().status);
    return flushed ? 0 : errno_of(flushed.error().status);
  }
  Result<std::string> read(const std::string& path) {
    auto found = walk(path);
    if (!found) return std::unexpected(found.error());
    auto opened = rig_.wait(rig_.files().open(found->node, O_RDONLY));
    if (!opened) return std::unexpected(opened.error());
    std::string text;
    while (true) {
      auto data = rig_.wait(rig_.files().read(opened->handle, text.size(), 50'000));
      if (!data) return std::unexpected(data.error());
      if (data->empty()) break;
      for (const Slice& slice : *data) {
        text.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
      }
    }
    rig_.files().release(opened->handle);
    return text;
  }
  int remove(const std::string& path, bool is_folder) {
    auto at = parent(path);
    if (!at) return errno_of(at.error().status);
    auto done = rig_.wait(rig_.files().remove(at->node, at->name, is_folder));
    return done ? 0 : errno_of(done.error().status);
  }
  int rename(const std::string& from, const std::string& to, RenameMode mode) {
    auto a = parent(from);
    auto b = parent(to);
    if (!a) return errno_of(a.error().status);
    if (!b) return errno_of(b.error().status);
    auto done = rig_.wait(rig_.files().rename({.parent = a->node,
                                               .name = a->name,
                                               .new_parent = b->node,
                                               .new_name = b->name,
                                               .mode = mode}));
    return done ? 0 : errno_of(done.error().status);
  }
  int link(const std::string& from, const std::string& to) {
    auto node = walk(from);
    if (!node) return errno_of(node.error().status);
    auto at = parent(to);
    if (!at) return errno_of(at.error().status);
    if (exists(*at)) return EEXIST;
    auto done = rig_.wait(rig_.files().link(node->node, at->node, at->name));
    if (done) took(done->node);
    return done ? 0 : errno_of(done.error().status);
  }
  int truncate(const std::string& path, std::uint64_t size) {
    auto node = walk(path);
    if (!node) return errno_of(node.error().status);
    if (S_ISDIR(node->attributes.mode)) return EISDIR;
    if (!S_ISREG(node->attributes.mode)) return EINVAL;
    auto done =
        rig_.wait(rig_.files().setattr({.node = node->node, .which = kSetSize, .size = size}));
    return done ? 0 : errno_of(done.error().status);
  }
  int chmod(const std::string& path, mode_t mode) {
    auto node = walk(path);
    if (!node) return errno_of(node.error().status);
    auto done =
        rig_.wait(rig_.files().setattr({.node = node->node, .which = kSetMode, .mode = mode}));
    return done ? 0 : errno_of(done.error().status);
  }
  Result<std::set<std::string>> list(const std::string& path) {
    auto node = walk(path);
    if (!node) return std::unexpected(node.error());
    auto handle = rig_.wait(rig_.files().open_folder(node->node));
    if (!handle) return std::unexpected(handle.error());
    std::set<std::string> names;
    const auto show = [&](const SnapshotEntry& entry, const EntryOut&, std::uint64_t) {
      if (entry.name != "." && entry.name != "..") names.insert(entry.name);
      return true;
    };
    EXPECT_TRUE(rig_.files().read_folder(handle->handle, 0, false, show));
    rig_.files().release_folder(handle->handle);
    return names;
  }

 private:
  bool exists(const Parent& at) {
    auto found = rig_.wait(rig_.files().lookup(at.node, at.name));
    if (found) took(found->node);
    return found && found->node != kNoNode;
  }

  void took(NodeId node) {
    if (!drop_lookups_ && node != kNoNode) taken_.push_back(node);
  }

  Rig& rig_;
  bool drop_lookups_ = false;
  std::vector<NodeId> taken_;  // a lookup each
};

int result_of(int returned) { return returned == 0 ? 0 : errno; }

// The same calls on the local folder.
struct Local {
  std::filesystem::path root;
  [[nodiscard]] std::string at(const std::string& path) const { return root / path; }

  [[nodiscard]] int write(const std::string& path, std::uint64_t offset, const std::string& text,
                          bool truncate) const {
    const int fd =
        ::open(at(path).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | (truncate ? O_TRUNC : 0), 0644);
    if (fd < 0) return errno;
    const ssize_t count = ::pwrite(fd, text.data(), text.size(), static_cast<off_t>(offset));
    ::close(fd);
    return count == static_cast<ssize_t>(text.size()) ? 0 : errno;
  }
  [[nodiscard]] std::string read(const std::string& path) const {
    std::string text(std::filesystem::file_size(at(path)), '\0');
    const int fd = ::open(at(path).c_str(), O_RDONLY);
    EXPECT_EQ(::pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ::close(fd);
    return text;
  }
};

void expect_same_tree(Client& client, const Local& local, const std::string& path) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(local.at(path))) {
    names.insert(entry.path().filename());
  }
  const auto listed = client.list(path);
  ASSERT_TRUE(listed);
  ASSERT_EQ(*listed, names) << path;
  for (const std::string& name : names) {
    const std::string child = path.empty() ? name : path + "/" + name;
    struct stat expected{};
    ASSERT_EQ(lstat(local.at(child).c_str(), &expected), 0);
    const auto entry = client.walk(child);
    ASSERT_TRUE(entry) << child;
    EXPECT_EQ(entry->attributes.mode, expected.st_mode) << child;
    EXPECT_EQ(entry->attributes.links, expected.st_nlink) << child;
    if (S_ISREG(expected.st_mode)) {
      EXPECT_EQ(entry->attributes.size, static_cast<std::uint64_t>(expected.st_size)) << child;
      const auto text = client.read(child);
      ASSERT_TRUE(text);
      EXPECT_TRUE(*text == local.read(child)) << child;
    } else if (S_ISDIR(expected.st_mode)) {
      expect_same_tree(client, local, child);
    }
  }
}

class RandomOperations {
 public:
  RandomOperations(Rig& rig, std::mt19937::result_type seed)
      : client_(rig), local_{rig.local()}, random_(seed) {}

  void step() {
    const std::string path = random_path();
    const std::string other = random_path();
    switch (random_() % 12) {
      case 0:
        return compare("mkdir", path, client_.make(path, S_IFDIR | 0755),
                       result_of(::mkdir(local_.at(path).c_str(), 0755)));
      case 1:
        return compare("rmdir", path, client_.remove(path, true),
                       result_of(::rmdir(local_.at(path).c_str())));
      case 2:
        return compare("unlink", path, client_.remove(path, false),
                       result_of(::unlink(local_.at(path).c_str())));
      case 3: {
        const auto mode = static_cast<RenameMode>(random_() % 3);
        const unsigned flags = mode == RenameMode::kReplace     ? 0u
                               : mode == RenameMode::kNoReplace ? RENAME_NOREPLACE
                                                                : RENAME_EXCHANGE;
        return compare("rename", path + " " + other, client_.rename(path, other, mode),
                       result_of(::renameat2(AT_FDCWD, local_.at(path).c_str(), AT_FDCWD,
                                             local_.at(other).c_str(), flags)));
      }
      case 4:
        return compare("link", path + " " + other, client_.link(path, other),
                       result_of(::link(local_.at(path).c_str(), local_.at(other).c_str())));
      case 5:
        return compare("symlink", path, client_.make(path, S_IFLNK | 0777, "somewhere/else"),
                       result_of(::symlink("somewhere/else", local_.at(path).c_str())));
      case 6: {
        const std::uint64_t size = random_() % 300'000;
        struct stat now{};
        // truncate(2) follows a link; the core is asked by the kernel only after that.
        if (lstat(local_.at(path).c_str(), &now) == 0 && S_ISLNK(now.st_mode)) return;
        return compare("truncate", path, client_.truncate(path, size),
                       result_of(::truncate(local_.at(path).c_str(), static_cast<off_t>(size))));
      }
      case 7: {
        struct stat now{};
        if (lstat(local_.at(path).c_str(), &now) == 0 && S_ISLNK(now.st_mode)) return;
        const mode_t mode = static_cast<mode_t>(random_() % 01000);
        if (S_ISDIR(now.st_mode) || ::geteuid() != 0) return;  // as root no mode stops the reader
        return compare("chmod", path, client_.chmod(path, mode),
                       result_of(::chmod(local_.at(path).c_str(), mode)));
      }
      default: {
        const std::uint64_t offset = random_() % 4 == 0 ? random_() % 400'000 : random_() % 500;
        const bool truncate = random_() % 5 == 0;
        const std::string text = random_text();
        return compare("write", path, client_.write(path, offset, text, truncate),
                       local_.write(path, offset, text, truncate));
      }
    }
  }
  void drop_lookups(bool drop) { client_.drop_lookups(drop); }
  void forget_all() { client_.forget_all(); }
  void compare_trees() { expect_same_tree(client_, local_, ""); }

 private:
  std::string random_path() {
    static const char* const kNames[] = {"a", "b", "c", "d", "e"};
    std::string path = kNames[random_() % 5];
    while (random_() % 3 == 0) path += std::string("/") + kNames[random_() % 5];
    return path;
  }
  std::string random_text() {
    std::string text(1 + random_() % (random_() % 3 == 0 ? 200'000 : 600), '\0');
    const auto first = random_();
    for (std::size_t i = 0; i < text.size(); ++i)
      text[i] = static_cast<char>(first + i * 7 + i / 251);
    return text;
  }
  void compare(const char* what, const std::string& path, int ours, int theirs) {
    ASSERT_EQ(ours, theirs) << what << " " << path << ": " << strerror(ours) << ", ext4 says "
                            << strerror(theirs);
  }

  Client client_;
  Local local_;
  std::mt19937 random_;
};

void run_random(bool drop_lookups, int steps, std::size_t names_max = 1'000'000) {
  const unsigned seed = test::test_seed();
  SCOPED_TRACE("HOMEFS_SEED=" + std::to_string(seed));
  ::umask(022);
  Rig rig(0, names_max);
  RandomOperations operations(rig, seed);
  operations.drop_lookups(drop_lookups);
  for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
    operations.step();
    if (i % 100 == 99) operations.compare_trees();
    if (i % 3 == 0) operations.forget_all();
  }
}

TEST(FileSystemModel, AnswersAsALocalFolderDoes) { run_random(false, 3000); }

TEST(FileSystemModel, AnswersTheSameWhenTheKernelForgetsEverything) { run_random(true, 3000); }

TEST(FileSystemModel, AnswersTheSameWithAlmostNoRoomForNames) { run_random(false, 3000, 20); }

TEST(FileSystemModel, GivesUpTheFoldersThatWereNotUsedForLong) {
  constexpr std::size_t kNamesMax = 100;
  Rig rig(0, kNamesMax);
  Client client(rig);
  for (int i = 0; i < 20; ++i) {
    const std::string folder = "folder" + std::to_string(i);
    ASSERT_EQ(client.make(folder, S_IFDIR | 0755), 0);
    for (int k = 0; k < 20; ++k) {
      ASSERT_EQ(client.make(folder + "/" + std::to_string(k), S_IFREG | 0644), 0);
    }
    client.forget_all();
  }
  EXPECT_LE(rig.files().figures().nodes, kNamesMax);
  auto& listings = rig.link().counts[static_cast<std::size_t>(Op::kList)];
  listings = 0;
  EXPECT_EQ(client.list("folder19")->size(), 20u);
  EXPECT_EQ(listings, 0) << "it was used last";
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client.list("folder" + std::to_string(i))->size(), 20u);
    client.forget_all();
  }
  EXPECT_GT(listings, 0);
  EXPECT_LE(rig.files().figures().nodes, kNamesMax + 20) << "with the folder that is shown";
}

TEST(FileSystemModel, WritesUpToTheQuotaAndNotAByteFurther) {
  constexpr std::uint64_t kQuota = 3'000'000;
  Rig rig(kQuota);
  Client client(rig);
  const std::string text(100'000, 'x');
  int written = 0;
  int result = 0;
  while (result == 0) {
    result = client.write("f" + std::to_string(written), 0, text, false);
    if (result == 0) ++written;
  }
  EXPECT_EQ(result, EDQUOT);
  EXPECT_EQ(written, 30);
  for (int i = 0; i < written; ++i) EXPECT_EQ(*client.read("f" + std::to_string(i)), text);
  EXPECT_EQ(rig.statfs().grant.used, kQuota);
  EXPECT_EQ(client.remove("f0", false), 0);
  EXPECT_EQ(client.write("again", 0, text, false), 0);
}

TEST(FileSystemModel, AsksNothingAboutAFolderItHasMade) {
  Rig rig(0);
  Client client(rig);
  ASSERT_EQ(client.make("new", S_IFDIR | 0755), 0);
  const int before = rig.link().counts[static_cast<std::size_t>(Op::kLookup)];
  const NodeId folder = client.walk("new")->node;
  for (int i = 0; i < 50; ++i) {
    const auto absent = rig.wait(rig.files().lookup(folder, "no" + std::to_string(i)));
    ASSERT_TRUE(absent);
    EXPECT_EQ(absent->node, kNoNode);
    EXPECT_GT(absent->entry_ttl.count(), 0) << "the kernel may keep it";
  }
  EXPECT_EQ(rig.link().counts[static_cast<std::size_t>(Op::kLookup)], before);
}

TEST(FileSystemModel, OpensTheOldFileWhenANewOneWasRenamedOverItMeanwhile) {
  Rig rig(0);
  Client client(rig);
  ASSERT_EQ(client.write("file", 0, "old", false), 0);
  ASSERT_EQ(client.write("new", 0, "new", false), 0);
  const NodeId old = client.walk("file")->node;  // the kernel is about to open it
  ASSERT_EQ(client.rename("new", "file", RenameMode::kReplace), 0);
  auto opened = rig.wait(rig.files().open(old, O_RDONLY));
  ASSERT_TRUE(opened);
  const auto data = rig.wait(rig.files().read(opened->handle, 0, 100));
  ASSERT_TRUE(data);
  ASSERT_EQ(data->size(), 1u);
  EXPECT_EQ(data->front().bytes.size(), 3u);
  rig.files().release(opened->handle);
  const auto& forgets = rig.link().counts[static_cast<std::size_t>(Op::kForget)];
  const int before = forgets;
  client.forget_all();
  EXPECT_GT(forgets, before) << "its bytes are given back at once";
}

TEST(FileSystemModel, OpensAFileThatIsBeingRemovedWholeOrNotAtAll) {
  Rig rig(0);
  Client client(rig);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(client.write("file", 0, "text", false), 0);
    const NodeId node = client.walk("file")->node;
    std::promise<Result<>> removed;
    TaskGroup removing;
    removing.spawn(deliver(rig.files().remove(kRootNode, "file", false), removed));
    auto opened = rig.wait(rig.files().open(node, O_RDONLY));
    if (opened) {
      EXPECT_TRUE(rig.wait(rig.files().read(opened->handle, 0, 100))) << i;
      rig.files().release(opened->handle);
    } else {
      EXPECT_EQ(opened.error().status, Status::kStale);
    }
    EXPECT_TRUE(removed.get_future().get());
    removing.wait_idle();
    client.forget_all();
  }
}

TEST(FileSystemModel, GivesBackTheBytesOfANamelessFileWhenItIsForgotten) {
  Rig rig(0);
  Client client(rig);
  ASSERT_EQ(client.write("file", 0, "text", false), 0);
  auto opened = rig.wait(rig.files().open(client.walk("file")->node, O_RDONLY));
  ASSERT_TRUE(opened);
  ASSERT_EQ(client.remove("file", false), 0);
  // The kernel closes first, and forgets afterwards.
  rig.files().release(opened->handle);
  const auto& forgets = rig.link().counts[static_cast<std::size_t>(Op::kForget)];
  const int before = forgets;
  client.forget_all();
  EXPECT_EQ(forgets, before + 1);
}

TEST(FileSystemModel, RewindsToWhatIsThereAlsoBeforeAnythingWasRead) {
  Rig rig(0);
  Client client(rig);
  ASSERT_EQ(client.make("first", S_IFREG | 0644), 0);
  const auto folder = rig.wait(rig.files().open_folder(kRootNode));
  ASSERT_TRUE(folder);
  // The kernel may have shown its copy until now.
  ASSERT_EQ(client.make("second", S_IFREG | 0644), 0);
  ASSERT_TRUE(rig.wait(rig.files().rewind_folder(folder->handle)));
  int shown = 0;
  const auto show = [&](const SnapshotEntry&, const EntryOut&, std::uint64_t) {
    ++shown;
    return true;
  };
  ASSERT_TRUE(rig.files().read_folder(folder->handle, 0, false, show));
  EXPECT_EQ(shown, 4) << "with . and ..";
  rig.files().release_folder(folder->handle);
}

}  // namespace
}  // namespace homefs
