// make_server_identity: the key and the certificate a server makes for itself at its first start.

#include <fcntl.h>
#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <functional>
#include <string_view>

#include "protocol/tls.h"
#include "protocol/tls_openssl.h"
#include "protocol/unique_fd.h"

namespace homefs {
namespace {

Result<std::string> pem_of(const std::function<int(BIO*)>& write) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  if (memory == nullptr || write(memory.get()) != 1) {
    return fail(Status::kConfigError, "PEM: " + take_openssl_error());
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

Result<void> write_all(int fd, std::string_view text, const std::string& what) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, what);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return fail_errno(errno, what);
  return {};
}

/// The whole file under its name, or no file. An existing one is left as it is, and is success:
/// another server that started at the same time was first.
Result<void> create_whole(const std::filesystem::path& file, std::string_view text) {
  std::string temporary = file.string() + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return fail_errno(errno, temporary);
  Result<void> result = write_all(fd.get(), text, temporary);
  // link(2) refuses an existing name where rename(2) would replace it.
  if (result && ::link(temporary.c_str(), file.c_str()) != 0 && errno != EEXIST) {
    result = fail_errno(errno, file.string());
  }
  ::unlink(temporary.c_str());
  const UniqueFd folder(::open(file.has_parent_path() ? file.parent_path().c_str() : ".",
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (result && folder && ::fsync(folder.get()) != 0) result = fail_errno(errno, file.string());
  return result;
}

Result<PkeyPtr> load_key(const std::filesystem::path& key_file) {
  ERR_clear_error();
  const BioPtr file(BIO_new_file(key_file.c_str(), "r"));
  PkeyPtr key(file == nullptr ? nullptr
                              : PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) {
    return fail(Status::kConfigError, key_file.string() + ": " + take_openssl_error());
  }
  return key;
}

Result<void> create_key(const std::filesystem::path& key_file) {
  char curve[] = "P-256";  // not const: OpenSSL's macro casts that away
  const PkeyPtr key(EVP_EC_gen(curve));
  if (key == nullptr) return fail(Status::kConfigError, "key: " + take_openssl_error());
  auto pem = pem_of([&key](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  if (!pem) return std::unexpected(pem.error());
  auto created = create_whole(key_file, *pem);
  OPENSSL_cleanse(pem->data(), pem->size());
  return created;
}

bool fill_certificate(X509* certificate, EVP_PKEY* key) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof(serial)) != 1) return false;
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, full length
  BIGNUM* number = BN_bin2bn(serial, sizeof(serial), nullptr);
  const bool has_serial = number != nullptr &&
                          BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* text = reinterpret_cast<const unsigned char*>("homefs server");
  const EVP_MD* digest = EVP_PKEY_is_a(key, "ED25519") ? nullptr : EVP_sha256();
  // 99991231235959Z is RFC 5280's "has no well-defined end".
  return has_serial && X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20200101000000Z") == 1 &&
         ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
         X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, digest) > 0;
}

Result<void> create_certificate(const std::filesystem::path& key_file,
                                const std::filesystem::path& cert_file) {
  const auto key = load_key(key_file);
  if (!key) return std::unexpected(key.error());
  const X509Ptr certificate(X509_new());
  if (certificate == nullptr || !fill_certificate(certificate.get(), key->get())) {
    return fail(Status::kConfigError, "certificate: " + take_openssl_error());
  }
  const auto pem =
      pem_of([&certificate](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); });
  if (!pem) return std::unexpected(pem.error());
  return create_whole(cert_file, *pem);
}

}  // namespace

Result<void> make_server_identity(const std::filesystem::path& key_file,
                                  const std::filesystem::path& cert_file) {
  std::error_code ignored;  // what cannot be looked at cannot be created either, and says so then
  const bool has_key = std::filesystem::exists(key_file, ignored);
  const bool has_certificate = std::filesystem::exists(cert_file, ignored);
  if (has_key && has_certificate) return {};
  if (has_certificate) {
    return fail(Status::kConfigError,
                cert_file.string() + " is there, but not its key " + key_file.string());
  }
  Result<void> result = has_key ? Result<void>() : create_key(key_file);
  if (result) result = create_certificate(key_file, cert_file);
  if (!result) return fail(Status::kConfigError, result.error().message());
  return {};
}

}  // namespace homefs
