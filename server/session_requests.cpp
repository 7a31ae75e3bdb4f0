// How a session runs its requests.

#include <boost/asio/post.hpp>
#include <utility>

#include "protocol/codec.h"
#include "protocol/login_messages.h"
#include "protocol/numbered_op.h"
#include "server/connection.h"
#include "server/crash_point.h"
#include "server/refusal.h"
#include "server/request_class.h"
#include "server/session.h"

namespace homefs {
namespace {

// Requests that one job runs before it lets other sessions have the thread.
constexpr int kJobsPerTurn = 8;
constexpr int kChangesPerTurn = 32;

// Done by the thread that has received it: the page cache takes it in less time than another thread
// needs to wake up. On the control connection, so that bulk data keeps the disk busy beside itself.
bool is_brief(const DataJob& job) {
  return job.frame.header.op == Op::kWrite && job.frame.header.body_bytes <= 64 * 1024;
}

// Reads a whole file, of whatever size.
bool is_digest(const DataJob& job) { return job.frame.header.op == Op::kDigest; }

bool is_revocation(const InFrame& frame) {
  if (frame.header.op != Op::kToken) return false;
  const Result<TokenRequest> request = decode_json<TokenRequest>(frame.bytes());
  return request && request->action == TokenAction::kRevoke;
}

}  // namespace

void Session::on_frame(const ConnectionRef& connection, InFrame frame) {
  switch (frame.header.kind) {
    case FrameKind::kRequest:
      on_request(connection, std::move(frame));
      return;
    case FrameKind::kEventAck:
      if (Result<void> known = outbox_->acknowledge(connection.get(), frame.header.tag); !known) {
        owner_.end_session(*this, known.error());
      }
      return;
    case FrameKind::kReply:
    case FrameKind::kEvent:
      owner_.end_session(*this, {Status::kProtocolError, "a frame that only servers send"});
      return;
  }
}

void Session::on_request(const ConnectionRef& connection, InFrame frame) {
  if (!take_acknowledgement(connection, frame.header)) return;
  switch (class_of(frame.header.op)) {
    case RequestClass::kRefused:
      refuse(connection, frame.header, {Status::kProtocolError, "not an operation of a session"});
      return;
    case RequestClass::kChange:
      on_change(connection, std::move(frame));
      return;
    case RequestClass::kQuick: {
      const Reply reply = setup_.files->handle(frame);
      connection->reply(frame.header, reply);
      note_reply(reply);
      return;
    }
    case RequestClass::kData:
      queue_job(connection, std::move(frame), /*is_slow=*/false);
      return;
    case RequestClass::kSlow:
      queue_job(connection, std::move(frame), /*is_slow=*/true);
      return;
    case RequestClass::kSession:
      on_session_request(connection, frame);
      return;
  }
}

/// Takes seq_done, and checks that the connection is (still) one of the session's. False: the
/// frame is not to be looked at any further.
bool Session::take_acknowledgement(const ConnectionRef& connection, const FrameHeader& header) {
  Result<void> taken;
  {
    const auto state = state_.lock();
    if (state->has_ended || !state->owns(*connection)) return false;
    if (header.seq_done != 0) taken = state->sequencer.acknowledge(header.seq_done);
  }
  if (!taken) refuse(connection, header, taken.error());
  return taken.has_value();
}

void Session::on_session_request(const ConnectionRef& connection, const InFrame& frame) {
  if (frame.header.op == Op::kPing) {
    connection->reply(frame.header, Reply{});
    return;
  }
  if (!connection->is_control()) {
    refuse(connection, frame.header, {Status::kProtocolError, "belongs on the control connection"});
    return;
  }
  if (frame.header.op == Op::kGoodbye) {
    connection->reply(frame.header, Reply{});
    owner_.end_session(*this, {Status::kOk, "goodbye"});
    return;
  }
  queue_job(connection, frame, /*is_slow=*/true);
}

// ---- Changes --------------------------------------------------------------------------------

void Session::on_change(const ConnectionRef& connection, InFrame frame) {
  if (!connection->is_control()) {
    refuse(connection, frame.header, {Status::kProtocolError, "belongs on the control connection"});
    return;
  }
  const InFrame request = frame;  // the body is shared
  const FrameHeader& header = request.header;
  const std::uint64_t fingerprint = fingerprint_of(header.op, frame.bytes());
  Result<std::shared_ptr<const Reply>> accepted;
  bool is_mine_to_apply = false;
  bool is_long = false;
  {
    const auto state = state_.lock();
    if (state->has_ended || !state->owns(*connection)) return;
    accepted = state->sequencer.accept(std::move(frame), fingerprint, {connection, header});
    const InFrame* next = state->sequencer.next();
    if (next != nullptr && !state->is_draining) {
      state->is_draining = is_mine_to_apply = true;
      is_long = is_long_change(next->header.op);
    }
  }
  if (!accepted) {
    refuse(connection, header, accepted.error());
  } else if (*accepted != nullptr) {
    if (setup_.has_missed_events) setup_.files->introduce_again(request, **accepted);
    connection->reply(header, **accepted);
  }
  if (!is_mine_to_apply) return;
  if (is_long) {
    post_apply_changes();
  } else {
    apply_changes();
  }
}

void Session::post_apply_changes() {
  boost::asio::post(executor_, [session = self_.lock()] { session->apply_changes(); });
}

/// Applies what waits. Precondition: is_draining was set by the caller.
void Session::apply_changes() {
  for (int turn = 0;; ++turn) {
    std::optional<InFrame> frame;
    {
      const auto state = state_.lock();
      const InFrame* next = state->has_ended ? nullptr : state->sequencer.next();
      if (next == nullptr) {
        state->is_draining = false;
        return;
      }
      crash_point(CrashPoint::kBeforeIntent);
      const bool leaves = turn == kChangesPerTurn || (turn > 0 && is_long_change(next->header.op));
      if (!leaves) frame = state->sequencer.begin_next();
    }
    if (!frame) {
      post_apply_changes();
      return;
    }
    apply_change(*frame);
  }
}

void Session::apply_change(const InFrame& frame) {
  crash_point(CrashPoint::kBegun);
  const auto reply = std::make_shared<const Reply>(setup_.files->handle(frame, journal_));
  owner_.note_change(frame.header.op, reply->status);
  std::uint64_t seq = 0;
  {
    const auto state = state_.lock();
    seq = state->sequencer.finish(reply);
  }
  crash_point(CrashPoint::kBeforeReply);
  coherence().spread(*this, reply->changes,
                     [session = self_.lock(), seq, reply] { session->settle(seq, *reply); });
}

void Session::settle(std::uint64_t seq, const Reply& reply) {
  ReplyTarget target;
  {
    const auto state = state_.lock();
    target = state->sequencer.settle(seq);
  }
  if (const ConnectionRef connection = target.connection.lock()) {
    connection->reply(target.request, reply);
  }
  note_reply(reply);
}

// ---- Everything else ------------------------------------------------------------------------

void Session::queue_job(const ConnectionRef& connection, InFrame frame, bool is_slow) {
  DataJob job;
  const FrameHeader header = frame.header;
  job.range = written_range(frame);
  job.target = {connection, frame.header};
  job.frame = std::move(frame);
  job.is_slow = is_slow;
  Result<void> admitted;
  {
    const auto state = state_.lock();
    if (state->has_ended || !state->owns(*connection)) return;
    if (WriteLog* const log = log_of(header)) admitted = log->admit(header.seq);
    if (admitted) state->data.push(std::move(job));
  }
  if (!admitted) return refuse(connection, header, admitted.error());
  start_jobs(connection->is_control());
}

std::vector<DataJob> Session::begin_jobs() {
  std::vector<DataJob> jobs;
  const auto state = state_.lock();
  const auto is_wanted = [](const DataJob& job) {
    const ConnectionRef connection = job.target.connection.lock();
    return connection == nullptr || !connection->is_congested();
  };
  while (std::optional<DataJob> job = state->data.begin_next(is_wanted)) {
    jobs.push_back(std::move(*job));
  }
  return jobs;
}

/// `here`: what is brief is run by this thread.
void Session::start_jobs(bool here) {
  bool has_finished = false;
  for (DataJob& job : begin_jobs()) {
    if (here && is_brief(job)) {
      run_job(job);
      state_.lock()->data.finish(job.number);
      has_finished = true;
      continue;
    }
    post_job(std::move(job));
  }
  if (has_finished) start_jobs(/*here=*/false);  // what waited for these
}

/// Runs `job`, and then what may run next, for a while.
void Session::run_jobs(DataJob job) {
  for (int turn = 1;; ++turn) {
    run_job(job);
    {
      const auto state = state_.lock();
      state->data.finish(job.number);
    }
    if (turn == kJobsPerTurn) {
      start_jobs(/*here=*/false);
      return;
    }
    // The next one of the same kind is run here, the others by whoever is free.
    std::optional<DataJob> next;
    for (DataJob& one : begin_jobs()) {
      if (!next && is_digest(one) == is_digest(job)) {
        next = std::move(one);
      } else {
        post_job(std::move(one));
      }
    }
    if (!next) return;
    job = std::move(*next);
  }
}

void Session::post_job(DataJob job) {
  const auto& executor = is_digest(job) ? setup_.digest_executor : executor_;
  boost::asio::post(executor, [session = self_.lock(), job = std::move(job)]() mutable {
    session->run_jobs(std::move(job));
  });
}

void Session::run_job(const DataJob& job) {
  const ConnectionRef connection = job.target.connection.lock();
  // The client sends again what a broken connection did not answer, so this is not wanted any more.
  if (connection == nullptr || connection->is_gone()) return;
  const auto reply = std::make_shared<const Reply>(
      answer(job.frame, [&connection] { return connection->is_gone(); }));
  coherence().spread(*this, reply->changes, [connection, request = job.target.request, reply] {
    connection->reply(request, *reply);
  });
  note_reply(*reply);
  if (is_revocation(job.frame) && reply->status == Status::kOk) owner_.answered_revocation();
}

Reply Session::answer(const InFrame& frame, std::function<bool()> is_cancelled) {
  if (frame.header.op == Op::kToken) return owner_.handle_token(*this, frame);
  return setup_.files->handle(frame, nullptr, std::move(is_cancelled), log_of(frame.header));
}

/// Of a request with a number; null for the others.
WriteLog* Session::log_of(const FrameHeader& header) {
  if (!is_numbered(header.op) || header.seq == 0) return nullptr;
  return header.op == Op::kWrite ? &writes_ : &syncs_;
}

/// Says why and closes the connection; whoever broke the protocol loses the session too.
void Session::refuse(const ConnectionRef& connection, const FrameHeader& request,
                     const Error& error) {
  connection->reply(request, refusal_reply_for(request.op, error));
  connection->close_after_flush(error);
  // After a gap the client may resume, and send what it left out.
  if (error.status != Status::kSequenceGap) owner_.end_session(*this, error);
}

/// A handler that finds a request malformed says so in its reply.
void Session::note_reply(const Reply& reply) {
  if (reply.status == Status::kProtocolError) {
    const auto said = decode_all<ErrorReply>(reply.fields);
    owner_.end_session(*this, {Status::kProtocolError,
                               "a malformed request: " + (said ? said->text : std::string())});
  }
}

}  // namespace homefs
