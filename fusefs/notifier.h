// Notifier: the thread that tells the kernel to drop what it caches.
//
// A notification takes the locks of the folder or the pages in question inside of its write(2); a
// request that holds them may be waiting for us. So no thread that answers requests may send one,
// and nobody waits for this thread (libfuse, doc/README.notifications).
//
// Owner: the mount. Executor: thread-safe; has one thread. Blocks: stop() only.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "fusefs/kernel_notifier.h"

struct fuse_session;

namespace homefs {

class Notifier final : public KernelNotifier {
 public:
  using Names = std::vector<std::pair<NodeId, std::string>>;

  Notifier();
  ~Notifier() override;

  /// The mount point is there: from now on what is queued is sent. `cached_names` lists every name
  /// the kernel may have, for kernels that cannot drop all at once (before 6.16).
  void start(fuse_session* session, std::function<Names()> cached_names);
  /// The mount point is going away: nothing is sent any more. Waits for a notification under way.
  void stop();

  void invalidate_attributes(NodeId node) override;
  void invalidate_data(NodeId node) override;
  void invalidate_entry(NodeId parent, std::string name) override;
  void invalidate_all_entries() override;
  void when_told(std::move_only_function<void()> done) override;

 private:
  enum class Kind { kAttributes, kData, kEntry, kAllEntries, kTold };
  struct Notice {
    Kind kind{};
    NodeId node{};
    std::string name;
    std::move_only_function<void()> done{};  // of kTold
  };
  void push(Notice notice);
  void run(const std::stop_token& stop);
  void send(Notice& notice);

  fuse_session* session_ = nullptr;      // set before the thread starts
  std::function<Names()> cached_names_;  // likewise
  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<Notice> queue_;  // guarded by mutex_; bounded by what the kernel caches
  bool is_sending_ = false;   // guarded by mutex_
  bool is_stopped_ = true;    // guarded by mutex_: nobody sends
  std::jthread thread_;       // last: it uses the others
};

}  // namespace homefs
