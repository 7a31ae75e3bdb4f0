#include "tests/support/client/fake_link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace homefs::test {
namespace {

SharedBuffer buffer_of(std::span<const std::byte> first, std::string_view second) {
  auto body = std::make_shared<Buffer>(first.size() + second.size());
  std::ranges::copy(first, body->writable().begin());
  std::ranges::copy(std::as_bytes(std::span(second)),
                    body->writable().begin() + static_cast<std::ptrdiff_t>(first.size()));
  return body;
}

}  // namespace

std::string FakeLink::Request::data() const {
  std::string all;
  for (const Slice& slice : payload) {
    all.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
  }
  return all;
}

InFrame FakeLink::Request::frame() const {
  std::vector<std::byte> head;
  if (op > Op::kPing) encode(Introductions{introductions}, head);
  head.insert(head.end(), fields.begin(), fields.end());
  InFrame frame;
  frame.header = {.op = op, .tag = tag, .seq = seq, .seq_done = seq_done};
  frame.body = buffer_of(head, data());
  frame.header.body_bytes = static_cast<std::uint32_t>(frame.body->bytes().size());
  return frame;
}

FakeLink::FakeLink(bool has_bulk) : has_bulk_(has_bulk), control_(++last_connection_) {
  if (has_bulk) bulk_ = ++last_connection_;
}

FakeLink::~FakeLink() { close(); }

void FakeLink::attach(IntroductionSource& introductions, LinkEvents& events) {
  introductions_ = &introductions;
  events_ = &events;
}

// ---- Link -------------------------------------------------------------------------------------

std::uint64_t FakeLink::send(Call call, Done done) {
  auto pending = std::make_shared<PendingCall>();
  pending->number = ++last_number_;
  pending->call = std::move(call);
  pending->done = std::move(done);
  const std::uint64_t number = pending->number;
  if (is_closed_) {
    pending->done(fail(Status::kDisconnected, "the link is closed"));
  } else if (pending->call.session != 0 && pending->call.session != window_.session_number()) {
    pending->done(fail(Status::kIoError, "the server has lost the session"));
  } else if (!window_.add(pending)) {
    pending->done(fail(Status::kNoMemory));
  } else {
    pump(lane_of(pending->call));
  }
  return number;
}

void FakeLink::interrupt(std::uint64_t call_number) {
  Done done = window_.abandon(call_number);
  if (done) done(fail(Status::kInterrupted));
}

void FakeLink::note_damaged_block(NodeId, std::uint64_t, int) { ++damaged_blocks; }

std::uint64_t FakeLink::connection_of(Lane lane) const {
  if (lane == Lane::kControl || !has_bulk_) return control_;
  return control_ == 0 ? 0 : bulk_;
}

void FakeLink::pump(Lane lane) {
  bool& is_pumping = is_pumping_[static_cast<std::size_t>(lane)];
  if (is_pumping) return;
  is_pumping = true;
  while (const std::uint64_t connection = connection_of(lane)) {
    const PendingPtr call = window_.take_next(lane, connection);
    if (call == nullptr) break;
    leave(call);
  }
  is_pumping = false;
}

void FakeLink::pump_all() {
  pump(Lane::kControl);
  pump(Lane::kBulk);
}

void FakeLink::leave(const PendingPtr& call) {
  const std::uint32_t tag = call->tag;
  std::vector<Introduction> made;
  if (introductions_ != nullptr && !call->call.nodes.empty()) {
    introductions_->introduce(call->call.nodes, incarnation_, made);
  }
  if (call->tag != tag) return;  // the connection broke meanwhile: it waits again
  call->introductions = made;
  call->incarnation = incarnation_;
  ++counts_[static_cast<std::size_t>(call->call.op)];
  under_way_.push_back({.tag = call->tag,
                        .connection = call->connection,
                        .lane = call->lane,
                        .op = call->call.op,
                        .seq = call->seq,
                        .seq_done = window_.seq_done(),
                        .nodes = call->call.nodes,
                        .introductions = std::move(made),
                        .fields = call->call.fields,
                        .payload = call->call.payload});
  if (on_request_) on_request_(Request(under_way_.back()));
}

// ---- Answers ----------------------------------------------------------------------------------

FakeLink::Request FakeLink::find(Op op, std::size_t skip) {
  for (const Request& request : under_way_) {
    if (request.op == op && skip-- == 0) return request;
  }
  ADD_FAILURE() << "no request is under way: " << name_of(op);
  return {};
}

bool FakeLink::has(Op op) const {
  return std::ranges::any_of(under_way_, [&](const Request& request) { return request.op == op; });
}

void FakeLink::refuse(const Request& request, Status status) {
  answer_bytes(request, status, encode_fields(ErrorReply{}));
}

void FakeLink::answer_bytes(const Request& request, Status status, std::vector<std::byte> fields,
                            std::string_view payload) {
  InFrame frame;
  frame.header = {
      .op = request.op, .kind = FrameKind::kReply, .tag = request.tag, .status = status};
  frame.body = buffer_of(fields, payload);
  deliver(request.connection, std::move(frame));
}

