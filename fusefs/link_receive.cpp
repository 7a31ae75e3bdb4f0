// The receiving half of ServerLink: answers, and what is tried again.
#include <spdlog/spdlog.h>

#include <shared_mutex>
#include <utility>

#include "fusefs/server_link.h"

namespace homefs {
namespace {

// The connection (or the session) is of no more use; the call is sent again on the next one.
bool ends_connection(Status status) {
  switch (status) {
    case Status::kNotLoggedIn:
    case Status::kSessionUnknown:
    case Status::kSequenceGap:
    case Status::kGoingAway:
      return true;
    default:
      return false;
  }
}

Error error_of(const InFrame& frame) {
  if (frame.header.op <= Op::kPing) {
    auto refusal = decode_json<Refusal>(frame.bytes());
    return {frame.header.status, refusal ? std::move(refusal->text) : std::string()};
  }
  auto reply = decode_all<ErrorReply>(frame.bytes());
  return {frame.header.status, reply ? std::move(reply->text) : std::string()};
}

}  // namespace

void ServerLink::on_connection_frame(LinkConnection& connection, InFrame frame) {
  const std::shared_lock working(frames_mutex_);
  if (connection.id() < first_connection_) return;
  if (frame.header.kind == FrameKind::kReply) {
    if (frame.header.tag >= kPingTagFirst) return;  // a pong: that it came is all it says
    return on_reply(connection, std::move(frame));
  }
  Result<> handled = fail(Status::kProtocolError, "a request from the server");
  if (frame.header.kind == FrameKind::kEvent) {
    handled = relay_.on_event(connection.channel(), frame);
  }
  if (!handled) connection.close(handled.error());
}

void ServerLink::on_reply(LinkConnection& connection, InFrame frame) {
  const Status status = frame.header.status;
  if (ends_connection(status)) return connection.close(error_of(frame));
  PendingPtr call;
  bool is_control_waiting = false;
  bool is_bulk_waiting = false;
  {
    auto state = state_.lock();
    call = state->window.take_answered(frame.header.tag, connection.id());
    ++state->answers;
    is_control_waiting = state->window.is_waiting(Lane::kControl);
    is_bulk_waiting = state->window.is_waiting(Lane::kBulk);
  }
  if (call == nullptr || call->call.op != frame.header.op) {
    connection.close({Status::kProtocolError, "a reply to no request"});
    if (call != nullptr && call->done) call->done(fail(Status::kProtocolError));
    return;
  }
  const bool is_tried_again = call->done && wants_another_try(*call, status);
  if (is_tried_again) {
    const Lane lane = call->lane;
    state_.lock()->window.send_again(std::exchange(call, nullptr));
    pump(lane);
  }
  // The window has room again: fill it before the answer is worked on.
  if (is_control_waiting) pump(Lane::kControl);
  if (is_bulk_waiting) pump(Lane::kBulk);
  if (call != nullptr) complete(*call, std::move(frame));
}

bool ServerLink::wants_another_try(PendingCall& call, Status status) {
  if (status == Status::kStale && !call.call.nodes.empty() && !call.was_introduced_again) {
    const std::shared_lock lock(attachment_mutex_);
    if (introductions_ == nullptr) return false;
    introductions_->distrust(call.call.nodes);
    call.was_introduced_again = true;
    counters_.count_stale();
    return true;
  }
  const bool carries_blocks = call.call.op == Op::kWrite || call.call.op == Op::kAppend;
  if (status != Status::kBlockMismatch || !carries_blocks) return false;
  counters_.count_block_mismatch();
  const bool is_last = call.block_retries >= kBlockRetriesMax;
  ++call.block_retries;
  const std::uint64_t node = call.call.nodes.empty() ? 0 : number_of(call.call.nodes.front());
  if (options_.on_write_mismatch) {
    ByteReader fields(call.call.fields);
    const auto write = decode<WriteRequest>(fields);
    const bool has_offset = call.call.op == Op::kWrite && write;
    options_.on_write_mismatch(NodeId{node}, has_offset ? write->offset : 0, call.block_retries);
  }
  if (is_last) {
    spdlog::error("a block reached the server damaged {} times, giving up: op={} node={}",
                  call.block_retries, name_of(call.call.op), node);
    counters_.note_trouble("a block reached the server damaged again and again: the write failed");
    return false;
  }
  spdlog::warn("a block reached the server damaged, sending it again: op={} node={} attempt={}",
               name_of(call.call.op), node, call.block_retries);
  counters_.note_trouble("a block reached the server damaged and was sent again");
  return true;
}

void ServerLink::note_damaged_block(NodeId node, std::uint64_t offset, int attempt) {
  counters_.count_block_mismatch();
  if (attempt > kBlockRetriesMax) {
    spdlog::error("a block came damaged {} times, giving up: node={} offset={}", attempt,
                  number_of(node), offset);
    counters_.note_trouble("a block came damaged again and again: the read failed");
    return;
  }
  spdlog::warn("a block came damaged, asking for it again: node={} offset={} attempt={}",
               number_of(node), offset, attempt);
  counters_.note_trouble("a block came damaged and was asked for again");
}

void ServerLink::complete(PendingCall& call, InFrame frame) {
  const bool is_done = is_success(frame.header.status);
  if (is_done && !call.introductions.empty()) {
    const std::shared_lock lock(attachment_mutex_);
    if (introductions_ != nullptr) introductions_->confirm(call.introductions, call.incarnation);
  }
  if (!call.done) return;
  if (is_done) {
    call.done(std::move(frame));
  } else {
    call.done(std::unexpected(error_of(frame)));
  }
}

}  // namespace homefs
