#include "server/coherence.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "protocol/codec.h"
#include "server/posix_disk.h"

namespace homefs {
namespace {

// Calls `done` when the last of those that were waited for has answered.
struct Countdown {
  Countdown(std::size_t count, std::move_only_function<void()> when_done)
      : left(count), done(std::move(when_done)) {}
  void count() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done();
  }

  std::atomic<std::size_t> left;
  std::move_only_function<void()> done;
};

}  // namespace

std::shared_ptr<HomeCoherence> HomeCoherence::make(const boost::asio::any_io_executor& executor,
                                                   const Deadlines& deadlines) {
  std::shared_ptr<HomeCoherence> coherence(new HomeCoherence(executor, deadlines));
  coherence->self_ = coherence;
  return coherence;
}

template <class Function>
void HomeCoherence::on_strand(Function function) {
  boost::asio::post(strand_, [self = self_.lock(), function = std::move(function)]() mutable {
    if (self) function(*self);
  });
}

// ---- Coming and going -------------------------------------------------------------------------

void HomeCoherence::join(std::shared_ptr<CoherenceMember> member, Joined done) {
  on_strand([member = std::move(member), done = std::move(done)](HomeCoherence& self) mutable {
    self.do_join(std::move(member), std::move(done));
  });
}

void HomeCoherence::leave(std::shared_ptr<CoherenceMember> member) {
  on_strand([member = std::move(member)](HomeCoherence& self) { self.do_leave(member); });
}

void HomeCoherence::do_join(MemberRef member, Joined done) {
  bool is_in = false;
  bool is_first = joining_.empty();
  {
    const auto group = group_.lock();
    is_in = group->has(member);
    const std::size_t itself = group->expected.contains(member->id()) ? 1 : 0;
    is_first = is_first && group->members.empty() && group->expected.size() == itself;
  }
  if (is_in || member->has_ended()) {
    done(is_shared());
    return;
  }
  joining_.push_back({std::move(member), std::move(done)});
  if (!is_first && !is_shared()) begin_switch();
  if (asked_.empty()) finish_joins();
}

void HomeCoherence::begin_switch() {
  const std::vector<MemberRef> members = group_.lock()->members;
  const std::uint64_t number = ++switch_number_;
  asked_.clear();
  for (const MemberRef& member : members) {
    asked_.push_back({.member = member, .progress = member->progress()});
  }
  // Before anybody is told: a change made from here on is told to those who are in.
  is_shared_.store(true, std::memory_order_release);
  for (const MemberRef& member : members) {
    member->set_shared(true);
    member->send_mode(true, [self = self_, number, member](bool is_obeyed) {
      if (const auto coherence = self.lock()) {
        coherence->on_strand([number, member, is_obeyed](HomeCoherence& on_strand_self) {
          on_strand_self.on_switch_answer(number, member, is_obeyed);
        });
      }
    });
  }
}

void HomeCoherence::on_switch_answer(std::uint64_t switch_number, const MemberRef& member,
                                     bool is_obeyed) {
  if (switch_number != switch_number_) return;  // the mode has changed again since
  if (is_obeyed) return end_asking(member);
  const auto asked = std::ranges::find(asked_, member, &Asked::member);
  if (asked == asked_.end()) return;
  asked->is_over = true;
  look_for_progress();
}

void HomeCoherence::obeyed(std::shared_ptr<CoherenceMember> member, std::uint64_t mode) {
  on_strand([member = std::move(member), mode](HomeCoherence& self) {
    if (!member->obeys(mode)) return;
    self.end_asking(member);
    self.settle_mode();  // as long as it was late it was not told that it is alone
  });
}

void HomeCoherence::end_asking(const MemberRef& member) {
  if (std::erase_if(asked_, [&](const Asked& one) { return one.member == member; }) == 0) return;
  member->release_grant();
  if (asked_.empty()) finish_joins();
}

/// Of those whose time is over: who has sent something since the last look is waited for once more.
void HomeCoherence::look_for_progress() {
  std::vector<MemberRef> late;
  bool waits = false;
  for (Asked& one : asked_) {
    if (!one.is_over) continue;
    const std::uint64_t progress = one.member->progress();
    if (std::exchange(one.progress, progress) == progress || ++one.waits > kProgressWaitsMax) {
      late.push_back(one.member);
    } else {
      waits = true;
    }
  }
  for (const MemberRef& member : late) {
    member->begin_late();
    end_asking(member);
  }
  if (!waits) return;
  progress_timer_.expires_after(deadlines_.progress);
  progress_timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (const auto coherence = self.lock(); coherence && !error) coherence->look_for_progress();
  });
}

void HomeCoherence::finish_joins() {
  std::vector<Joining> joining = std::exchange(joining_, {});
  bool is_alone = false;
  {
    const auto group = group_.lock();
    for (const Joining& one : joining) {
      const bool was_expected = group->expected.erase(one.member->id()) != 0;
      // Its leave() was handled before, or comes behind this.
      if (one.member->has_ended() || group->has(one.member)) continue;
      group->members.push_back(one.member);
      if (was_expected) group->returning.insert(one.member->id());
    }
    is_alone = group->members.size() + group->expected.size() <= 1;
    is_shared_.store(!is_alone, std::memory_order_release);
  }
  release_if_complete();
  for (const Joining& one : joining) tell_mode_of(*one.member, is_alone);
  if (is_alone) {
    const std::vector<MemberRef> members = group_.lock()->members;
    const bool is_late =
        std::ranges::any_of(members, [](const MemberRef& member) { return member->is_late(); });
    is_shared_.store(is_late, std::memory_order_release);
  }
  for (Joining& one : joining) one.done(is_shared());
}

