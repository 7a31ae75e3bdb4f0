// SCRAM-SHA-256-PLUS (RFC 5802, 7677) bound to the TLS connection by its exporter (RFC 9266): the
// password never crosses the wire, nothing that does can be used again, and a login through a man
// in the middle fails also when the user has accepted his key, since the two connections' exporters
// differ. Only the -PLUS form is spoken.
//
//   ScramClient                       ScramServer
//   first_message()      ----------->   begin()     name -> account
//   final_message()     <-----------    first_reply()
//                        ----------->   finish()    kLoginRefused, or logged in
//   check_server_final() <----------
//
// Own code and not libgsasl, which knows this mechanism: what is special here (accounts that do
// not exist, the old system's MD5, errors as values) would be callbacks into it, and what is left
// for it is shorter than those.
//
// Owner: the login. Executor: one thread at a time. Blocks: never, but final_message() works for
// tens to hundreds of milliseconds.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "protocol/scram_crypto.h"

namespace homefs {

class ScramClient {
 public:
  /// `password`: of the user, or a token's secret. kInvalid for a user or password that no account
  /// can have.
  static Result<ScramClient> make(std::string_view user, std::string_view password,
                                  const ChannelBinding& binding);
  ~ScramClient();
  ScramClient(ScramClient&&) noexcept = default;
  ScramClient& operator=(ScramClient&&) noexcept = default;
  ScramClient(const ScramClient&) = delete;
  ScramClient& operator=(const ScramClient&) = delete;

  [[nodiscard]] std::string first_message() const;

  /// `is_prehashed` as in AuthStartReply. kProtocolError for a message that is not one, or rounds
  /// outside of the limits.
  Result<std::string> final_message(std::string_view server_first, bool is_prehashed);

  /// kServerKeyChanged when the server does not know the verifier: it is not who it says it is.
  /// Precondition: final_message() succeeded.
  Result<void> check_server_final(std::string_view server_final) const;

 private:
  ScramClient() = default;

  std::string password_;
  std::string nonce_;
  std::string first_bare_;  // of the client-first message
  std::string binding_;     // the c= attribute, in base64
  Sha256Digest server_signature_{};
  bool has_signature_ = false;
};

/// What a server knows of whoever wants to log in.
struct ScramAccount {
  ScramVerifier verifier;
  bool is_prehashed = false;  ///< the verifier is one of prehash_md5(password)
  bool is_known = true;       ///< false: nothing proves it, at the same cost
};

/// The stand-in for a name that no account has: the same each time, as an account's would be.
/// `secret` is of the server, random, and stays the same over restarts. `iterations` are those of
/// the real accounts. So that the answer to a name tells nothing, `prehashed_per_256` of 256 names
/// seem to be of the old system: give the share of those among the accounts.
ScramAccount fake_account(std::span<const std::byte> secret, std::string_view name,
                          std::uint32_t iterations, unsigned prehashed_per_256);

/// An account of the old system. `md5` is its 32 hex digits in lower case. Works as long as
/// derive_scram_keys(): made when the accounts are read, not while somebody waits, whose clock
/// would tell which accounts these are.
ScramAccount prehashed_account(std::span<const std::byte> secret, std::string_view name,
                               std::string_view md5, std::uint32_t iterations);

class ScramServer {
 public:
  /// Takes the client-first message. kProtocolError when it is none, is not bound by tls-exporter,
  /// or asks to act for somebody else.
  static Result<ScramServer> begin(std::string_view client_first, const ChannelBinding& binding);

  [[nodiscard]] const std::string& user() const { return user_; }

  /// The server-first message, for the account of user().
  std::string first_reply(ScramAccount account);

  /// Takes the client-final message; the server-final message, which completes the login.
  /// kLoginRefused: a wrong secret, no such account, or a connection that is not ours (the man in
  /// the middle); kProtocolError for a message that is none. Precondition: first_reply(). Once.
  Result<std::string> finish(std::string_view client_final);

 private:
  ScramServer() = default;

  std::string user_;
  std::string nonce_;
  std::string first_bare_;  // of the client-first message
  std::string server_first_;
  std::string binding_;  // what c= has to be, in base64
  ScramAccount account_;
};

}  // namespace homefs
