// Sole and shared: who has a home at the moment, and that all of them see each change.
//
// A session that has the home alone is told nothing. When a second one comes, the first is told
// (ModeEvent) and has to acknowledge before the second gets in; from then on a change of one is
// told to all others (ChangedEvent) and acknowledged by them before its reply leaves. Whoever does
// not acknowledge in time is not waited for (EventOutbox).
//
// Comings and goings are handled one after the other on a strand, so that a mode never overtakes
// another; changes are spread from any thread.
//
// Owner: the home's entry in the registry of homes. Executor: thread-safe; callbacks run on the
// strand or on the thread that knows of the last acknowledgement. Blocks: never.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/messages.h"

namespace homefs {

/// A session, as the others of its home see it. Thread-safe; nothing blocks.
class CoherenceMember {
 public:
  virtual ~CoherenceMember() = default;
  /// The mode of the home from now on; false: its grant may be topped up.
  virtual void set_shared(bool is_shared) = 0;
  /// Sends a ModeEvent. `done` when it was acknowledged, or will not be in time.
  virtual void send_mode(bool is_shared, std::move_only_function<void()> done) = 0;
  /// Sends a ChangedEvent; `done` as above.
  virtual void send_changes(const std::vector<std::byte>& fields,
                            std::move_only_function<void()> done) = 0;
  /// It has acknowledged that the home is shared, or is not waited for any longer.
  virtual void release_grant() = 0;
};

class HomeCoherence {
 public:
  /// Told whether the home is shared.
  using Joined = std::move_only_function<void(bool)>;

  static std::shared_ptr<HomeCoherence> make(const boost::asio::any_io_executor& executor);
  HomeCoherence(const HomeCoherence&) = delete;
  HomeCoherence& operator=(const HomeCoherence&) = delete;

  /// Lets `member` in: `done` when all others know that the home is shared. Never called when
  /// `member` leaves before that.
  void join(std::shared_ptr<CoherenceMember> member, Joined done);
  /// `member` is not told anything any more. Harmless for one that has left already.
  void leave(std::shared_ptr<CoherenceMember> member);

  /// Forgets all sessions. Precondition: the strand does not run any more.
  void clear();

  /// Calls `function` with the mode, in order with all changes of it: what is begun there with this
  /// mode is told of the next one afterwards.
  void in_order(std::move_only_function<void(bool is_shared)> function);

  /// Tells all but `from` of `changes`; `done` when they have obeyed, at once when there is nobody.
  void spread(const CoherenceMember& from, const std::vector<Change>& changes,
              std::move_only_function<void()> done);

  /// Tells all of what others than sessions have changed; also one that has the home alone.
  void tell_all(const std::vector<Change>& changes);

  [[nodiscard]] bool is_shared() const { return is_shared_.load(std::memory_order_acquire); }

 private:
  using MemberRef = std::shared_ptr<CoherenceMember>;  // owners: the registry of sessions, and we
  struct Joining {
    MemberRef member;
    Joined done;
  };

  explicit HomeCoherence(const boost::asio::any_io_executor& executor) : strand_(executor) {}

  template <class Function>
  void on_strand(Function function);

  // All below: on the strand.
  void do_join(MemberRef member, Joined done);
  void do_leave(const MemberRef& member);
  void begin_switch();
  void on_switch_answer(std::uint64_t switch_number, const MemberRef& member);
  void finish_joins();
  void become_sole(const MemberRef& member);

  boost::asio::strand<boost::asio::any_io_executor> strand_;
  std::weak_ptr<HomeCoherence> self_;
  std::atomic<bool> is_shared_{false};
  Guarded<std::vector<MemberRef>> members_;  // those who are in; changed on the strand only

  // On the strand.
  std::vector<Joining> joining_;
  std::uint64_t switch_number_ = 0;   // grows with every change of the mode
  std::size_t answers_expected_ = 0;  // to the ModeEvents of the switch under way
};

}  // namespace homefs