/// What `joined` has of before, of this session or of one that its client has lost, it has not said
/// to be on the server. One that is back alone is late if it was so before and others have changed
/// something.
void HomeCoherence::tell_mode_of(CoherenceMember& joined, bool is_alone) {
  joined.set_shared(!is_alone);
  if (!is_alone) joined.begin_late();
  if (is_alone && joined.is_late()) joined.set_shared(true);
}

void HomeCoherence::do_leave(const MemberRef& member) {
  std::erase_if(joining_, [&](const Joining& one) { return one.member == member; });
  {
    const auto group = group_.lock();
    std::erase(group->members, member);
    group->expected.erase(member->id());
    group->returning.erase(member->id());
  }
  end_asking(member);
  settle_mode();
}

/// Somebody has left, or is not expected any longer: who remains alone has the home for itself.
void HomeCoherence::settle_mode() {
  MemberRef remaining;
  {
    const auto group = group_.lock();
    if (is_shared() && joining_.empty() && group->expected.empty()) {
      if (group->members.size() == 1) remaining = group->members.front();
      if (group->members.empty()) is_shared_.store(false, std::memory_order_release);
    }
  }
  // One that is late has to obey first.
  if (remaining && !remaining->is_late()) become_sole(remaining);
  release_if_complete();
}

void HomeCoherence::become_sole(const MemberRef& member) {
  ++switch_number_;
  asked_.clear();
  is_shared_.store(false, std::memory_order_release);
  member->set_shared(false);
  member->send_mode(false, [](bool) {});
}

void HomeCoherence::clear() {
  const std::vector<Joining> joining = std::exchange(joining_, {});
  const std::vector<Asked> asked = std::exchange(asked_, {});
  const Group group = std::exchange(*group_.lock(), {});
}

void HomeCoherence::in_order(std::move_only_function<void(bool)> function) {
  on_strand([function = std::move(function)](HomeCoherence& self) mutable {
    function(self.is_shared());
  });
}

// ---- Those of before a restart ----------------------------------------------------------------

void HomeCoherence::expect(const SessionId& id) {
  on_strand([id](HomeCoherence& self) {
    bool is_used = false;
    {
      const auto group = self.group_.lock();
      const auto is_it = [&](const MemberRef& member) { return member->id() == id; };
      if (std::ranges::any_of(group->members, is_it)) return;
      if (group->is_complete()) group->is_waited_for = true;
      group->expected.insert(id);
      is_used = !group->members.empty();
    }
    if (is_used && !self.is_shared()) self.begin_switch();
  });
}

void HomeCoherence::expect_no_longer(const SessionId& id) {
  on_strand([id](HomeCoherence& self) {
    if (self.group_.lock()->expected.erase(id) != 0) self.settle_mode();
  });
}

void HomeCoherence::returned(const SessionId& id) {
  on_strand([id](HomeCoherence& self) {
    self.group_.lock()->returning.erase(id);
    self.release_if_complete();
  });
}

void HomeCoherence::release_if_complete() {
  std::vector<Done> waiting;
  {
    const auto group = group_.lock();
    if (group->is_complete()) waiting = std::exchange(group->waiting, {});
  }
  for (Done& done : waiting) done();
}

/// From the first change that waits.
void HomeCoherence::start_return_timer() {
  if (std::exchange(is_timer_running_, true)) return;
  return_timer_.expires_after(deadlines_.returning);
  return_timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (const auto coherence = self.lock(); coherence && !error) coherence->stop_waiting();
  });
}

void HomeCoherence::stop_waiting() {
  is_timer_running_ = false;
  std::vector<Done> waiting;
  {
    const auto group = group_.lock();
    group->is_waited_for = group->is_complete();
    waiting = std::exchange(group->waiting, {});
  }
  for (Done& done : waiting) done();
}

// ---- Changes ----------------------------------------------------------------------------------

void HomeCoherence::spread(const CoherenceMember& from, const std::vector<Change>& changes,
                           Done done) {
  if (changes.empty() || !is_shared()) {
    done();
    return;
  }
  std::vector<MemberRef> others;
  std::shared_ptr<Countdown> countdown;
  bool waits_for_return = false;
  {
    const auto group = group_.lock();
    others = group->members;
    std::erase_if(others, [&](const MemberRef& member) { return member.get() == &from; });
    const std::size_t itself = group->returning.contains(from.id()) ? 1 : 0;
    waits_for_return =
        group->is_waited_for && group->expected.size() + group->returning.size() > itself;
    // The last to count is this call, unless others are slower.
    countdown =
        std::make_shared<Countdown>(others.size() + (waits_for_return ? 2 : 1), std::move(done));
    if (waits_for_return) group->waiting.emplace_back([countdown] { countdown->count(); });
  }
  if (waits_for_return) on_strand([](HomeCoherence& self) { self.start_return_timer(); });
  if (!others.empty()) {
    const std::vector<std::byte> fields = encode_fields(ChangedEvent{disk::next_order(), changes});
    for (const MemberRef& member : others) {
      member->send_changes(fields, [countdown] { countdown->count(); });
    }
  }
  countdown->count();
}

void HomeCoherence::tell_all(const std::vector<Change>& changes) {
  const std::vector<MemberRef> members = group_.lock()->members;
  if (members.empty()) return;
  const std::vector<std::byte> fields = encode_fields(ChangedEvent{disk::next_order(), changes});
  for (const MemberRef& member : members) member->send_changes(fields, [] {});
}

}  // namespace homefs
