#include "server/login_dialog.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <ctime>
#include <utility>

#include "protocol/base64.h"
#include "server/device_tokens.h"
#include "server/log.h"
#include "server/posix_disk.h"
#include "server/refusal.h"

namespace homefs {
namespace {

constexpr const char* kSoftware = "homefsd " HOMEFS_VERSION;

LoginAnswer refusal(const Error& why, std::uint32_t retry_after_seconds = 0) {
  return {.reply = refusal_reply(why, retry_after_seconds), .ends = true};
}

LoginAnswer answer_with(std::vector<std::byte> body) {
  return {.reply = Reply{.status = Status::kOk, .fields = std::move(body)}};
}

// Before the refusal of a token: whoever tries again and again is kept from it.
constexpr std::chrono::milliseconds kTokenRefusalDelay{1000};

std::int64_t now_seconds() { return static_cast<std::int64_t>(std::time(nullptr)); }

}  // namespace

// Everything that a peer can do before it has logged in.
struct LoginDialog::Rule {
  State state;
  Op op;
  void (LoginDialog::*run)(const InFrame& frame, Done done);
};

const LoginDialog::Rule LoginDialog::kRules[] = {
    {State::kStart, Op::kHello, &LoginDialog::on_hello},
    {State::kGreeted, Op::kAuthStart, &LoginDialog::on_auth_start},
    {State::kChallenged, Op::kAuthFinish, &LoginDialog::on_auth_finish},
    {State::kGreeted, Op::kResume, &LoginDialog::on_resume},
};

void LoginDialog::on_open(const ChannelBinding& binding, const std::string& peer) {
  binding_ = binding;
  peer_ = peer;
  address_ = throttle_key_of_peer(peer);
}

Result<void> LoginDialog::check(const FrameHeader& header) const {
  if (header.kind != FrameKind::kRequest || header.seq != 0) {
    return fail(Status::kProtocolError, "not a request of a login");
  }
  const bool is_legal = std::ranges::any_of(
      kRules, [&](const Rule& rule) { return rule.state == state_ && rule.op == header.op; });
  return is_legal ? Result<void>{} : fail(Status::kNotLoggedIn, "log in first");
}

void LoginDialog::step(const InFrame& frame, Done done) {
  for (const Rule& rule : kRules) {
    if (rule.state != state_ || rule.op != frame.header.op) continue;
    (this->*rule.run)(frame, std::move(done));
    return;
  }
  HOMEFS_CHECK(!"check() let pass what no rule has");
}

void LoginDialog::on_hello(const InFrame& frame, Done done) {
  const Result<Hello> hello = decode_json<Hello>(frame.bytes());
  if (!hello) return done(refusal(hello.error()));
  if (hello->version_min > kProtocolVersion || hello->version_max < kProtocolVersion) {
    return done(refusal({Status::kVersionMismatch,
                         "this server speaks version " + std::to_string(kProtocolVersion)}));
  }
  state_ = State::kGreeted;
  HelloReply reply;
  reply.software = kSoftware;
  done(answer_with(encode_json(reply)));
}

// ---- A login by password or device token -----------------------------------------------------

void LoginDialog::on_auth_start(const InFrame& frame, Done done) {
  const Result<AuthStart> request = decode_json<AuthStart>(frame.bytes());
  if (!request) return done(refusal(request.error()));
  Result<ScramServer> scram = ScramServer::begin(request->scram, binding_);
  if (!scram) return done(refusal(scram.error()));
  if (scram->user() != request->user) {
    return done(refusal({Status::kProtocolError, "two different names"}));
  }
  scram_ = std::move(*scram);
  candidate_ = {};
  candidate_.user = request->user;
  candidate_.token_id = request->token_id;
  if (const auto wait = locked_out_for()) {
    return done(refusal({Status::kLockedOut, ""}, static_cast<std::uint32_t>(wait->count())));
  }
  if (Result<void> found = find_candidate(); !found) return done(refusal(found.error()));
  const Result<std::optional<ScramVerifier>> verifier = find_verifier();
  if (!verifier) return done(refusal(verifier.error()));
  if (*verifier) return challenge({.verifier = **verifier}, std::move(done));
  if (candidate_.account && candidate_.token_id.empty() &&
      candidate_.account->password.kind == PasswordKind::kLegacyMd5) {
    return challenge_legacy(*candidate_.account, std::move(done));
  }
  candidate_.account.reset();
  const std::uint32_t iterations =
      candidate_.token_id.empty() ? parts_.settings.lock()->scram_iterations : kTokenIterations;
  const std::string seed =
      candidate_.token_id.empty() ? candidate_.user : "token/" + candidate_.token_id;
  challenge(fake_account(parts_.secret, seed, iterations,
                         /*prehashed_per_256=*/0),
            std::move(done));
}

/// The secret of a token cannot be guessed, so its failures lock nobody out: neither the user nor
/// all who share the address of a device that goes on with one that was revoked.
std::optional<std::chrono::seconds> LoginDialog::locked_out_for() const {
  if (!candidate_.token_id.empty()) return {};
  return parts_.throttle.locked_out_for(candidate_.user, address_, LoginThrottle::Clock::now());
}

/// Looks the account up. An error is the server's own: accounts.ini cannot be read at all.
Result<void> LoginDialog::find_candidate() {
  const Result<std::shared_ptr<const Accounts>> accounts = parts_.accounts.current();
  if (!accounts && accounts.error().status == Status::kNoSuchFile) return {};  // nobody yet
  if (!accounts) {
    log_error("accounts", {{"error", accounts.error().message()}});
    return fail(Status::kIoError, "the server cannot read its accounts");
  }
  const Account* account = (*accounts)->find(candidate_.user);
  candidate_.is_known_user = account != nullptr;
  candidate_.account.reset();
  if (account != nullptr) candidate_.account = *account;
  return {};
}

/// The account, its password or its token may be others than when the secret was asked for, up to
/// the deadline of a login before. Errors: kLoginRefused.
Result<void> LoginDialog::check_again() {
  if (Result<void> found = find_candidate(); !found) return found;
  const Result<std::string> secret = secret_of_candidate();
  if (!secret) return std::unexpected(secret.error());
  if (!candidate_.account || *secret != candidate_.secret) return fail(Status::kLoginRefused);
  return {};
}

/// What the account, or the token, has in its place; empty: nothing.
Result<std::string> LoginDialog::secret_of_candidate() {
  if (candidate_.token_id.empty()) {
    return candidate_.account ? candidate_.account->password.text : std::string();
  }
  const Result<std::optional<DeviceToken>> token = parts_.state.find_token(candidate_.token_id);
  if (!token) {
    log_error("state-database", {{"error", token.error().message()}});
    return fail(Status::kIoError, "the server cannot read its device tokens");
  }
  return *token && (*token)->account == candidate_.user ? (*token)->verifier : std::string();
}

/// What proves the candidate's secret, if there is such a thing in the form of SCRAM.
Result<std::optional<ScramVerifier>> LoginDialog::find_verifier() {
  Result<std::string> secret = secret_of_candidate();
  if (!secret) return std::unexpected(secret.error());
  candidate_.secret = std::move(*secret);
  const bool is_scram =
      !candidate_.token_id.empty() ||
      (candidate_.account && candidate_.account->password.kind == PasswordKind::kScram);
  if (candidate_.secret.empty() || !candidate_.account || !is_scram) return std::nullopt;
  Result<ScramVerifier> verifier = ScramVerifier::parse(candidate_.secret);
  if (verifier) return std::move(*verifier);
  log_warn("unusable-verifier", {{"user", candidate_.user}, {"error", verifier.error().message()}});
  return std::nullopt;
}

void LoginDialog::challenge(ScramAccount account, Done done) {
  AuthStartReply reply;
  reply.is_prehashed = account.is_prehashed;
  reply.scram = scram_->first_reply(std::move(account));
  state_ = State::kChallenged;
  done(answer_with(encode_json(reply)));
}

void LoginDialog::challenge_legacy(const Account& account, Done done) {
  if (std::optional<ScramVerifier> made = parts_.legacy.find(account.name, account.password.text)) {
    return challenge({.verifier = std::move(*made), .is_prehashed = true}, std::move(done));
  }
  const std::uint32_t iterations = parts_.settings.lock()->scram_iterations;
  boost::asio::post(parts_.slow_executor, [this, name = account.name, md5 = account.password.text,
                                           iterations, done = std::move(done)]() mutable {
    std::optional<ScramVerifier> made = parts_.legacy.find(name, md5);
    if (!made) made = parts_.legacy.make(name, md5, iterations);
    challenge({.verifier = std::move(*made), .is_prehashed = true}, std::move(done));
  });
}

void LoginDialog::on_auth_finish(const InFrame& frame, Done done) {
  state_ = State::kOver;
  const Result<AuthFinish> request = decode_json<AuthFinish>(frame.bytes());
  if (!request) return done(refusal(request.error()));
  Result<std::string> proven = scram_->finish(request->scram);
  if (!proven) return done(refuse_login(proven.error()));
  if (!candidate_.account) return done(refuse_login({Status::kLoginRefused, ""}));
  if (Result<void> checked = check_again(); !checked) return done(refuse_login(checked.error()));
  if (candidate_.token_id.empty()) parts_.throttle.count_success(candidate_.user);
  if (candidate_.account->disabled) {
    log_info("login-refused", {{"user", candidate_.user}, {"peer", peer_}, {"why", "disabled"}});
    return done(refusal({Status::kAccountDisabled, ""}));
  }
  upgrade_password(*request);
  if (!candidate_.token_id.empty()) {
    (void)parts_.state.touch_token(candidate_.token_id, now_seconds());  // only shown to people
  }
  AuthFinishReply reply;
  reply.scram = std::move(*proven);
  Result<std::shared_ptr<Session>> session = parts_.maker.make({.account = *candidate_.account,
                                                                .client_id = request->client_id,
                                                                .token_id = candidate_.token_id,
                                                                .subdir = request->subdir});
  if (!session) {
    log_warn("session-refused",
             {{"user", candidate_.user}, {"peer", peer_}, {"error", session.error().message()}});
    return done(refusal(session.error()));
  }
  if (request->wants_token) {
    Result<TokenGrant> token = make_device_token(parts_.state, candidate_.user, request->device);
    if (!token) {
      parts_.sessions.end(**session, token.error());
      return done(refusal(token.error()));
    }
    reply.token = std::move(*token);
  }
  finish_login(std::move(*session), std::move(reply), std::move(done));
}

/// Counts the failure and holds the answer back. Whether the name or the secret was wrong is told
/// only where the config allows it.
LoginAnswer LoginDialog::refuse_login(const Error& why) {
  if (why.status != Status::kLoginRefused) return refusal(why);
  const auto delay =
      candidate_.token_id.empty()
          ? parts_.throttle.count_failure(candidate_.user, address_, LoginThrottle::Clock::now())
          : kTokenRefusalDelay;
  // At most as many as the throttle, or the delay of each connection, lets through.
  log_info("login-refused", {{"user", candidate_.user}, {"peer", peer_}});
  const bool tells = parts_.settings.lock()->reveals_unknown_users && !candidate_.is_known_user;
  LoginAnswer answer = refusal({tells ? Status::kUnknownUser : Status::kLoginRefused, ""});
  answer.delay = delay;
  return answer;
}

/// An account of the old system has proven its MD5: the verifier of its password takes the place.
void LoginDialog::upgrade_password(const AuthFinish& request) {
  const Account& account = *candidate_.account;
  if (request.new_verifier.empty() || !candidate_.token_id.empty() ||
      account.password.kind != PasswordKind::kLegacyMd5) {
    return;
  }
  const Result<ScramVerifier> verifier = ScramVerifier::parse(request.new_verifier);
  if (!verifier || verifier->iterations < ServerConfig::kScramIterationsMin) {
    log_warn("password-not-upgraded", {{"user", account.name}, {"why", "an unusable verifier"}});
    return;
  }
  const Result<> done = parts_.accounts.edit([&](AccountsEdit& edit) -> Result<> {
    if (edit.password(account.name) != account.password.text) {
      return fail(Status::kInvalid, "it was set anew meanwhile");
    }
    return edit.set_password(account.name, verifier->to_string());
  });
  if (!done) {
    log_warn("password-not-upgraded", {{"user", account.name}, {"error", done.error().message()}});
    return;
  }
  log_info("password-upgraded", {{"user", account.name}});
}

/// Fills in the reply and lets the session in: when all others of the home know that it is shared.
void LoginDialog::finish_login(std::shared_ptr<Session> session, AuthFinishReply reply, Done done) {
  const Result<Attributes> root = session->files().root_attributes();
  if (!root) {
    parts_.sessions.end(*session, root.error());
    return done(refusal(root.error()));
  }
  const LoginSettings settings = *parts_.settings.lock();
  reply.session_id = session->id();
  reply.session_secret = session->secret();
  reply.incarnation = parts_.incarnation;
  reply.boot = parts_.boot;
  reply.keepalive_s = static_cast<std::uint32_t>(settings.keepalive.count());
  reply.linger_s = static_cast<std::uint32_t>(settings.linger.count());
  reply.bulk_connections = static_cast<std::uint32_t>(settings.limits.bulk_connections_max);
  reply.home = HomeInfo{.root_inode = number_of(root->inode),
                        .uid = root->uid,
                        .gid = root->gid,
                        .preserves_owners = candidate_.account->preserve_owners,
                        .quota_bytes = candidate_.account->total_space,
                        .quota_files = candidate_.account->files_max};
  log_info("login", {{"user", candidate_.user},
                     {"peer", peer_},
                     {"session", session->short_id()},
                     {"by", candidate_.token_id.empty() ? "password" : "token"}});
  HomeCoherence& coherence = session->coherence();
  auto member = session;
  coherence.join(std::move(member), [session = std::move(session), body = encode_json(reply),
                                     done = std::move(done)](bool) mutable {
    LoginAnswer answer;
    answer.binding =
        LoginBinding{.session = std::move(session),
                     .make_reply = [body = std::move(body)](const Session::Attached&) mutable {
                       return Reply{.status = Status::kLoginOk, .fields = std::move(body)};
                     }};
    done(std::move(answer));
  });
}

// ---- A further connection --------------------------------------------------------------------

void LoginDialog::on_resume(const InFrame& frame, Done done) {
  const Result<Resume> request = decode_json<Resume>(frame.bytes());
  if (!request) return done(refusal(request.error()));
  const auto known = parts_.maker.find(request->session_id);
  // The same work for an id that nobody has.
  const bool is_equal =
      are_equal(resume_proof(known ? known->secret : SessionSecret{}, binding_, request->kind),
                request->proof);
  // Not the end: the client goes on with a login on this connection.
  LoginAnswer unknown{.reply = refusal_reply({Status::kSessionUnknown, "no such session"})};
  if (!known || !is_equal) return done(std::move(unknown));
  std::shared_ptr<Session> session = known->session;
  if (!session) {
    Result<std::shared_ptr<Session>> restored = parts_.maker.restore(request->session_id);
    if (!restored && restored.error().status == Status::kSessionUnknown) {
      return done(std::move(unknown));
    }
    if (!restored) {
      // The session stays: its client tries again.
      log_warn("session-not-restored", {{"session", to_hex(request->session_id).substr(0, 8)},
                                        {"peer", peer_},
                                        {"why", restored.error().message()}});
      return done(refusal(restored.error()));
    }
    session = std::move(*restored);
    log_info("session-restored",
             {{"user", session->account()}, {"peer", peer_}, {"session", session->short_id()}});
  }
  // One that was restored a moment ago is in its home only when the others know that it is shared.
  HomeCoherence& coherence = session->coherence();
  auto member = session;
  coherence.join(std::move(member), [this, request = *request, session = std::move(session),
                                     done = std::move(done)](bool) mutable {
    finish_resume(request, std::move(session), std::move(done));
  });
}

void LoginDialog::finish_resume(const Resume& request, std::shared_ptr<Session> session,
                                Done done) {
  if (Result<void> known = session->acknowledge(request.seq_done); !known) {
    // Its file is older than the session, as the disk has failed: the client must not go on to ask.
    log_warn("session-dropped",
             {{"session", session->short_id()}, {"why", known.error().message()}});
    parts_.sessions.end(*session, known.error());
    return done(refusal({Status::kSessionUnknown, known.error().message()}));
  }
  state_ = State::kOver;
  log_debug("resume", {{"session", session->short_id()}, {"peer", peer_}});
  LoginAnswer answer;
  answer.binding = LoginBinding{
      .session = std::move(session),
      .is_control = request.kind == ConnectionKind::kControl,
      .place = request.place,
      .make_reply = [incarnation = parts_.incarnation,
                     boot = parts_.boot](const Session::Attached& attached) {
        return Reply{.status = Status::kOk,
                     .fields = encode_json(ResumeReply{.incarnation = incarnation,
                                                       .boot = boot,
                                                       .seq_applied = attached.last_applied,
                                                       .missed_events = attached.has_missed_events,
                                                       .order = disk::next_order()})};
      }};
  done(std::move(answer));
}

}  // namespace homefs
