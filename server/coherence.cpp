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

std::shared_ptr<HomeCoherence> HomeCoherence::make(const boost::asio::any_io_executor& executor) {
  std::shared_ptr<HomeCoherence> coherence(new HomeCoherence(executor));
  coherence->self_ = coherence;
  return coherence;
}

template <class Function>
void HomeCoherence::on_strand(Function function) {
  boost::asio::post(strand_, [self = self_.lock(), function = std::move(function)]() mutable {
    if (self) function(*self);
  });
}

void HomeCoherence::join(std::shared_ptr<CoherenceMember> member, Joined done) {
  on_strand([member = std::move(member), done = std::move(done)](HomeCoherence& self) mutable {
    self.do_join(std::move(member), std::move(done));
  });
}

void HomeCoherence::leave(std::shared_ptr<CoherenceMember> member) {
  on_strand([member = std::move(member)](HomeCoherence& self) { self.do_leave(member); });
}

void HomeCoherence::do_join(MemberRef member, Joined done) {
  const bool is_first = joining_.empty() && members_.lock()->empty();
  joining_.push_back({std::move(member), std::move(done)});
  if (!is_first && !is_shared()) begin_switch();
  if (answers_expected_ == 0) finish_joins();
}

void HomeCoherence::begin_switch() {
  const std::vector<MemberRef> members = *members_.lock();
  const std::uint64_t number = ++switch_number_;
  answers_expected_ = members.size();
  // Before anybody is told: a change made from here on is told to those who are in.
  is_shared_.store(true, std::memory_order_release);
  for (const MemberRef& member : members) {
    member->set_shared(true);
    member->send_mode(true, [self = self_, number, member] {
      if (const auto coherence = self.lock()) {
        coherence->on_strand([number, member](HomeCoherence& on_strand_self) {
          on_strand_self.on_switch_answer(number, member);
        });
      }
    });
  }
}

void HomeCoherence::on_switch_answer(std::uint64_t switch_number, const MemberRef& member) {
  if (switch_number != switch_number_) return;  // the mode has changed again since
  member->release_grant();
  HOMEFS_CHECK(answers_expected_ > 0);
  if (--answers_expected_ == 0) finish_joins();
}

void HomeCoherence::finish_joins() {
  std::vector<Joining> joining = std::exchange(joining_, {});
  {
    const auto members = members_.lock();
    for (const Joining& one : joining) members->push_back(one.member);
    is_shared_.store(members->size() > 1, std::memory_order_release);
  }
  for (Joining& one : joining) {
    one.member->set_shared(is_shared());
    one.done(is_shared());
  }
}

void HomeCoherence::do_leave(const MemberRef& member) {
  std::erase_if(joining_, [&](const Joining& one) { return one.member == member; });
  MemberRef remaining;
  {
    const auto members = members_.lock();
    std::erase(*members, member);
    if (is_shared() && joining_.empty() && members->size() == 1) remaining = members->front();
    if (joining_.empty() && members->empty()) is_shared_.store(false, std::memory_order_release);
  }
  if (remaining) become_sole(remaining);
}

void HomeCoherence::become_sole(const MemberRef& member) {
  ++switch_number_;
  answers_expected_ = 0;
  is_shared_.store(false, std::memory_order_release);
  member->set_shared(false);
  member->send_mode(false, [] {});
}

void HomeCoherence::clear() {
  const std::vector<Joining> joining = std::exchange(joining_, {});
  const std::vector<MemberRef> members = std::exchange(*members_.lock(), {});
}

void HomeCoherence::in_order(std::move_only_function<void(bool)> function) {
  on_strand([function = std::move(function)](HomeCoherence& self) mutable {
    function(self.is_shared());
  });
}

void HomeCoherence::spread(const CoherenceMember& from, const std::vector<Change>& changes,
                           std::move_only_function<void()> done) {
  if (changes.empty() || !is_shared()) {
    done();
    return;
  }
  std::vector<MemberRef> others = *members_.lock();
  std::erase_if(others, [&](const MemberRef& member) { return member.get() == &from; });
  if (others.empty()) {
    done();
    return;
  }
  const std::vector<std::byte> fields = encode_fields(ChangedEvent{disk::next_order(), changes});
  const auto countdown = std::make_shared<Countdown>(others.size(), std::move(done));
  for (const MemberRef& member : others) {
    member->send_changes(fields, [countdown] { countdown->count(); });
  }
}

void HomeCoherence::tell_all(const std::vector<Change>& changes) {
  const std::vector<MemberRef> members = *members_.lock();
  if (members.empty()) return;
  const std::vector<std::byte> fields = encode_fields(ChangedEvent{disk::next_order(), changes});
  for (const MemberRef& member : members) member->send_changes(fields, [] {});
}

}  // namespace homefs
