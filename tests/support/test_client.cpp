#include "tests/support/test_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "protocol/result.h"
#include "protocol/scram.h"
#include "protocol/tls.h"

namespace homefs::testing {

class TestClient::Events final : public ChannelEvents {
 public:
  explicit Events(TestClient& client) : client_(client) {}

  void on_open() override {
    const std::lock_guard lock(client_.mutex_);
    client_.is_open_ = true;
    client_.changed_.notify_all();
  }
  void on_frame(InFrame frame) override { client_.on_frame(std::move(frame)); }
  void on_closed(const Error& why) override {
    const std::lock_guard lock(client_.mutex_);
    client_.closed_ = why;
    client_.changed_.notify_all();
  }

 private:
  TestClient& client_;
};

TestClient::TestClient(std::uint16_t port) : io_({.net = 1, .io = 1}) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  HOMEFS_CHECK(socket);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected =
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  EXPECT_EQ(connected, 0) << "port " << port;
  const Result<TlsContext> tls = TlsContext::client();
  EXPECT_TRUE(tls);
  ChannelOptions options;
  options.pool = BufferPool::make(4);
  options.body_bytes_max = kBodyBytesMax;
  channel_ = Channel::make(io_, std::move(socket), *tls, std::move(options));
  io_.start();
  channel_->start(std::make_shared<Events>(*this));
  (void)wait([this] { return is_open_ || closed_; });
}

TestClient::~TestClient() {
  close();
  (void)wait([this] { return closed_.has_value(); });
}

template <class Condition>
bool TestClient::wait(Condition is_met) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kTestDeadline, is_met);
}

void TestClient::on_frame(InFrame frame) {
  bool acknowledges = false;
  {
    const std::lock_guard lock(mutex_);
    const bool is_event = frame.header.kind == FrameKind::kEvent;
    acknowledges = is_event && acknowledges_;
    (is_event ? events_ : replies_).push_back(frame);
    changed_.notify_all();
  }
  if (acknowledges) acknowledge(frame);
}

void TestClient::acknowledge(const InFrame& event) {
  OutFrame frame;
  frame.header.op = event.header.op;
  frame.header.kind = FrameKind::kEventAck;
  frame.header.tag = event.header.tag;
  (void)channel_->send(std::move(frame));  // a closed connection is what some tests are about
}

std::uint32_t TestClient::send(OutFrame frame) {
  if (frame.header.tag == 0) {
    const std::lock_guard lock(mutex_);
    frame.header.tag = ++last_tag_;
  }
  const std::uint32_t tag = frame.header.tag;
  (void)channel_->send(std::move(frame));  // as above: no reply will come then
  return tag;
}

std::uint32_t TestClient::send(Op op, std::vector<std::byte> fields, std::uint64_t seq) {
  OutFrame frame;
  frame.header.op = op;
  frame.header.seq = seq;
  frame.fields = std::move(fields);
  return send(std::move(frame));
}

std::optional<InFrame> TestClient::reply_to(std::uint32_t tag) {
  const auto find = [&] {
    return std::ranges::find(replies_, tag, [](const InFrame& frame) { return frame.header.tag; });
  };
  (void)wait([&] { return find() != replies_.end() || closed_; });
  const std::lock_guard lock(mutex_);
  const auto found = find();
  if (found == replies_.end()) return std::nullopt;
  InFrame reply = std::move(*found);
  replies_.erase(found);
  return reply;
}

Result<InFrame> TestClient::call(OutFrame frame) {
  std::optional<InFrame> reply = reply_to(send(std::move(frame)));
  if (!reply) return fail(Status::kDisconnected, "no reply");
  if (!is_success(reply->header.status)) return fail(reply->header.status);
  return std::move(*reply);
}

Result<InFrame> TestClient::call(Op op, std::vector<std::byte> fields, std::uint64_t seq) {
  OutFrame frame;
  frame.header.op = op;
  frame.header.seq = seq;
  frame.fields = std::move(fields);
  return call(std::move(frame));
}

std::optional<InFrame> TestClient::event(Op op) {
  const auto find = [&] {
    return std::ranges::find(events_, op, [](const InFrame& frame) { return frame.header.op; });
  };
  (void)wait([&] { return find() != events_.end() || closed_; });
  const std::lock_guard lock(mutex_);
  const auto found = find();
  if (found == events_.end()) return std::nullopt;
  InFrame event = std::move(*found);
  events_.erase(found);
  return event;
}

Result<HelloReply> TestClient::hello() {
  Hello hello;
  hello.software = "test";
  const Result<InFrame> reply = call(Op::kHello, encode_json(hello));
  if (!reply) return std::unexpected(reply.error());
  return decode_json<HelloReply>(reply->bytes());
}

Result<AuthFinishReply> TestClient::log_in(const TestLogin& login) {
  if (const auto greeted = hello(); !greeted) return std::unexpected(greeted.error());
  Result<ScramClient> scram = ScramClient::make(login.user, login.secret, binding());
  if (!scram) return std::unexpected(scram.error());
  AuthStart start{.user = login.user, .token_id = login.token_id, .scram = scram->first_message()};
  const Result<InFrame> challenged = call(Op::kAuthStart, encode_json(start));
  if (!challenged) return std::unexpected(challenged.error());
  const auto challenge = decode_json<AuthStartReply>(challenged->bytes());
  if (!challenge) return std::unexpected(challenge.error());
  const auto proof = scram->final_message(challenge->scram, challenge->is_prehashed);
  if (!proof) return std::unexpected(proof.error());
  AuthFinish finish = login.finish;
  finish.scram = *proof;
  const Result<InFrame> finished = call(Op::kAuthFinish, encode_json(finish));
  if (!finished) return std::unexpected(finished.error());
  const auto reply = decode_json<AuthFinishReply>(finished->bytes());
  if (!reply) return std::unexpected(reply.error());
  if (auto known = scram->check_server_final(reply->scram); !known) {
    return std::unexpected(known.error());
  }
  return *reply;
}

Result<ResumeReply> TestClient::resume(const AuthFinishReply& session, ConnectionKind kind,
                                       std::uint32_t place) {
  if (const auto greeted = hello(); !greeted) return std::unexpected(greeted.error());
  const Result<InFrame> reply =
      resume_with({.session_id = session.session_id,
                   .proof = resume_proof(session.session_secret, binding(), kind),
                   .kind = kind,
                   .place = place});
  if (!reply) return std::unexpected(reply.error());
  return decode_json<ResumeReply>(reply->bytes());
}

Result<InFrame> TestClient::resume_with(const Resume& request) {
  return call(Op::kResume, encode_json(request));
}

std::optional<Error> TestClient::wait_closed() {
  (void)wait([this] { return closed_.has_value(); });
  const std::lock_guard lock(mutex_);
  return closed_;
}

bool TestClient::is_closed() {
  const std::lock_guard lock(mutex_);
  return closed_.has_value();
}

void TestClient::close() { channel_->close({Status::kDisconnected, "the test closed it"}); }

void TestClient::set_acknowledges(bool acknowledges) {
  const std::lock_guard lock(mutex_);
  acknowledges_ = acknowledges;
}

}  // namespace homefs::testing
