// TLS as homefs uses it: version 1.3 only, one context for all connections of a role, and the
// server's key known by its fingerprint, as ssh does it. What drives a connection is TlsStream.
//
// The client takes any certificate that fits its key (TLS 1.3 makes the server prove it holds
// that) and leaves the judgement to its caller, who compares the fingerprint with the pinned one
// before anything secret is sent. With `client_with_ca` OpenSSL judges too.
//
// Owner: a TlsContext is a handle, copies share one context. Executor: immutable, thread-safe.
// Blocks: only the functions that take files.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "protocol/result.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX and SSL, kept out of this header
struct ssl_st;

namespace homefs {

/// 32 bytes that only the two ends of one TLS connection know (RFC 9266, tls-exporter).
using ChannelBinding = std::array<std::byte, 32>;

class TlsContext {
 public:
  /// Any server key is accepted; the caller pins the fingerprint.
  static Result<TlsContext> client();

  /// As client(), and the certificate must be good for `host` by the system's CAs, or by those in
  /// `ca_file` when that is not empty. kConfigError for a file that cannot be used.
  static Result<TlsContext> client_with_ca(const std::string& host,
                                           const std::filesystem::path& ca_file = {});

  /// PEM files. kConfigError when one is missing, does not fit the other, or when the key can be
  /// read by everybody.
  static Result<TlsContext> server(const std::filesystem::path& key_file,
                                   const std::filesystem::path& cert_file);

  /// Of the server's own certificate ("SHA256:..."); empty for a client's context.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  [[nodiscard]] bool is_server() const { return is_server_; }

  /// A fresh connection's state, owned by the caller (SSL_free). For TlsStream.
  [[nodiscard]] ssl_st* make_ssl() const;

 private:
  TlsContext() = default;

  std::shared_ptr<ssl_ctx_st> context_;  // owners: the copies of this handle
  std::string host_;                     // CA mode: the name the certificate must be for
  std::string fingerprint_;
  bool is_server_ = false;
};

/// Makes what of `key_file` and `cert_file` is missing: an ECDSA P-256 key and a self-signed
/// certificate for it, without an end date (clients pin the key). Files that exist are never
/// touched; new ones appear complete or not at all, mode 0600, also when two servers start at once.
/// kConfigError when there is a certificate but no key, or a file cannot be written.
Result<void> make_server_identity(const std::filesystem::path& key_file,
                                  const std::filesystem::path& cert_file);

/// "SHA256:base64" of the public key (DER SubjectPublicKeyInfo) of a PEM certificate.
Result<std::string> fingerprint_of_certificate(const std::filesystem::path& cert_file);

}  // namespace homefs
