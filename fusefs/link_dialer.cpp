#include "fusefs/link_dialer.h"

#include <utility>

namespace homefs {
namespace {

// Frames of up to 1 MiB of 2 connections that are read while their predecessors are being used.
constexpr std::size_t kBuffersKept = 32;

}  // namespace

LinkDialer::LinkDialer(IoThreads& io, TlsContext tls, const LinkOptions& options,
                       ConnectionOwner& owner)
    : io_(io),
      tls_(std::move(tls)),
      options_(options),
      owner_(owner),
      pool_(BufferPool::make(kBuffersKept)),
      credentials_(options.credentials),
      accepted_fingerprint_(options.trust.pinned) {}

// A key that is not known any more stays pinned: it was not exchanged for another.
void LinkDialer::renew() {
  if (!options_.renew) return;
  LoginMeans means = options_.renew();
  credentials_ = std::move(means.credentials);
  if (!means.trust.pinned.empty()) accepted_fingerprint_ = std::move(means.trust.pinned);
}

void LinkDialer::interrupt() {
  broken_.set();
  const std::lock_guard lock(mutex_);
  if (current_ != nullptr) current_->close({Status::kInterrupted, "the attempt was broken off"});
}

void LinkDialer::reset_interrupt() {
  broken_.reset();
  if (is_shut_down_) broken_.set();
}

void LinkDialer::shut_down() {
  is_shut_down_ = true;
  interrupt();
}

std::string LinkDialer::offered_fingerprint() {
  const std::lock_guard lock(mutex_);
  return offered_fingerprint_;
}

void LinkDialer::set_current(std::shared_ptr<LinkConnection> connection) {
  const std::lock_guard lock(mutex_);
  current_ = std::move(connection);
  if (is_shut_down_ && current_ != nullptr) {
    current_->close({Status::kInterrupted, "the link was closed"});
  }
}

Result<> LinkDialer::judge_key(const std::string& fingerprint) {
  {
    const std::lock_guard lock(mutex_);
    offered_fingerprint_ = fingerprint;
  }
  if (fingerprint.empty()) return fail(Status::kProtocolError, "the server showed no key");
  if (accepted_fingerprint_.empty()) {
    if (options_.trust.accept_new) return {};
    return fail(Status::kServerKeyUnknown, "it is " + fingerprint);
  }
  if (accepted_fingerprint_ == fingerprint) return {};
  return fail(Status::kServerKeyChanged,
              "it is " + fingerprint + " and was " + accepted_fingerprint_);
}

Result<std::shared_ptr<LinkConnection>> LinkDialer::open() {
  const LinkTimes& times = options_.times;
  auto socket =
      connect_socket(options_.server, times.connect_deadline, 3 * times.keepalive, broken_);
  if (!socket) return std::unexpected(socket.error());
  ConnectionSetup setup{.io = io_, .tls = tls_, .options = {}, .id = ++last_id_};
  setup.options.pool = pool_;
  setup.options.handshake_deadline = times.connect_deadline;
  auto connection = LinkConnection::start(owner_, std::move(*socket), setup);
  set_current(connection);
  Result<> done = connection->wait_open(times.connect_deadline);
  if (done) done = judge_key(connection->channel()->peer_fingerprint());
  if (done) done = say_hello(step_of(*connection));
  if (done) return connection;
  connection->close(done.error());
  set_current(nullptr);
  return std::unexpected(done.error());
}

LoginStep LinkDialer::step_of(LinkConnection& connection) const {
  return LoginStep{.connection = connection,
                   .options = options_,
                   .credentials = credentials_,
                   .deadline = options_.times.connect_deadline};
}

Result<LinkDialer::Dialed> LinkDialer::dial_control(const std::optional<LinkSession>& session,
                                                    std::uint64_t seq_done) {
  if (session) renew();
  auto connection = open();
  if (!connection) return std::unexpected(connection.error());
  Dialed dialed{.connection = *connection};
  Result<LinkSession> joined = fail(Status::kSessionUnknown);
  if (session) {
    auto resumed = resume_control(step_of(**connection), *session, seq_done);
    dialed.is_same_session = resumed.has_value();
    // After a restart the server counts its looks at inodes anew: what we have cannot be compared.
    dialed.caches.is_same_run = resumed && resumed->session.incarnation == session->incarnation;
    dialed.caches.are_valid = dialed.caches.is_same_run && !resumed->has_missed_events;
    dialed.caches.order = resumed ? resumed->order : 0;
    joined = resumed ? Result<LinkSession>(std::move(resumed->session))
                     : std::unexpected(resumed.error());
  }
  if (!joined && joined.error().status == Status::kSessionUnknown) {
    joined = log_in(step_of(**connection));
  }
  set_current(nullptr);
  if (!joined) {
    (*connection)->close(joined.error());
    return std::unexpected(joined.error());
  }
  accepted_fingerprint_ = (*connection)->channel()->peer_fingerprint();
  dialed.session = std::move(*joined);
  // After an orderly stop the session goes on, unless its time was over.
  dialed.has_lost_power = session && !dialed.is_same_session && session->boot != 0 &&
                          dialed.session.boot != 0 && dialed.session.boot != session->boot;
  return dialed;
}

Result<std::shared_ptr<LinkConnection>> LinkDialer::dial_bulk(const LinkSession& session,
                                                              std::uint32_t place) {
  auto connection = open();
  if (!connection) return connection;
  const auto joined = resume_bulk(step_of(**connection), session, place);
  set_current(nullptr);
  if (joined) return connection;
  (*connection)->close(joined.error());
  return std::unexpected(joined.error());
}

}  // namespace homefs
