// Notifier: the threads that tell the kernel to drop what it caches.
//
// A notification takes the locks of the folder or the pages in question inside of its write(2); a
// request that holds them may be waiting for us. So no thread that answers requests may send one,
// and nobody waits for these threads (libfuse, doc/README.notifications), but when_told() for the
// one that does all but single names: those take the lock of their folder, which is held by whoever
// makes something in it, and that waits for the server.
//
// Owner: the mount. Executor: thread-safe; has two threads. Blocks: stop() only.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "fusefs/kernel_notifier.h"
#include "protocol/guarded.h"

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
  void extend(NodeId node, Place place) override;
  void set_end(NodeId node, std::uint64_t end, std::byte last) override;
  std::uint64_t moment() override;
  bool has_told(NodeId node, std::uint64_t since) override;
  void invalidate_entry(NodeId parent, std::string name) override;
  void invalidate_all_entries() override;
  void when_told(std::move_only_function<void()> done) override;

 private:
  enum class Kind { kAttributes, kData, kExtend, kEnd, kEntry, kAllEntries, kTold };
  /// After these the kernel keeps no attributes that it had asked for before.
  static constexpr std::array kAboutNode{Kind::kAttributes, Kind::kData, Kind::kExtend, Kind::kEnd};
  struct Notice {
    Kind kind{};
    NodeId node{};
    std::string name;
    std::move_only_function<void()> done{};  // of kTold
    Place place{};                           // of kExtend
    std::uint64_t end = 0;                   // of kEnd
    std::byte last{};                        // likewise
  };
  /// Two with the same key say the same: one in the queue is enough.
  using Key = std::tuple<Kind, NodeId, std::string>;

  /// A queue and its thread.
  class Lane {
   public:
    using Send = std::function<void(Notice&)>;
    void start(const char* thread_name, Send send);
    /// Returns what was not sent.
    std::deque<Notice> stop();
    void push(Notice notice);
    /// Whether one about the node's attributes or data waits.
    [[nodiscard]] bool has(NodeId node);
    /// False, and `notice` is untouched: there is nothing to wait for.
    bool push_behind(Notice& notice);

   private:
    void run(const std::stop_token& stop, const Send& send);

    std::mutex mutex_;
    std::condition_variable_any ready_;
    std::deque<Notice> queue_;  // guarded by mutex_; bounded by what the kernel caches, as:
    std::multiset<Key> keys_;   // guarded by mutex_; of those in queue_, but for kTold
    bool is_sending_ = false;   // guarded by mutex_
    bool is_stopped_ = true;    // guarded by mutex_: nobody sends
    std::jthread thread_;       // last: it uses the others
  };
  // Which nodes the kernel was told of last.
  struct Told {
    std::uint64_t count = 0;
    std::array<NodeId, 1024> nodes{};  // a ring
    void note(NodeId node) { nodes[count++ % nodes.size()] = node; }
    [[nodiscard]] bool has(NodeId node, std::uint64_t since) const;
  };
  void send(Notice& notice);
  void tell(Notice& notice);
  void send_extension(Notice& notice);
  void store(NodeId node, std::uint64_t offset, std::byte byte);

  fuse_session* session_ = nullptr;      // set before the threads start
  std::function<Names()> cached_names_;  // likewise
  Lane lane_;
  Lane names_lane_;  // of kEntry
  Guarded<Told> told_;
};

}  // namespace homefs
