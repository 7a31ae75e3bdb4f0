#include "tests/support/fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>

namespace homefs::testing {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::uint32_t kIterations = 4096;  // the least that a client takes: tests are many

}  // namespace

class FakeConnection final : public ChannelEvents {
 public:
  explicit FakeConnection(FakeServer& server) : server_(server) {}

  void on_open() override {}
  void on_frame(InFrame frame) override { server_.on_frame(self.lock(), frame); }
  void on_closed(const Error&) override { server_.on_closed(this); }

  void reply(const FrameHeader& to, Status status, std::vector<std::byte> fields) const {
    OutFrame frame;
    frame.header.op = to.op;
    frame.header.kind = FrameKind::kReply;
    frame.header.tag = to.tag;
    frame.header.seq = to.seq;
    frame.header.status = status;
    frame.fields = std::move(fields);
    (void)channel->send(std::move(frame));  // it may be cut
  }

  std::weak_ptr<FakeConnection> self;
  std::shared_ptr<Channel> channel;
  std::optional<ScramServer> scram;                // of the login
  std::shared_ptr<FakeServer::Session> session;    // guarded by the server's lock
  ConnectionKind kind = ConnectionKind::kControl;  // likewise

 private:
  FakeServer& server_;
};

FakeServer::FakeServer() : io_({.net = 2, .io = 2}) {
  std::string name = "/tmp/homefs-fake-server-XXXXXX";
  HOMEFS_CHECK(::mkdtemp(name.data()) != nullptr);
  folder_ = name;
  HOMEFS_CHECK(make_server_identity(folder_ / "key.pem", folder_ / "cert.pem").has_value());
  tls_ = *TlsContext::server(folder_ / "key.pem", folder_ / "cert.pem");
  verifier_ = *make_verifier(kPassword, kIterations);
  listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  HOMEFS_CHECK(::bind(listener_.get(), generic, length) == 0);
  HOMEFS_CHECK(::listen(listener_.get(), 16) == 0);
  HOMEFS_CHECK(::getsockname(listener_.get(), generic, &length) == 0);
  port_ = ntohs(address.sin_port);
  io_.start();
  acceptor_ = std::jthread([this] { accept_all(); });
}

FakeServer::~FakeServer() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  (void)::shutdown(listener_.get(), SHUT_RDWR);  // ends accept()
  acceptor_.join();
  cut_all();
  wait_until([this] { return connections() == 0; });
  std::filesystem::remove_all(folder_);
}

void FakeServer::accept_all() {
  for (;;) {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    std::shared_ptr<FakeConnection> connection;
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_ || !socket) return;
      if (state_.is_refusing) continue;
      connection = std::make_shared<FakeConnection>(*this);
      connection->self = connection;
      connection->channel = Channel::make(io_, std::move(socket), *tls_, {.pool = pool_});
      state_.connections.push_back(connection);
    }
    connection->channel->start(connection);
  }
}

void FakeServer::on_closed(FakeConnection* connection) {
  const std::lock_guard lock(mutex_);
  std::erase_if(state_.connections, [&](const auto& each) { return each.get() == connection; });
  changed_.notify_all();
}

void FakeServer::complain(const std::string& what) { state_.complaints.push_back(what); }

void FakeServer::on_frame(const std::shared_ptr<FakeConnection>& connection, const InFrame& frame) {
  switch (frame.header.op) {
    case Op::kHello:
    case Op::kAuthStart:
    case Op::kAuthFinish:
    case Op::kResume:
      on_login_step(connection, frame);
      break;
    case Op::kPing:
      connection->reply(frame.header, Status::kOk, {});
      break;
    case Op::kGoodbye:
      connection->reply(frame.header, Status::kOk, encode_json(Goodbye{}));
      break;
    default:
      if (frame.header.kind == FrameKind::kRequest) on_request(connection, frame);
      break;
  }
  const std::lock_guard lock(mutex_);
  if (frame.header.op == Op::kPing) ++state_.pings;
  if (frame.header.op == Op::kGoodbye) ++state_.goodbyes;
  if (frame.header.kind == FrameKind::kEventAck) state_.acknowledged.push_back(frame.header.op);
  changed_.notify_all();
}

