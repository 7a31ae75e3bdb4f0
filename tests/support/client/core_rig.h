// CoreRig: the client core alone, with a FakeLink and a FakeNotifier, on one thread.
//
// An operation runs until it first waits; what it waits for comes when the test answers a request,
// runs what was posted, or delivers a notice. So a test writes an interleaving down step by step:
//
//   CoreRig rig;
//   auto read = rig.start(rig.files().read(handle, 0, 100));
//   const auto asked = rig.link().find(Op::kRead);
//   rig.link().changed({{.inode = InodeNumber{7}, .has_data = true}}, 50);   // overtakes the
//   answer rig.answer_read(asked, "old"); ASSERT_TRUE(read->is_done());
//
// Owner: the test. Executor: the test's thread. Blocks: never.
#pragma once

#include <sys/stat.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "fusefs/file_system.h"
#include "tests/support/client/fake_link.h"
#include "tests/support/client/fake_notifier.h"

namespace homefs::test {

/// An operation that was started.
template <class T>
struct Running {
  std::optional<T> value;
  [[nodiscard]] bool is_done() const { return value.has_value(); }
  T& operator*() { return *value; }
  T* operator->() { return &*value; }
};
template <class T>
using RunningRef = std::shared_ptr<Running<T>>;

/// How it has ended; fails the test and returns kInterrupted when it has not.
Status status_of(const RunningRef<Result<>>& outcome);

/// Starts tasks. Owner and executor as of CoreRig.
class Runner {
 public:
  template <class T>
  RunningRef<T> start(Task<T> task) {
    auto running = std::make_shared<Running<T>>();
    tasks_.spawn(keep(std::move(task), running));
    return running;
  }
  RunningRef<bool> start(Task<> task) {
    auto running = std::make_shared<Running<bool>>();
    tasks_.spawn(note(std::move(task), running));
    return running;
  }

 private:
  template <class T>
  static Task<> keep(Task<T> task, RunningRef<T> running) {
    T value = co_await std::move(task);
    running->value.emplace(std::move(value));
  }
  static Task<> note(Task<> task, RunningRef<bool> running) {
    co_await std::move(task);
    running->value = true;
  }

  TaskGroup tasks_;
};

/// What is posted, run when the test says so.
class PostedWork {
 public:
  void post(std::move_only_function<void()> work) { work_.push_back(std::move(work)); }
  [[nodiscard]] std::size_t size() const { return work_.size(); }
  /// Runs the work at `place`; the threads of a mount take it in any order.
  void run(std::size_t place = 0);
  void run_all();

 private:
  std::deque<std::move_only_function<void()>> work_;
};

/// Listens to nothing.
class NoTransfers final : public TransferEvents {
 public:
  void on_started(NodeId, TransferDirection, const std::string&, std::uint64_t) override {}
  void on_verified(NodeId, TransferDirection, std::uint64_t) override {}
  void on_finished(NodeId, TransferDirection, const Result<>&) override {}
  void on_block_mismatch(const std::string&, TransferDirection, std::uint64_t, int) override {}
};

/// Attributes of an inode as the server tells them.
struct AttributesOf {
  std::uint64_t inode = 0;
  std::uint32_t mode = S_IFREG | 0644;
  std::uint64_t size = 0;
  std::uint64_t order = 0;
  std::uint64_t version = 1;
  std::uint32_t links = 1;
  operator Attributes() const;  // NOLINT(google-explicit-constructor): for use as an argument
};

class CoreRig {
 public:
  struct Options {
    FileSystemOptions files;
    bool has_bulk = false;
    bool is_shared = false;
    bool is_old_kernel = false;  ///< before Linux 6.6
    /// Bytes of the quota that may be written without asking.
    std::uint64_t granted = 1 << 30;
    std::uint64_t limit = 0;
  };
  static constexpr std::uint64_t kRootInode = 1000;

  CoreRig() : CoreRig(Options()) {}
  explicit CoreRig(const Options& options);
  ~CoreRig();

  FileSystem& files() { return *files_; }
  FakeLink& link() { return link_; }
  FakeNotifier& notifier() { return notifier_; }
  PostedWork& posted() { return posted_; }
  template <class T>
  RunningRef<T> start(Task<T> task) {
    return runner_.start(std::move(task));
  }
  RunningRef<bool> start(Task<> task) { return runner_.start(std::move(task)); }

  /// Looks `name` up in `parent`; the server answers with `attributes`. Its node.
  NodeId look_up(NodeId parent, const std::string& name, const Attributes& attributes);
  /// Opens what look_up() has found; what that asks is answered with the same attributes. Its
  /// handle.
  std::uint64_t open(NodeId node, int flags);
  /// Answers with the attributes (CREATE, MKDIR, LINK, ...), the parent's being those of a folder.
  void answer_entry(const FakeLink::Request& request, const Attributes& attributes,
                    const Attributes& parent);
  void answer_attributes(const FakeLink::Request& request, const Attributes& attributes);
  /// To SETATTR, WRITE, SETXATTR, FALLOCATE.
  void answer_change(const FakeLink::Request& request, const Attributes& attributes);
  /// To READ at `offset`, with the digests that fit.
  void answer_read(const FakeLink::Request& request, std::string_view data);
  /// To LIST: one page with these entries, and nothing below.
  void answer_list(const FakeLink::Request& request, const Attributes& folder,
                   std::vector<ListedEntry> entries);
  GrantState grant();

  static Slice slice(std::string_view text);
  static std::string text(const std::vector<Slice>& slices);

 private:
  const Options options_;
  std::uint64_t stamp_ = 0;
  std::map<NodeId, Attributes> looked_up_;
  FakeLink link_;
  FakeNotifier notifier_;
  NoTransfers transfers_;
  PostedWork posted_;
  std::unique_ptr<FileSystem> files_;
  Runner runner_;
};

}  // namespace homefs::test
