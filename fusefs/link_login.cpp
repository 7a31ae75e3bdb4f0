#include "fusefs/link_login.h"

#include <string>
#include <utility>

#include "protocol/bytes.h"
#include "protocol/scram.h"

namespace homefs {
namespace {

constexpr const char* kSoftware = "homefs " HOMEFS_VERSION;

Error refusal_of(const InFrame& reply) {
  Error error{reply.header.status, {}};
  const auto refusal = decode_json<Refusal>(reply.bytes());
  if (!refusal) return error;
  error.context = refusal->text;
  if (refusal->retry_after_s > 0) {
    if (!error.context.empty()) error.context += ", ";
    error.context += "again in " + std::to_string(refusal->retry_after_s) + " s";
  }
  return error;
}

template <class Reply, class Request>
Result<Reply> ask(const LoginStep& step, Op op, const Request& request) {
  const auto reply = step.connection.exchange(op, encode_json(request), step.deadline);
  if (!reply) return std::unexpected(reply.error());
  if (!is_success(reply->header.status)) return std::unexpected(refusal_of(*reply));
  return decode_json<Reply>(reply->bytes());
}

// The nodes of a session are known to one process of the server and to that session only: either
// one differing makes all of them unknown.
std::uint64_t incarnation_of(std::uint64_t server, const SessionId& session) {
  return server ^ ByteReader(session).get_u64();
}

Result<std::string> new_verifier(const Credentials& credentials) {
  const auto verifier = make_verifier(credentials.password, kScramIterationsDefault);
  if (!verifier) return std::unexpected(verifier.error());
  return verifier->to_string();
}

Resume resume_of(const LoginStep& step, const LinkSession& session, ConnectionKind kind) {
  Resume resume;
  resume.session_id = session.id;
  resume.proof = resume_proof(session.secret, step.connection.channel()->channel_binding(), kind);
  resume.kind = kind;
  return resume;
}

LinkSession session_of(AuthFinishReply reply) {
  return LinkSession{.id = reply.session_id,
                     .secret = reply.session_secret,
                     .incarnation = incarnation_of(reply.incarnation, reply.session_id),
                     .boot = reply.boot,
                     .keepalive = std::chrono::seconds(reply.keepalive_s),
                     .bulk_connections = reply.bulk_connections,
                     .home = reply.home,
                     .token = std::move(reply.token)};
}

}  // namespace

Result<> say_hello(const LoginStep& step) {
  Hello hello;
  hello.software = kSoftware;
  const auto reply = ask<HelloReply>(step, Op::kHello, hello);
  if (!reply) return std::unexpected(reply.error());
  if (reply->version != kProtocolVersion) {
    return fail(Status::kVersionMismatch,
                reply->software + " speaks version " + std::to_string(reply->version));
  }
  for (const std::string& mechanism : reply->mechanisms) {
    if (mechanism == kMechanismScramPlus) return {};
  }
  return fail(Status::kVersionMismatch, "the server offers no login that is bound to TLS");
}

Result<LinkSession> log_in(const LoginStep& step) {
  const Credentials& credentials = step.credentials;
  const bool is_token = !credentials.token_id.empty();
  auto scram = ScramClient::make(credentials.user,
                                 is_token ? credentials.token_secret : credentials.password,
                                 step.connection.channel()->channel_binding());
  if (!scram) return std::unexpected(scram.error());
  const AuthStart start{
      .user = credentials.user, .token_id = credentials.token_id, .scram = scram->first_message()};
  const auto started = ask<AuthStartReply>(step, Op::kAuthStart, start);
  if (!started) return std::unexpected(started.error());
  if (started->is_prehashed && is_token) {
    return fail(Status::kProtocolError, "the server has an MD5 for a device token");
  }
  auto final_message = scram->final_message(started->scram, started->is_prehashed);
  if (!final_message) return std::unexpected(final_message.error());
  AuthFinish finish{.scram = std::move(*final_message),
                    .client_id = step.options.client_id,
                    .device = step.options.device,
                    .wants_token = step.options.wants_token,
                    .subdir = step.options.subdir,
                    .new_verifier = {}};
  if (started->is_prehashed) {
    auto verifier = new_verifier(credentials);
    if (!verifier) return std::unexpected(verifier.error());
    finish.new_verifier = std::move(*verifier);
  }
  auto finished = ask<AuthFinishReply>(step, Op::kAuthFinish, finish);
  if (!finished) return std::unexpected(finished.error());
  if (const auto known = scram->check_server_final(finished->scram); !known) {
    return std::unexpected(known.error());
  }
  return session_of(std::move(*finished));
}

Result<Resumed> resume_control(const LoginStep& step, const LinkSession& session,
                               std::uint64_t seq_done) {
  Resume resume = resume_of(step, session, ConnectionKind::kControl);
  resume.seq_done = seq_done;
  const auto reply = ask<ResumeReply>(step, Op::kResume, resume);
  if (!reply) return std::unexpected(reply.error());
  Resumed resumed{
      .session = session, .has_missed_events = reply->missed_events, .order = reply->order};
  resumed.session.incarnation = incarnation_of(reply->incarnation, session.id);
  resumed.session.boot = reply->boot;
  return resumed;
}

Result<> resume_bulk(const LoginStep& step, const LinkSession& session, std::uint32_t place) {
  Resume resume = resume_of(step, session, ConnectionKind::kBulk);
  resume.place = place;
  const auto reply = ask<ResumeReply>(step, Op::kResume, resume);
  if (!reply) return std::unexpected(reply.error());
  return {};
}

}  // namespace homefs