void FakeServer::on_login_step(const std::shared_ptr<FakeConnection>& connection,
                               const InFrame& frame) {
  const auto refuse = [&](Status status, std::string text) {
    connection->reply(frame.header, status, encode_json(Refusal{.text = std::move(text)}));
  };
  if (frame.header.op == Op::kHello) {
    return connection->reply(frame.header, Status::kOk,
                             encode_json(HelloReply{.software = "fake"}));
  }
  if (frame.header.op == Op::kAuthStart) {
    const auto start = *decode_json<AuthStart>(frame.bytes());
    connection->scram =
        std::move(*ScramServer::begin(start.scram, connection->channel->channel_binding()));
    const ScramAccount account{.verifier = verifier_, .is_known = start.user == kUser};
    return connection->reply(
        frame.header, Status::kOk,
        encode_json(AuthStartReply{.scram = connection->scram->first_reply(account)}));
  }
  const std::lock_guard lock(mutex_);
  if (frame.header.op == Op::kAuthFinish) {
    auto finished = connection->scram->finish(decode_json<AuthFinish>(frame.bytes())->scram);
    if (!finished) return refuse(finished.error().status, "no");
    auto session = std::make_shared<Session>();
    fill_random(session->id);
    fill_random(session->secret);
    state_.sessions[session->id] = session;
    connection->session = session;
    ++state_.logins;
    connection->channel->set_body_bytes_max(kBodyBytesMax);
    AuthFinishReply reply{.scram = std::move(*finished),
                          .session_id = session->id,
                          .session_secret = session->secret,
                          .incarnation = state_.incarnation,
                          .bulk_connections = state_.bulk_connections};
    reply.home.root_inode = 2;
    return connection->reply(frame.header, Status::kLoginOk, encode_json(reply));
  }
  const auto resume = *decode_json<Resume>(frame.bytes());
  const auto found = state_.sessions.find(resume.session_id);
  if (found == state_.sessions.end()) return refuse(Status::kSessionUnknown, "");
  const auto proof =
      resume_proof(found->second->secret, connection->channel->channel_binding(), resume.kind);
  if (proof != resume.proof) return refuse(Status::kLoginRefused, "wrong proof");
  connection->session = found->second;
  connection->kind = resume.kind;
  ++state_.resumes;
  connection->channel->set_body_bytes_max(kBodyBytesMax);
  connection->reply(frame.header, Status::kOk,
                    encode_json(ResumeReply{.incarnation = state_.incarnation,
                                            .seq_applied = found->second->seq_applied,
                                            .missed_events = state_.has_missed_events}));
}

// The stored reply of a seq that was applied; `is_new` when it is to be applied now.
std::optional<FakeReply> FakeServer::take_sequenced(
    const std::shared_ptr<FakeConnection>& connection, const FakeRequest& request, bool& is_new) {
  Session& session = *connection->session;
  const std::uint64_t seq = request.header.seq;
  std::erase_if(session.replies,
                [&](const auto& reply) { return reply.first <= request.header.seq_done; });
  if (seq == session.seq_applied + 1) {
    is_new = true;
    return std::nullopt;
  }
  if (seq > session.seq_applied) {
    complain("a gap: seq " + std::to_string(seq));
    return FakeReply{Status::kSequenceGap, encode_fields(ErrorReply{})};
  }
  const auto stored = session.replies.find(seq);
  if (stored != session.replies.end()) return stored->second;
  complain("seq " + std::to_string(seq) + " again, after it was acknowledged");
  return FakeReply{Status::kSequenceConflict, encode_fields(ErrorReply{})};
}

