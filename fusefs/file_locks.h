// FileLocks: the file locks that programs of this mount hold or wait for. The server has them; here
// is who has to be asked for what when a file is closed, and who waits for an answer.
//
// A request that has to wait is queued at the server, and answered by an event. It can be
// interrupted at any moment: the program hears so at once, and the server takes the request back,
// however far it got. After a break the queued requests are made again. With a session the server
// loses its locks: whoever holds a handle through which one was taken hears kIoError from then on.
//
// Owner: FileSystem. Executor: thread-safe. Blocks: never.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "fusefs/kernel_notifier.h"
#include "fusefs/link.h"
#include "protocol/guarded.h"
#include "protocol/messages.h"
#include "protocol/task.h"

namespace homefs {

/// Who locks, in the kernel's numbers.
struct FileLocker {
  NodeId node{};
  LockKind kind = LockKind::kRecord;
  std::uint64_t owner = 0;
  auto operator<=>(const FileLocker&) const = default;
};

struct FileLock {
  FileLocker locker;
  LockType type = LockType::kShared;
  bool waits = false;
  std::uint64_t begin = 0;
  std::uint64_t end = kLockEndMax;
  std::uint32_t pid = 0;
  std::uint64_t handle = 0;  ///< through which it is asked for
};

class FileLocks {
 public:
  using Post = std::function<void(std::move_only_function<void()>)>;

  explicit FileLocks(Post post) : post_(std::move(post)) {}
  FileLocks(const FileLocks&) = delete;
  FileLocks& operator=(const FileLocks&) = delete;

  /// Sets what it works with; before the first request.
  void attach(Link& link, KernelNotifier& notifier);

  /// A number for a request that will be made; it can be interrupted from now on.
  std::uint64_t begin();
  /// What has to be done before set() and may take as long as the network is away: `start` begins
  /// it, and is given what is to be called at its end. kInterrupted when the request was
  /// interrupted meanwhile; it is over then, and what was begun goes on by itself.
  using Ready = std::move_only_function<void()>;
  Task<Result<>> wait_before(std::uint64_t id, std::move_only_function<void(Ready)> start);
  /// Sets or clears a lock. Success means as well that the kernel keeps no data of the file that
  /// was changed elsewhere before. kWouldBlock, kDeadlock, kNoLocks; kInterrupted; kIoError when
  /// locks that were taken through the handle are lost, also for who gives one free.
  Task<Result<>> set(FileLock lock, std::uint64_t id);
  /// The request is answered with kInterrupted, unless it was answered already.
  void interrupt(std::uint64_t id);
  /// The same at once, with `status`, for who holds nothing of libfuse. What is answered so is not
  /// held: the server takes it back.
  void end_request(std::uint64_t id, Status status);
  /// All that wait are answered with kIoError: the mount ends.
  void end_waits();
  Task<Result<TestLockReply>> test(FileLock lock);

  /// Whether the owner may hold a lock. False is certain, and costs next to nothing.
  [[nodiscard]] bool may_hold(const FileLocker& locker);
  /// Whether anybody in this mount has the file locked, or asks for a lock of it.
  [[nodiscard]] bool concern(NodeId node);
  /// Whether anybody in this mount has ever asked for a record lock.
  [[nodiscard]] bool had_record_locks() const { return had_record_locks_; }
  /// Whether anybody may hold a record lock of the file.
  [[nodiscard]] bool has_record_locks(NodeId node);
  /// Clears all that the owner holds of the file.
  Task<Result<>> drop(FileLocker locker);
  /// The handle is gone: those that must be dropped now, since they locked through it alone.
  std::vector<FileLocker> close_handle(std::uint64_t handle);
  /// Those have been dropped, or what they held is lost: nothing of the handle hinders anybody.
  void forget_handle(std::uint64_t handle);
  /// Locks that were taken through the handle are lost.
  [[nodiscard]] bool is_lost(std::uint64_t handle);
  /// The session in which a change of the node's data may reach the server that a program begins
  /// now, through `handle` (0: none): the present one while somebody here has the file locked,
  /// since it may rely on that; 0, any, else. kIoError when locks that were taken through the
  /// handle are lost.
  Result<std::uint64_t> session_for(NodeId node, std::uint64_t handle);
  /// Open ones through which locks of the file were taken that are lost.
  [[nodiscard]] std::vector<std::uint64_t> lost_handles(NodeId node);

  void on_granted(std::uint64_t id);
  void on_session(bool is_same_session);

 private:
  using Done = Completion<Result<>>::Done;
  // What an owner may hold.
  struct Holding {
    std::set<std::uint64_t> handles;
    int asking = 0;         // requests that are not answered
    bool has_lock = false;  // some request was granted
  };
  struct Ending {
    Result<> result;
    bool cancels = false;  // the server has to take it back
  };
  struct Pending {
    FileLock lock;
    Done ready;                       // of wait_before()
    Done done;                        // empty: not made yet
    std::set<std::uint64_t> handles;  // of kNone: through which that was locked which it clears
    bool is_interrupted = false;
    bool is_queued = false;
    std::uint64_t asked_after = 0;  // how many breaks
    int sending = 0;                // threads that hand it to the link
    std::optional<Ending> ending;   // for the last of them
  };
  struct State {
    std::map<FileLocker, Holding> holdings;
    std::unordered_map<std::uint64_t, Pending> pending;
    std::map<std::uint64_t, NodeId> lost;  // by handle
    std::uint64_t last_id = 0;
    std::uint64_t breaks = 0;
  };

  void ask(FileLock lock, std::uint64_t id, Done done);
  void send(std::uint64_t id);
  void send_now(const FileLock& lock, std::uint64_t id);
  void cancel(std::uint64_t id);
  void on_answer(std::uint64_t id, Result<LockReply> reply);
  void on_queued(std::uint64_t id);
  void finish(std::uint64_t id, Result<> result);
  void take_back(std::uint64_t id, Error why);
  void end(std::uint64_t id, Ending ending);
  void begin_holding(State& state, Pending& pending);
  void end_asking(State& state, const Pending& pending, bool is_granted);
  void on_ready(std::uint64_t id);
  void count(const State& state);

  const Post post_;
  Link* link_ = nullptr;                // set once by attach()
  KernelNotifier* notifier_ = nullptr;  // likewise
  Guarded<State> state_;
  std::atomic<std::size_t> holdings_{0};  // in state_, for those who find none
  std::atomic<std::size_t> lost_{0};      // likewise
  std::atomic<bool> had_record_locks_{false};
};

}  // namespace homefs
