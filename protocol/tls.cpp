#include "protocol/tls.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>

#include "protocol/base64.h"
#include "protocol/tls_openssl.h"

namespace homefs {
namespace {

// The server's list decides, unless the client has no AES instructions and puts ChaCha first.
constexpr const char* kCipherSuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
// Four records of the wire a recv(2): the best of 1, 2, 4 and 8 where others measured it.
constexpr std::size_t kReadAheadBytes = 4 * 0x401e;
// A chain of a few certificates; OpenSSL's default of 100 KiB is for the web.
constexpr long kCertificateListBytesMax = 16 * 1024;

int accept_any_certificate(X509_STORE_CTX*, void*) { return 1; }  // the caller pins the key

Result<std::shared_ptr<SSL_CTX>> make_context(const SSL_METHOD* method) {
  char groups[] = "X25519";  // not const: OpenSSL's macro casts that away
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), kCipherSuites) != 1 ||
      SSL_CTX_set1_groups_list(context.get(), groups) != 1) {
    return fail(Status::kConfigError, "TLS cannot be set up: " + take_openssl_error());
  }
  // No resumption: a broken connection is re-joined by the session's secret, and a full handshake
  // costs no further round trip.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_NO_RENEGOTIATION | SSL_OP_PRIORITIZE_CHACHA |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Buffers go back to malloc while a connection is idle: 10,000 of them are to stay small.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), kReadAheadBytes);
  SSL_CTX_set_max_cert_list(context.get(), kCertificateListBytesMax);
  return context;
}

Result<void> check_key_is_private(const std::filesystem::path& key_file) {
  struct stat status{};
  if (::stat(key_file.c_str(), &status) != 0) {
    const int error = errno;
    return fail(Status::kConfigError, fail_errno(error, key_file.string()).error().message());
  }
  if ((status.st_mode & S_IRWXO) != 0) {
    return fail(Status::kConfigError,
                "everybody may use the key " + key_file.string() + ": chmod o= it");
  }
  return {};
}

}  // namespace

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "TLS failed" : reason;
}

std::string fingerprint_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  HOMEFS_CHECK(length > 0);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<std::size_t>(length), digest);
  OPENSSL_free(der);
  std::string text = "SHA256:" + to_base64(std::as_bytes(std::span(digest)));
  while (text.back() == '=') text.pop_back();
  return text;
}

Result<std::string> fingerprint_of_certificate(const std::filesystem::path& cert_file) {
  ERR_clear_error();
  const BioPtr file(BIO_new_file(cert_file.c_str(), "r"));
  const X509Ptr certificate(
      file == nullptr ? nullptr : PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return fail(Status::kConfigError, cert_file.string() + ": " + take_openssl_error());
  }
  return fingerprint_of(certificate.get());
}

Result<TlsContext> TlsContext::client() {
  auto context = make_context(TLS_client_method());
  if (!context) return std::unexpected(context.error());
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context->get(), accept_any_certificate, nullptr);
  TlsContext result;
  result.context_ = *context;
  return result;
}

Result<TlsContext> TlsContext::client_with_ca(const std::string& host,
                                              const std::filesystem::path& ca_file) {
  auto context = make_context(TLS_client_method());
  if (!context) return std::unexpected(context.error());
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context->get())
                                     : SSL_CTX_load_verify_file(context->get(), ca_file.c_str());
  if (loaded != 1) {
    return fail(Status::kConfigError,
                "CA certificates " + ca_file.string() + ": " + take_openssl_error());
  }
  TlsContext result;
  result.context_ = *context;
  result.host_ = host;
  return result;
}

Result<TlsContext> TlsContext::server(const std::filesystem::path& key_file,
                                      const std::filesystem::path& cert_file) {
  auto context = make_context(TLS_server_method());
  if (!context) return std::unexpected(context.error());
  if (auto is_private = check_key_is_private(key_file); !is_private) {
    return std::unexpected(is_private.error());
  }
  if (SSL_CTX_use_certificate_chain_file(context->get(), cert_file.c_str()) != 1) {
    return fail(Status::kConfigError, cert_file.string() + ": " + take_openssl_error());
  }
  if (SSL_CTX_use_PrivateKey_file(context->get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context->get()) != 1) {
    return fail(Status::kConfigError, key_file.string() + ": " + take_openssl_error());
  }
  TlsContext result;
  result.context_ = *context;
  result.fingerprint_ = fingerprint_of(SSL_CTX_get0_certificate(context->get()));
  result.is_server_ = true;
  return result;
}

ssl_st* TlsContext::make_ssl() const {
  HOMEFS_CHECK(context_ != nullptr);
  SSL* ssl = SSL_new(context_.get());
  if (ssl == nullptr) throw std::bad_alloc();
  if (is_server_) {
    SSL_set_accept_state(ssl);
    return ssl;
  }
  SSL_set_connect_state(ssl);
  if (!host_.empty()) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // Of the two a numeric host is only fit for the first, and a name only for the second.
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host_.c_str()) != 1) {
      ERR_clear_error();
      HOMEFS_CHECK(SSL_set1_host(ssl, host_.c_str()) == 1);
      // SNI, spelled out: OpenSSL's macro casts in a way we do not allow. Only a hint for servers
      // with several names.
      std::string name = host_;
      (void)SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    }
  }
  return ssl;
}

}  // namespace homefs
