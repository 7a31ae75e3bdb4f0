// Sole and shared: who has a home at the moment, and that all of them see each change.
//
// A session that has the home alone is told nothing. When a second one comes, the first is told
// (ModeEvent) and has to acknowledge before the second gets in; from then on a change of one is
// told to all others (ChangedEvent) and acknowledged by them before its reply leaves. Whoever does
// not acknowledge in time is not waited for (EventOutbox).
//
// One that had the home alone is waited for as long as it goes on sending, up to a bound. Then it
// is *late* until it has acknowledged, whoever is in the home meanwhile: what it sends of before is
// refused where others have changed the file (ForeignChanges).
//
// After a restart of the server the sessions of before are *expected* until they are back or over.
// They count: who is back before them shares the home, since their programs go on with what they
// know. A change waits until they are back, so that nobody is shown what it has made untrue; but
// not longer than an event is waited for, and once only.
//
// Comings and goings are handled one after the other on a strand, so that a mode never overtakes
// another; changes are spread from any thread.
//
// Owner: the home's entry in the registry of homes. Executor: thread-safe; callbacks run on the
// strand or on the thread that knows of the last acknowledgement. Blocks: never.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"
#include "protocol/messages.h"
#include "server/event_outbox.h"

namespace homefs {

/// A session, as the others of its home see it. Thread-safe; nothing blocks.
class CoherenceMember {
 public:
  virtual ~CoherenceMember() = default;
  [[nodiscard]] virtual const SessionId& id() const = 0;
  /// It has ended. Once it has, leave() is called for it.
  [[nodiscard]] virtual bool has_ended() = 0;
  /// The mode of the home from now on; false: its grant may be topped up.
  virtual void set_shared(bool is_shared) = 0;
  /// Sends a ModeEvent. `done` when it was acknowledged (true), or will not be in time.
  virtual void send_mode(bool is_shared, std::move_only_function<void(bool)> done) = 0;
  /// Sends a ChangedEvent; `done` when it was acknowledged, or will not be in time.
  virtual void send_changes(const std::vector<std::byte>& fields,
                            std::move_only_function<void()> done) = 0;
  /// It has acknowledged that the home is shared, or is not waited for any longer.
  virtual void release_grant() = 0;
  /// Others are in the home, and it is not waited for any longer. Harmless for one that has
  /// acknowledged.
  virtual void begin_late() = 0;
  [[nodiscard]] virtual bool is_late() = 0;
  /// It has acknowledged that the home is shared, and is late no more. False: it was told since
  /// that it is alone, so that says nothing. `mode`: as it came to obeyed().
  [[nodiscard]] virtual bool obeys(std::uint64_t mode) = 0;
  /// Grows with what it sends.
  [[nodiscard]] virtual std::uint64_t progress() = 0;
};

/// Who logs in waits so often for a session that goes on sending what it has of before, for
/// kEventDeadline each: its client gives a step of the login ten seconds.
inline constexpr int kProgressWaitsMax = 7;

class HomeCoherence {
 public:
  /// Told whether the home is shared.
  using Joined = std::move_only_function<void(bool)>;

  struct Deadlines {
    std::chrono::milliseconds returning = kEventDeadline;  ///< changes wait for those expected
    std::chrono::milliseconds progress = kEventDeadline;   ///< between two looks at who is asked
  };
  static std::shared_ptr<HomeCoherence> make(const boost::asio::any_io_executor& executor,
                                             const Deadlines& deadlines);
  static std::shared_ptr<HomeCoherence> make(const boost::asio::any_io_executor& executor) {
    return make(executor, {});
  }
  HomeCoherence(const HomeCoherence&) = delete;
  HomeCoherence& operator=(const HomeCoherence&) = delete;

  /// A session of an earlier run of the server may come back. Harmless for one that is expected
  /// already. To be called before anybody joins who is let in besides it.
  void expect(const SessionId& id);
  /// It will not come back. One that joins need not be named here.
  void expect_no_longer(const SessionId& id);
  /// A session that was expected and has joined has dropped its caches, or is not waited for.
  void returned(const SessionId& id);

  /// Lets `member` in: `done` when all others know that the home is shared; at once for one who is
  /// in already. Never called when `member` leaves before that. One that has ended is not let in.
  void join(std::shared_ptr<CoherenceMember> member, Joined done);
  /// `member` is not told anything any more. Harmless for one that has left already.
  void leave(std::shared_ptr<CoherenceMember> member);

  /// `member` has acknowledged that the home is shared, however late. `mode`: see
  /// CoherenceMember::obeys().
  void obeyed(std::shared_ptr<CoherenceMember> member, std::uint64_t mode);

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

  // Who has not acknowledged that the home is shared, and is waited for.
  struct Asked {
    MemberRef member;
    std::uint64_t progress = 0;
    int waits = 0;         // times that it had gone on when its time was over
    bool is_over = false;  // its time
  };

  using Done = std::move_only_function<void()>;
  struct Group {
    std::vector<MemberRef> members;  // those who are in
    std::set<SessionId> expected;    // those who are not back
    std::set<SessionId> returning;   // back, and may still show what they knew before
    bool is_waited_for = true;       // the deadline of the last two has not passed
    std::vector<Done> waiting;       // changes that wait for them

    [[nodiscard]] bool is_complete() const { return expected.empty() && returning.empty(); }
    [[nodiscard]] bool has(const MemberRef& member) const {
      return std::ranges::find(members, member) != members.end();
    }
  };

  HomeCoherence(const boost::asio::any_io_executor& executor, const Deadlines& deadlines)
      : deadlines_(deadlines),
        strand_(executor),
        return_timer_(strand_),
        progress_timer_(strand_) {}

  template <class Function>
  void on_strand(Function function);

  // All below: on the strand.
  void do_join(MemberRef member, Joined done);
  void do_leave(const MemberRef& member);
  void settle_mode();
  void release_if_complete();
  void start_return_timer();
  void stop_waiting();
  void begin_switch();
  void on_switch_answer(std::uint64_t switch_number, const MemberRef& member, bool is_obeyed);
  void end_asking(const MemberRef& member);
  void look_for_progress();
  void finish_joins();
  void tell_mode_of(CoherenceMember& joined, bool is_alone);
  void become_sole(const MemberRef& member);

  const Deadlines deadlines_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  std::weak_ptr<HomeCoherence> self_;
  std::atomic<bool> is_shared_{false};
  Guarded<Group> group_;  // changed on the strand only, but for `waiting`

  // On the strand.
  boost::asio::steady_timer return_timer_;
  bool is_timer_running_ = false;
  boost::asio::steady_timer progress_timer_;
  std::vector<Joining> joining_;
  std::uint64_t switch_number_ = 0;  // grows with every change of the mode
  std::vector<Asked> asked_;         // of the switch under way
};

}  // namespace homefs