void FakeLink::forget(std::uint64_t connection, std::uint32_t tag) {
  std::erase_if(under_way_, [&](const Request& request) {
    return request.connection == connection && (tag == 0 || request.tag == tag);
  });
}

// As ServerLink::on_reply().
void FakeLink::deliver(std::uint64_t connection, InFrame reply) {
  if (connection == 0 || reply.header.tag == 0) return;
  if (connection != control_ && connection != bulk_) return;
  forget(connection, reply.header.tag);
  PendingPtr call = window_.take_answered(reply.header.tag, connection);
  if (call == nullptr) {
    ADD_FAILURE() << "a reply to no request: " << name_of(reply.header.op);
    return;
  }
  const Status status = reply.header.status;
  if (call->done && wants_another_try(*call, status)) {
    window_.send_again(std::exchange(call, nullptr));
  }
  pump_all();
  if (call == nullptr) return;
  if (is_success(status)) {
    if (!call->introductions.empty() && introductions_ != nullptr) {
      introductions_->confirm(call->introductions, call->incarnation);
    }
    if (call->done) call->done(std::move(reply));
  } else if (call->done) {
    const auto text = decode_all<ErrorReply>(reply.bytes());
    call->done(fail(status, text ? text->text : ""));
  }
}

bool FakeLink::wants_another_try(PendingCall& call, Status status) {
  if (status == Status::kStale && !call.call.nodes.empty() && !call.was_introduced_again) {
    if (introductions_ != nullptr) introductions_->distrust(call.call.nodes);
    call.was_introduced_again = true;
    return true;
  }
  const bool carries_blocks = call.call.op == Op::kWrite || call.call.op == Op::kAppend;
  if (status != Status::kBlockMismatch || !carries_blocks) return false;
  return call.block_retries++ < kBlockRetriesMax;
}

// ---- Connections ------------------------------------------------------------------------------

void FakeLink::break_control() {
  const std::uint64_t broken = std::exchange(control_, 0);
  if (broken == 0) return;
  forget(broken, 0);
  window_.on_break(broken);
}

void FakeLink::break_bulk() {
  const std::uint64_t broken = std::exchange(bulk_, 0);
  if (broken == 0) return;
  forget(broken, 0);
  window_.on_break(broken);
}

// As ServerLink::adopt_control().
void FakeLink::reconnect(const Reconnection& how) {
  if (is_closed_) return;
  break_control();
  if (how.has_lost_power) events_->on_power_lost();
  events_->on_session(how.is_same_session);
  break_bulk();
  window_.on_break_all();
  under_way_.clear();
  std::vector<PendingPtr> doubtful;
  if (!how.is_same_session) doubtful = window_.on_new_session();
  const bool is_new = !how.is_same_session || how.is_new_incarnation;
  events_->on_reconnected(
      {.are_valid = !is_new && how.are_caches_valid, .is_same_run = !is_new, .order = how.order});
  if (is_new) ++incarnation_;
  control_ = ++last_connection_;
  for (const PendingPtr& call : doubtful) {
    call->done(fail(Status::kIoError, "the server has lost the session"));
  }
  pump_all();
}

void FakeLink::reconnect_bulk() {
  if (!has_bulk_ || control_ == 0 || is_closed_) return;
  break_bulk();
  bulk_ = ++last_connection_;
  pump(Lane::kBulk);
}

void FakeLink::time_out() {
  std::vector<Done> late = window_.abandon_older_than(SteadyTime::max());
  for (Done& done : late) done(fail(Status::kTimedOut));
}

void FakeLink::close() {
  if (std::exchange(is_closed_, true)) return;
  control_ = bulk_ = 0;
  under_way_.clear();
  std::vector<Done> unanswered = window_.clear();
  for (Done& done : unanswered) done(fail(Status::kDisconnected, "the link was closed"));
}

// ---- Events -----------------------------------------------------------------------------------

void FakeLink::mode(bool is_shared, std::move_only_function<void()> acknowledge) {
  events_->on_mode(is_shared, std::move(acknowledge));
}

void FakeLink::changed(ChangedEvent event, std::move_only_function<void()> acknowledge) {
  events_->on_changed(std::move(event), std::move(acknowledge));
}

FakeLink::AcknowledgementRef FakeLink::mode(bool is_shared) {
  auto acknowledged = std::make_shared<Acknowledgement>();
  mode(is_shared, [acknowledged] { ++acknowledged->count; });
  return acknowledged;
}

FakeLink::AcknowledgementRef FakeLink::changed(std::vector<Change> changes, std::uint64_t order) {
  auto acknowledged = std::make_shared<Acknowledgement>();
  changed(ChangedEvent{order, std::move(changes)}, [acknowledged] { ++acknowledged->count; });
  return acknowledged;
}

void FakeLink::quota(const GrantState& grant) { events_->on_quota(grant); }

void FakeLink::lock_granted(std::uint64_t id) { events_->on_lock_granted(id); }

}  // namespace homefs::test
