// The login of one connection, from its first frame to its session: which request may come when,
// and what each is answered. No file operation is possible before it has succeeded.
//
// Owner: the Connection. Executor: one step at a time, on threads of the server.
// Blocks: step(), on accounts.ini, the database and the disk of the home.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/accounts_file.h"
#include "protocol/frame.h"
#include "protocol/login_messages.h"
#include "protocol/scram.h"
#include "protocol/tls.h"
#include "server/legacy_verifiers.h"
#include "server/login_throttle.h"
#include "server/session_maker.h"
#include "server/state_db.h"

namespace homefs {

/// What a login needs of the server. All of it outlives the connections, and is thread-safe.
struct LoginParts {
  /// One thread at a time, for what computes long.
  boost::asio::any_io_executor slow_executor;
  AccountsFile& accounts;
  StateDb& state;
  LoginThrottle& throttle;
  LegacyVerifiers& legacy;
  SessionRegistry& sessions;
  SessionMaker& maker;
  Guarded<LoginSettings>& settings;
  std::span<const std::byte> secret;  ///< of this server, for names that no account has
  std::uint64_t incarnation = 0;      ///< of this process
  std::uint64_t boot = 0;             ///< of this machine
};

/// The session that a connection belongs to from now on.
struct LoginBinding {
  std::shared_ptr<Session> session;
  bool is_control = true;
  std::uint32_t place = 0;  ///< of a bulk connection, as Resume::place
  /// The reply, when the connection is attached.
  std::move_only_function<Reply(const Session::Attached&)> make_reply;
};

struct LoginAnswer {
  Reply reply;                         ///< unless there is a binding
  std::chrono::milliseconds delay{0};  ///< to be held back for this long
  bool ends = false;                   ///< the connection ends with it
  std::optional<LoginBinding> binding;
};

class LoginDialog {
 public:
  using Done = std::move_only_function<void(LoginAnswer)>;

  explicit LoginDialog(LoginParts parts) : parts_(std::move(parts)) {}

  void on_open(const ChannelBinding& binding, const std::string& peer);

  /// Whether a frame may come now. kNotLoggedIn for a request that may not, kProtocolError for what
  /// is none.
  Result<void> check(const FrameHeader& header) const;
  /// Answers a frame that check() let pass; `done` is called once, on any thread.
  /// The caller keeps this object until then.
  void step(const InFrame& frame, Done done);

 private:
  enum class State { kStart, kGreeted, kChallenged, kOver };
  struct Rule;
  static const Rule kRules[];

  // Who logs in: what kAuthStart has found out, for kAuthFinish.
  struct Candidate {
    std::optional<Account> account;  ///< none: no such account, or no such token of it
    std::string user;
    std::string token_id;
    std::string secret;  ///< what was challenged, as it is stored: secret_of_candidate()
    bool is_known_user = false;
  };

  void on_hello(const InFrame& frame, Done done);
  void on_auth_start(const InFrame& frame, Done done);
  void on_auth_finish(const InFrame& frame, Done done);
  void on_resume(const InFrame& frame, Done done);

  [[nodiscard]] std::optional<std::chrono::seconds> locked_out_for() const;
  Result<void> find_candidate();
  Result<void> check_again();
  Result<std::string> secret_of_candidate();
  Result<std::optional<ScramVerifier>> find_verifier();
  void challenge(ScramAccount account, Done done);
  void challenge_legacy(const Account& account, Done done);
  LoginAnswer refuse_login(const Error& why);
  void upgrade_password(const AuthFinish& request);
  void finish_resume(const Resume& request, std::shared_ptr<Session> session, Done done);
  void finish_login(std::shared_ptr<Session> session, AuthFinishReply reply, Done done);

  LoginParts parts_;
  State state_ = State::kStart;
  ChannelBinding binding_{};
  std::string peer_;
  std::string address_;  // as the throttle counts it
  std::optional<ScramServer> scram_;
  Candidate candidate_;
};

}  // namespace homefs
