#include "server/channel_connection.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "server/refusal.h"
#include "server/session.h"

namespace homefs {

void ChannelConnection::start(const Setup& setup, UniqueFd socket, LoginSlots::Slot slot) {
  std::shared_ptr<ChannelConnection> connection(new ChannelConnection(setup, std::move(slot)));
  connection->self_ = connection;
  connection->channel_ = Channel::make(setup.io, std::move(socket), setup.tls, setup.channel);
  connection->outlet_.set_channel(connection->channel_);
  connection->channel_->start(connection);
}

ChannelConnection::ChannelConnection(const Setup& setup, LoginSlots::Slot slot)
    : executor_(setup.io.executor()),
      count_(setup.count),
      dialog_(std::make_unique<LoginDialog>(setup.login)),
      slot_(std::move(slot)),
      timer_(setup.io.executor()) {}

ChannelConnection::~ChannelConnection() = default;

// ---- The login ------------------------------------------------------------------------------

void ChannelConnection::on_open() {
  dialog_->on_open(channel_->channel_binding(), channel_->peer_address());
  start_login_deadline();
}

void ChannelConnection::start_login_deadline() {
  const auto timer = timer_.lock();
  timer->expires_after(kLoginDeadline);
  timer->async_wait([self = self_](const boost::system::error_code& error) {
    const auto connection = self.lock();
    if (error || !connection || connection->is_bound_) return;
    connection->close({Status::kTimedOut, "no login in time"});
  });
}

void ChannelConnection::on_frame(InFrame frame) {
  if (is_bound_.load(std::memory_order_acquire)) {
    if (frame.header.kind == FrameKind::kRequest && !begin_request(frame.header)) return;
    session_->on_frame(self_.lock(), std::move(frame));
    return;
  }
  on_login_frame(std::move(frame));
}

void ChannelConnection::on_login_frame(InFrame frame) {
  const FrameHeader header = frame.header;
  if (is_stepping_) {
    close({Status::kProtocolError, "a request before the answer of the login"});
    return;
  }
  if (Result<void> legal = dialog_->check(header); !legal) {
    answer_login(header, {.reply = refusal_reply(legal.error()), .ends = true});
    return;
  }
  is_stepping_ = true;
  // Reads files and the database: not on the thread that receives.
  boost::asio::post(executor_, [self = self_.lock(), header, frame = std::move(frame)]() mutable {
    self->dialog_->step(frame, [self, header](LoginAnswer answer) {
      self->answer_login(header, std::move(answer));
    });
  });
}

void ChannelConnection::answer_login(const FrameHeader& request, LoginAnswer answer) {
  if (answer.delay == std::chrono::milliseconds(0)) {
    send_login_answer(request, std::move(answer));
    return;
  }
  const auto timer = std::make_shared<boost::asio::steady_timer>(executor_, answer.delay);
  timer->async_wait([self = self_.lock(), timer, request,
                     answer = std::move(answer)](const boost::system::error_code& error) mutable {
    if (!error) self->send_login_answer(request, std::move(answer));
  });
}

void ChannelConnection::send_login_answer(const FrameHeader& request, LoginAnswer answer) {
  if (answer.binding) {
    bind(request, std::move(answer));
    return;
  }
  is_stepping_ = false;
  outlet_.put(make_reply_frame(request, answer.reply));
  if (answer.ends) {
    close_after_flush({answer.reply.status, "the login was refused"});
  }
}

/// Makes this a connection of the session; as its control connection, in order with the changes of
/// the mode of the home.
void ChannelConnection::bind(const FrameHeader& request, LoginAnswer answer) {
  session_ = answer.binding->session;
  is_control_ = answer.binding->is_control;
  // Whatever the session sends waits for the reply, which tells the client that there is one.
  outlet_.hold();
  if (!is_control_) {
    Result<Session::Attached> attached;
    const Result<void> joined = session_->attach_bulk(self_.lock(), answer.binding->place);
    if (!joined) attached = std::unexpected(joined.error());
    finish_bind(request, *answer.binding, attached);
    return;
  }
  session_->coherence().in_order([self = self_.lock(), request,
                                  answer = std::move(answer)](bool is_shared) mutable {
    self->finish_bind(request, *answer.binding, self->session_->attach_control(self, is_shared));
  });
}

void ChannelConnection::finish_bind(const FrameHeader& request, LoginBinding& binding,
                                    const Result<Session::Attached>& attached) {
  if (!attached) {
    outlet_.release_with(make_reply_frame(request, refusal_reply(attached.error())));
    close_after_flush(attached.error());
    return;
  }
  channel_->set_body_bytes_max(kBodyBytesMax);
  ++*count_;
  is_counted_ = true;
  is_bound_.store(true, std::memory_order_release);
  timer_.lock()->cancel();
  release_slot();
  outlet_.release_with(make_reply_frame(request, binding.make_reply(*attached)));
  if (is_control_) session_->greet();
  // It may have been closed before the session knew of it.
  if (!is_gone_) return;
  uncount();
  session_->detach(*this);
}

/// The login's end and the close of the connection may come at once, on two threads.
void ChannelConnection::release_slot() {
  if (holds_slot_.exchange(false)) slot_.release();
}

void ChannelConnection::uncount() {
  if (is_counted_.exchange(false)) --*count_;
}

// ---- Requests -------------------------------------------------------------------------------

void ChannelConnection::reply(const FrameHeader& request, const Reply& reply) {
  outlet_.put(make_reply_frame(request, reply));
  end_request(request);
}

// False: it is not to be begun any more. The client asks again, over its next connection.
bool ChannelConnection::begin_request(const FrameHeader& request) {
  const auto is_too_much = [&](const Flow& flow) {
    return flow.requests > kRequestsInFlightMax || flow.bytes > kReceivedBytesMax ||
           outlet_.is_congested();
  };
  bool pauses = false;
  {
    const auto flow = flow_.lock();
    if (flow->is_stopped) return false;
    ++flow->requests;
    flow->bytes += request.body_bytes;
    pauses = is_too_much(*flow);
  }
  if (!pauses) return true;
  // Paused first and said so afterwards: whoever resumes has seen is_paused, so comes later.
  channel_->pause_reading();
  flow_.lock()->is_paused = true;
  resume_if_calm();
  return true;
}

void ChannelConnection::end_request(const FrameHeader& request) {
  bool is_paused = false;
  {
    const auto flow = flow_.lock();
    --flow->requests;
    flow->bytes -= request.body_bytes;
    is_paused = flow->is_paused;
  }
  if (is_paused) resume_if_calm();
}

void ChannelConnection::resume_if_calm() {
  {
    const bool is_congested = outlet_.is_congested();
    const auto flow = flow_.lock();
    const bool is_calm = flow->requests <= kRequestsInFlightMax &&
                         flow->bytes <= kReceivedBytesMax / 2 && !is_congested;
    if (!flow->is_paused || !is_calm || flow->is_stopped) return;
    flow->is_paused = false;
  }
  channel_->resume_reading();
}

bool ChannelConnection::has_unanswered() { return flow_.lock()->requests > 0; }

void ChannelConnection::stop_reading() {
  flow_.lock()->is_stopped = true;
  channel_->pause_reading();
}

void ChannelConnection::on_send_space() {
  if (!outlet_.on_send_space() || !is_bound_) return;
  resume_if_calm();
  session_->on_uncongested();
}

void ChannelConnection::on_closed(const Error& why) {
  is_gone_ = true;
  uncount();
  outlet_.close();
  timer_.lock()->cancel();
  release_slot();
  if (is_bound_) session_->on_connection_closed(*this, why);
}

}  // namespace homefs