void FakeServer::on_request(const std::shared_ptr<FakeConnection>& connection,
                            const InFrame& frame) {
  ByteReader in(frame.bytes());
  auto introductions = decode<Introductions>(in);
  FakeRequest request{
      .header = frame.header,
      .introductions = introductions ? introductions->list : std::vector<Introduction>(),
      .fields = {in.rest().begin(), in.rest().end()},
      .connection = connection};
  Handler handler;
  bool is_new = false;
  std::optional<FakeReply> reply;
  {
    const std::lock_guard lock(mutex_);
    if (!introductions) complain("malformed introductions");
    if (connection->session == nullptr) complain("a request before the login");
    if (request.introductions.size() > kIntroductionsMax) complain("too many introductions");
    const OpTraits* traits = find_op(static_cast<std::uint16_t>(frame.header.op));
    if (!traits->has_payload && frame.bytes().size() > kFieldBytesMax) complain("fields too long");
    if (traits->is_sequenced != (frame.header.seq != 0)) complain("seq where none belongs");
    request.kind = connection->kind;
    state_.requests.push_back(request);
    if (state_.cut_before > 0) {
      --state_.cut_before;
      connection->channel->close({Status::kDisconnected, "cut by the test"});
      return;
    }
    if (traits->is_sequenced) reply = take_sequenced(connection, request, is_new);
    handler = state_.handler;
  }
  if (!reply) reply = handler ? handler(request) : FakeReply{};
  const std::lock_guard lock(mutex_);
  if (is_new) {
    HOMEFS_CHECK(reply.has_value());
    state_.applied.push_back(request.fields);
    connection->session->seq_applied = frame.header.seq;
    connection->session->replies[frame.header.seq] = *reply;
  }
  if (state_.cut_after > 0) {
    --state_.cut_after;
    connection->channel->close({Status::kDisconnected, "cut by the test"});
    return;
  }
  if (reply) connection->reply(frame.header, reply->status, reply->fields);
}

void FakeServer::answer(const FakeRequest& request, const FakeReply& reply) {
  if (const auto connection = request.connection.lock()) {
    connection->reply(request.header, reply.status, reply.fields);
  }
}

void FakeServer::send_event(Op op, std::vector<std::byte> fields) {
  const std::lock_guard lock(mutex_);
  static std::uint32_t last_tag = 0;
  for (const auto& connection : state_.connections) {
    if (connection->session == nullptr || connection->kind != ConnectionKind::kControl) continue;
    OutFrame frame;
    frame.header.op = op;
    frame.header.kind = FrameKind::kEvent;
    frame.header.tag = ++last_tag;
    frame.fields = fields;
    (void)connection->channel->send(std::move(frame));
  }
}

void FakeServer::cut_all() {
  std::vector<std::shared_ptr<FakeConnection>> connections;
  {
    const std::lock_guard lock(mutex_);
    connections = state_.connections;
  }
  for (const auto& connection : connections) {
    connection->channel->close({Status::kDisconnected, "cut by the test"});
  }
}

void FakeServer::set_handler(Handler handler) {
  const std::lock_guard lock(mutex_);
  state_.handler = std::move(handler);
}
void FakeServer::cut_before(int count) {
  const std::lock_guard lock(mutex_);
  state_.cut_before = count;
}
void FakeServer::cut_after(int count) {
  const std::lock_guard lock(mutex_);
  state_.cut_after = count;
}
void FakeServer::forget_sessions() {
  const std::lock_guard lock(mutex_);
  state_.sessions.clear();
}
void FakeServer::change_incarnation() {
  const std::lock_guard lock(mutex_);
  ++state_.incarnation;
}
void FakeServer::refuse_connections(bool is_refusing) {
  const std::lock_guard lock(mutex_);
  state_.is_refusing = is_refusing;
}
void FakeServer::set_missed_events(bool has_missed) {
  const std::lock_guard lock(mutex_);
  state_.has_missed_events = has_missed;
}
void FakeServer::set_bulk_connections(std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  state_.bulk_connections = count;
}
std::vector<FakeRequest> FakeServer::requests() {
  const std::lock_guard lock(mutex_);
  return state_.requests;
}
std::vector<std::vector<std::byte>> FakeServer::applied() {
  const std::lock_guard lock(mutex_);
  return state_.applied;
}
int FakeServer::logins() {
  const std::lock_guard lock(mutex_);
  return state_.logins;
}
int FakeServer::resumes() {
  const std::lock_guard lock(mutex_);
  return state_.resumes;
}
int FakeServer::pings() {
  const std::lock_guard lock(mutex_);
  return state_.pings;
}
int FakeServer::goodbyes() {
  const std::lock_guard lock(mutex_);
  return state_.goodbyes;
}
std::vector<Op> FakeServer::acknowledged_events() {
  const std::lock_guard lock(mutex_);
  return state_.acknowledged;
}
std::size_t FakeServer::connections() {
  const std::lock_guard lock(mutex_);
  return state_.connections.size();
}
std::vector<std::string> FakeServer::complaints() {
  const std::lock_guard lock(mutex_);
  return state_.complaints;
}

bool FakeServer::wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::unique_lock lock(mutex_);
    // Not everything that a condition looks at is the server's: it is looked at now and then.
    (void)changed_.wait_for(lock, std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace homefs::testing
