#include "protocol/scram_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>

#include "protocol/base64.h"

namespace homefs {
namespace {

constexpr std::string_view kVerifierPrefix = "SCRAM-SHA-256$";

const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw_out(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

Sha256Digest sha256(std::span<const std::byte> bytes) {
  Sha256Digest digest;
  SHA256(raw(bytes), bytes.size(), raw_out(digest));
  return digest;
}

Sha256Digest exclusive_or(const Sha256Digest& one, const Sha256Digest& other) {
  Sha256Digest result;
  std::transform(one.begin(), one.end(), other.begin(), result.begin(), std::bit_xor<>());
  return result;
}

/// Bytes of the UTF-8 sequence that `text` begins with, 0 if it is none; and its code point.
std::size_t utf8_length(std::string_view text, std::uint32_t& code) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) {
    code = byte(0);
    return 1;
  }
  const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  code = byte(0) & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  return code < kLeast[length] || code > 0x10ffff || is_surrogate ? 0 : length;
}

std::optional<Sha256Digest> digest_of_base64(std::string_view text) {
  const auto bytes = from_base64(text);
  if (!bytes || bytes->size() != sizeof(Sha256Digest)) return std::nullopt;
  Sha256Digest digest;
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

/// Cuts `text` at the first `separator`: what stood before it; nothing when there is none.
std::optional<std::string_view> cut(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(0, end);
  text.remove_prefix(end + 1);
  return before;
}

}  // namespace

std::string ScramVerifier::to_string() const {
  return std::string(kVerifierPrefix) + std::to_string(iterations) + ":" + to_base64(salt) + "$" +
         to_base64(stored_key) + ":" + to_base64(server_key);
}

Result<ScramVerifier> ScramVerifier::parse(std::string_view text) {
  const auto bad = fail(Status::kInvalid, "not a SCRAM-SHA-256 verifier");
  if (!text.starts_with(kVerifierPrefix) || text.size() > kVerifierBytesMax) return bad;
  std::string_view rest = text.substr(kVerifierPrefix.size());
  const auto iterations = cut(rest, ':');
  const auto salt_text = cut(rest, '$');
  const auto stored_text = cut(rest, ':');
  if (!iterations || !salt_text || !stored_text) return bad;
  ScramVerifier verifier;
  const auto [end, error] = std::from_chars(
      iterations->data(), iterations->data() + iterations->size(), verifier.iterations);
  const auto salt = from_base64(*salt_text);
  const auto stored_key = digest_of_base64(*stored_text);
  const auto server_key = digest_of_base64(rest);
  if (error != std::errc() || !salt || salt->empty() || salt->size() > kScramSaltBytesMax ||
      !stored_key || !server_key || verifier.iterations < kScramIterationsMin ||
      verifier.iterations > kScramIterationsMax) {
    return bad;
  }
  verifier.salt = *salt;
  verifier.stored_key = *stored_key;
  verifier.server_key = *server_key;
  if (verifier.to_string() != text) return bad;  // "+4096", "04096"
  return verifier;
}

Result<void> check_password(std::string_view password) {
  if (password.empty()) return fail(Status::kInvalid, "the password is empty");
  if (password.size() > kPasswordBytesMax) {
    return fail(Status::kInvalid, "the password is longer than 1024 bytes");
  }
  while (!password.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = utf8_length(password, code);
    if (length == 0) return fail(Status::kInvalid, "the password is not UTF-8");
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
      return fail(Status::kInvalid, "the password has a control character");
    }
    password.remove_prefix(length);
  }
  return {};
}

ScramKeys derive_scram_keys(std::string_view password, std::uint32_t iterations,
                            std::span<const std::byte> salt) {
  HOMEFS_CHECK(iterations > 0 && iterations <= kScramIterationsMax);
  HOMEFS_CHECK(!salt.empty() && salt.size() <= kScramSaltBytesMax);
  Sha256Digest salted;
  const int done = PKCS5_PBKDF2_HMAC(
      password.data(), static_cast<int>(password.size()), raw(salt), static_cast<int>(salt.size()),
      static_cast<int>(iterations), EVP_sha256(), static_cast<int>(salted.size()), raw_out(salted));
  HOMEFS_CHECK(done == 1);
  ScramKeys keys;
  keys.client_key = hmac_sha256(salted, "Client Key");
  keys.stored_key = sha256(keys.client_key);
  keys.server_key = hmac_sha256(salted, "Server Key");
  OPENSSL_cleanse(salted.data(), salted.size());
  return keys;
}

ScramVerifier make_verifier_with_salt(std::string_view password, std::uint32_t iterations,
                                      std::span<const std::byte> salt) {
  ScramKeys keys = derive_scram_keys(password, iterations, salt);
  OPENSSL_cleanse(keys.client_key.data(), keys.client_key.size());
  return {iterations, {salt.begin(), salt.end()}, keys.stored_key, keys.server_key};
}

Result<ScramVerifier> make_verifier(std::string_view password, std::uint32_t iterations) {
  HOMEFS_CHECK(iterations >= kScramIterationsMin);
  if (auto good = check_password(password); !good) return std::unexpected(good.error());
  std::array<std::byte, kScramSaltBytes> salt;
  fill_random(salt);
  return make_verifier_with_salt(password, iterations, salt);
}

std::string prehash_md5(std::string_view password) {
  std::array<std::byte, 16> digest;
  unsigned length = 0;
  const int done =
      EVP_Digest(password.data(), password.size(), raw_out(digest), &length, EVP_md5(), nullptr);
  HOMEFS_CHECK(done == 1 && length == digest.size());
  return to_hex(digest);
}

Sha256Digest scram_client_proof(const ScramKeys& keys, std::string_view auth_message) {
  return exclusive_or(keys.client_key, hmac_sha256(keys.stored_key, auth_message));
}

Sha256Digest scram_server_signature(const Sha256Digest& server_key, std::string_view auth_message) {
  return hmac_sha256(server_key, auth_message);
}

bool is_client_proof(const Sha256Digest& proof, const Sha256Digest& stored_key,
                     std::string_view auth_message) {
  const Sha256Digest client_key = exclusive_or(proof, hmac_sha256(stored_key, auth_message));
  return are_equal(sha256(client_key), stored_key);
}

Sha256Digest resume_proof(const SessionSecret& secret, const ChannelBinding& binding,
                          ConnectionKind kind) {
  std::string text(reinterpret_cast<const char*>(binding.data()), binding.size());
  text += kind == ConnectionKind::kControl ? "control" : "bulk";
  return hmac_sha256(secret, text);
}

bool are_equal(std::span<const std::byte> one, std::span<const std::byte> other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

void fill_random(std::span<std::byte> bytes) {
  // Without randomness nothing may go on; OpenSSL fails only when the kernel has none.
  HOMEFS_CHECK(RAND_bytes(raw_out(bytes), static_cast<int>(bytes.size())) == 1);
}

Sha256Digest hmac_sha256(std::span<const std::byte> key, std::string_view text) {
  Sha256Digest digest;
  unsigned length = 0;
  const unsigned char* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                   raw_out(digest), &length);
  HOMEFS_CHECK(done != nullptr && length == digest.size());
  return digest;
}

}  // namespace homefs
