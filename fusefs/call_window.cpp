#include "fusefs/call_window.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "protocol/numbered_op.h"

namespace homefs {
namespace {

// The higher half is for the pings of ServerLink.
constexpr std::uint32_t kCallTagMax = 0x7fffffff;

bool cuts(const Call& call) {
  if (call.op != Op::kSetattr) return false;
  ByteReader fields(call.fields);
  const auto request = decode<SetattrRequest>(fields);
  return request && (request->which & kSetSize) != 0;
}

// What must not be asked for twice when nobody knows whether it was done, since others may have
// changed the same meanwhile (PROTOCOL.md, "Sessions and connections").
bool is_repeatable(const Call& call) {
  switch (call.op) {
    case Op::kCreate:
    case Op::kMkdir:
    case Op::kMknod:
    case Op::kSymlink:
    case Op::kLink:
    case Op::kUnlink:
    case Op::kRmdir:
    case Op::kRename:
    case Op::kAppend:
    case Op::kCopy:
    case Op::kFallocate:
      return false;
    default:
      return !cuts(call);
  }
}

// What the server remembers, so that it is done once.
bool is_change(Op op) { return is_sequenced(op) || is_numbered(op); }

SteadyTime waits_since(const PendingCall& call) { return std::max(call.since, call.moved_up); }

std::uint64_t payload_bytes(const Call& call) {
  std::uint64_t bytes = 0;
  for (const Slice& slice : call.payload) bytes += slice.bytes.size();
  return bytes;
}

}  // namespace

Lane lane_of(const Call& call) { return is_sequenced(call.op) ? Lane::kControl : call.lane; }

bool CallWindow::has_room(Lane lane) const {
  if (under_way_.size() >= kCallsInFlightMax) return false;
  return lane == Lane::kControl || bulk_under_way_ < kBulkInFlightMax;
}

bool CallWindow::add(PendingPtr call) {
  if (waiting() >= kCallsWaitingMax) return false;
  call->lane = lane_of(call->call);
  queue(call->lane).push_back(std::move(call));
  return true;
}

PendingPtr CallWindow::take_next(Lane lane, std::uint64_t connection) {
  if (queue(lane).empty() || !has_room(lane)) return nullptr;
  NumberRow* const row = row_of(queue(lane).front()->call.op);
  const bool needs_number = row != nullptr && queue(lane).front()->seq == 0;
  if (needs_number && row->is_full()) return nullptr;
  PendingPtr call = std::move(queue(lane).front());
  queue(lane).pop_front();
  if (needs_number) call->seq = row->take();
  put_under_way(call, connection);
  return call;
}

void CallWindow::put_under_way(const PendingPtr& call, std::uint64_t connection) {
  do {
    last_tag_ = last_tag_ == kCallTagMax ? 1 : last_tag_ + 1;
  } while (under_way_.contains(last_tag_));
  call->tag = last_tag_;
  call->connection = connection;
  call->sent_order = ++last_sent_order_;
  ++call->sendings;
  if (call->lane == Lane::kBulk) ++bulk_under_way_;
  under_way_.emplace(call->tag, call);
}

void CallWindow::leave_under_way(const PendingPtr& call) {
  if (call->lane == Lane::kBulk) --bulk_under_way_;
  call->tag = 0;
  call->connection = 0;
}

void CallWindow::put_back(const PendingPtr& call) {
  const auto found = under_way_.find(call->tag);
  // A break may have put it back already.
  if (found == under_way_.end() || found->second != call) return;
  under_way_.erase(found);
  leave_under_way(call);
  --call->sendings;
  queue(call->lane).push_front(call);
}

PendingPtr CallWindow::take_answered(std::uint32_t tag, std::uint64_t connection) {
  const auto found = under_way_.find(tag);
  if (found == under_way_.end() || found->second->connection != connection) return nullptr;
  PendingPtr call = std::move(found->second);
  under_way_.erase(found);
  leave_under_way(call);
  if (call->seq != 0) row_of(call->call.op)->fill(call->seq);
  std::uint64_t& first = first_answered_[static_cast<std::size_t>(call->lane)];
  first = std::min(first, call->sent_order);
  return call;
}

NumberRow* CallWindow::row_of(Op op) {
  if (op == Op::kWrite) return &writes_;
  if (op == Op::kFsync) return &syncs_;
  return is_sequenced(op) ? &sequence_ : nullptr;
}

std::uint64_t NumberRow::take() {
  answered_.push_back(false);
  return ++last_;
}

void NumberRow::fill(std::uint64_t number) {
  HOMEFS_CHECK(number > done_ && number - done_ <= answered_.size());
  answered_[number - done_ - 1] = true;
  while (!answered_.empty() && answered_.front()) {
    answered_.pop_front();
    ++done_;
  }
}

void CallWindow::send_again(PendingPtr call) {
  call->seq = 0;
  call->sendings = 0;
  call->introductions.clear();
  // Behind all that hold a number already: theirs are lower than the one it will get.
  Queue& calls = queue(call->lane);
  const auto last = std::find_if(calls.rbegin(), calls.rend(),
                                 [](const PendingPtr& waiting) { return waiting->seq != 0; });
  calls.insert(last.base(), std::move(call));
}

void CallWindow::drop_abandoned(Queue& calls) {
  std::erase_if(calls, [](const PendingPtr& call) { return !call->done && call->seq == 0; });
}

void CallWindow::on_break(std::uint64_t connection) {
  std::vector<PendingPtr> broken;
  std::erase_if(under_way_, [&](const auto& entry) {
    if (entry.second->connection != connection) return false;
    broken.push_back(entry.second);
    return true;
  });
  wait_again(std::move(broken));
}

void CallWindow::on_break_all() {
  std::vector<PendingPtr> broken;
  for (auto& [tag, call] : under_way_) broken.push_back(std::move(call));
  under_way_.clear();
  wait_again(std::move(broken));
}

// At the head of their lanes, in the order in which they were sent.
void CallWindow::wait_again(std::vector<PendingPtr> broken) {
  std::ranges::sort(broken, std::ranges::greater(), &PendingCall::sent_order);
  for (PendingPtr& call : broken) {
    leave_under_way(call);
    queue(call->lane).push_front(std::move(call));
  }
  for (Queue& calls : waiting_) drop_abandoned(calls);
}

std::vector<PendingPtr> CallWindow::on_new_session() {
  HOMEFS_CHECK(under_way_.empty());
  std::vector<PendingPtr> doubtful;
  ++session_number_;
  sequence_ = {};
  writes_ = {};
  syncs_ = {};
  for (Queue& calls : waiting_) {
    std::erase_if(calls, [&](const PendingPtr& call) {
      const bool is_doubtful =
          call->call.session != 0 || (call->sendings > 0 && !is_repeatable(call->call));
      if (is_doubtful && call->done) doubtful.push_back(call);
      call->seq = 0;
      call->sendings = 0;
      return is_doubtful || !call->done;
    });
  }
  return doubtful;
}

Link::Done CallWindow::abandon(std::uint64_t number) {
  const auto is_it = [&](const PendingPtr& call) { return call->number == number; };
  for (Queue& calls : waiting_) {
    const auto found = std::find_if(calls.begin(), calls.end(), is_it);
    if (found == calls.end()) continue;
    Link::Done done = std::exchange((*found)->done, nullptr);
    if ((*found)->seq == 0) calls.erase(found);
    return done;
  }
  for (auto& [tag, call] : under_way_) {
    if (is_it(call)) return std::exchange(call->done, nullptr);
  }
  return nullptr;
}

template <class Function>
void CallWindow::for_each(Function function) const {
  for (const auto& [tag, call] : under_way_) function(call);
  for (const Queue& calls : waiting_) {
    for (const PendingPtr& call : calls) function(call);
  }
}

void CallWindow::note_progress(SteadyTime now) {
  const auto first = std::exchange(first_answered_, {kNoneAnswered, kNoneAnswered});
  for (const auto& [tag, call] : under_way_) {
    if (call->sent_order > first[static_cast<std::size_t>(call->lane)]) call->moved_up = now;
  }
  for (const Lane lane : {Lane::kControl, Lane::kBulk}) {
    if (first[static_cast<std::size_t>(lane)] == kNoneAnswered) continue;
    for (const PendingPtr& call : queue(lane)) call->moved_up = now;
  }
}

std::vector<Link::Done> CallWindow::abandon_older_than(SteadyTime limit) {
  std::vector<Link::Done> taken;
  for_each([&](const PendingPtr& call) {
    if (!call->done || is_change(call->call.op) || waits_since(*call) >= limit) return;
    taken.push_back(std::exchange(call->done, nullptr));
  });
  for (Queue& calls : waiting_) drop_abandoned(calls);
  return taken;
}

std::optional<SteadyTime> CallWindow::oldest_change() const {
  std::optional<SteadyTime> oldest;
  for_each([&](const PendingPtr& call) {
    if (!call->done || !is_change(call->call.op)) return;
    oldest = std::min(oldest.value_or(SteadyTime::max()), waits_since(*call));
  });
  return oldest;
}

std::vector<Link::Done> CallWindow::clear() {
  std::vector<Link::Done> taken;
  for_each([&](const PendingPtr& call) {
    if (call->done) taken.push_back(std::exchange(call->done, nullptr));
  });
  under_way_.clear();
  bulk_under_way_ = 0;
  for (Queue& calls : waiting_) calls.clear();
  return taken;
}

bool CallWindow::has_resends(Lane lane) const {
  return std::any_of(queue(lane).begin(), queue(lane).end(),
                     [](const PendingPtr& call) { return call->sendings > 0; });
}

std::uint64_t CallWindow::waiting_payload_bytes() const {
  std::uint64_t bytes = 0;
  for (const Queue& calls : waiting_) {
    for (const PendingPtr& call : calls) bytes += payload_bytes(call->call);
  }
  return bytes;
}

}  // namespace homefs
