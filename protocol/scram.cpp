#include "protocol/scram.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "protocol/base64.h"

namespace homefs {
namespace {

constexpr std::string_view kGs2Header = "p=tls-exporter,,";
constexpr std::size_t kNonceBytes = 18;  // 24 characters, 144 bits
constexpr std::size_t kNonceTextMin = 16;
constexpr std::size_t kNonceTextMax = 128;

std::unexpected<Error> not_scram(const char* what) {
  return fail(Status::kProtocolError, std::string("SCRAM: ") + what);
}

std::string make_nonce() {
  std::array<std::byte, kNonceBytes> bytes;
  fill_random(bytes);
  return to_base64(bytes);
}

bool is_nonce(std::string_view text) {
  const auto is_printable = [](char c) { return c > ' ' && c < '\x7f' && c != ','; };
  return text.size() >= kNonceTextMin && text.size() <= kNonceTextMax &&
         std::all_of(text.begin(), text.end(), is_printable);
}

/// "r=abc": takes the attribute of this name off the front of `text`, up to the next comma or the
/// end. Nothing when `text` begins with something else.
std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
  if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
  const std::size_t end = std::min(text.find(','), text.size());
  const std::string_view value = text.substr(2, end - 2);
  text.remove_prefix(std::min(end + 1, text.size()));
  return value;
}

Result<void> check_user(std::string_view user) {
  if (user.size() > kUserBytesMax || !check_password(user)) {
    return fail(Status::kInvalid, "no account can have this user name");
  }
  return {};
}

std::string escape_user(std::string_view user) {
  std::string text;
  for (const char c : user) {
    if (c == ',') {
      text += "=2C";
    } else if (c == '=') {
      text += "=3D";
    } else {
      text += c;
    }
  }
  return text;
}

std::optional<std::string> unescape_user(std::string_view text) {
  std::string user;
  while (!text.empty()) {
    if (text[0] != '=') {
      user += text[0];
      text.remove_prefix(1);
      continue;
    }
    if (!text.starts_with("=2C") && !text.starts_with("=3D")) return std::nullopt;
    user += text[2] == 'C' ? ',' : '=';
    text.remove_prefix(3);
  }
  return user;
}

/// The c= attribute: the GS2 header and what the two ends of the connection alone know.
std::string binding_attribute(const ChannelBinding& binding) {
  std::vector<std::byte> bytes;
  for (const char c : kGs2Header) bytes.push_back(static_cast<std::byte>(c));
  bytes.insert(bytes.end(), binding.begin(), binding.end());
  return to_base64(bytes);
}

std::optional<Sha256Digest> take_digest(std::string_view& text, char name) {
  const auto value = take_attribute(text, name);
  const auto bytes = value ? from_base64(*value) : std::nullopt;
  if (!bytes || bytes->size() != sizeof(Sha256Digest)) return std::nullopt;
  Sha256Digest digest;
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

struct ServerFirst {
  std::string_view nonce;
  std::vector<std::byte> salt;
  std::uint32_t iterations = 0;
};

Result<ServerFirst> parse_server_first(std::string_view text) {
  const auto nonce = take_attribute(text, 'r');
  const auto salt_text = take_attribute(text, 's');
  const auto iterations = take_attribute(text, 'i');
  const auto salt = salt_text ? from_base64(*salt_text) : std::nullopt;
  if (!nonce || !is_nonce(*nonce) || !salt || salt->empty() || salt->size() > kScramSaltBytesMax ||
      !iterations || !text.empty()) {
    return not_scram("the server's first message is bad");
  }
  ServerFirst first{*nonce, *salt, 0};
  const char* end = iterations->data() + iterations->size();
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): `end` is its size
  const auto parsed = std::from_chars(iterations->data(), end, first.iterations);
  if (parsed.ec != std::errc() || parsed.ptr != end || first.iterations < kScramIterationsMin ||
      first.iterations > kScramIterationsMax) {
    return not_scram("the server's iterations are out of range");
  }
  return first;
}

std::vector<std::byte> derived_salt(std::span<const std::byte> secret, std::string_view name) {
  const Sha256Digest digest = hmac_sha256(secret, "salt:" + std::string(name));
  return {digest.begin(), digest.begin() + kScramSaltBytes};
}

}  // namespace

// --- client ------------------------------------------------------------------------------------

Result<ScramClient> ScramClient::make(std::string_view user, std::string_view password,
                                      const ChannelBinding& binding) {
  if (auto good = check_user(user); !good) return std::unexpected(good.error());
  if (auto good = check_password(password); !good) return std::unexpected(good.error());
  ScramClient client;
  client.password_ = password;
  client.nonce_ = make_nonce();
  client.first_bare_ = "n=" + escape_user(user) + ",r=" + client.nonce_;
  client.binding_ = binding_attribute(binding);
  return client;
}

ScramClient::~ScramClient() { OPENSSL_cleanse(password_.data(), password_.size()); }

std::string ScramClient::first_message() const { return std::string(kGs2Header) + first_bare_; }

Result<std::string> ScramClient::final_message(std::string_view server_first, bool is_prehashed) {
  const auto first = parse_server_first(server_first);
  if (!first) return std::unexpected(first.error());
  if (!first->nonce.starts_with(nonce_) || first->nonce.size() < nonce_.size() + kNonceTextMin) {
    return not_scram("the server's nonce does not continue ours");
  }
  std::string message = "c=" + binding_ + ",r=" + std::string(first->nonce);
  const std::string auth_message = first_bare_ + "," + std::string(server_first) + "," + message;
  std::string secret = is_prehashed ? prehash_md5(password_) : password_;
  ScramKeys keys = derive_scram_keys(secret, first->iterations, first->salt);
  OPENSSL_cleanse(secret.data(), secret.size());
  server_signature_ = scram_server_signature(keys.server_key, auth_message);
  has_signature_ = true;
  message += ",p=" + to_base64(scram_client_proof(keys, auth_message));
  OPENSSL_cleanse(&keys, sizeof(keys));
  return message;
}

Result<void> ScramClient::check_server_final(std::string_view server_final) const {
  HOMEFS_CHECK(has_signature_);
  const auto signature = take_digest(server_final, 'v');
  if (!signature || !server_final.empty()) return not_scram("the server's final message is bad");
  if (!are_equal(*signature, server_signature_)) {
    return fail(Status::kServerKeyChanged, "the server does not know this account");
  }
  return {};
}

// --- server ------------------------------------------------------------------------------------

ScramAccount fake_account(std::span<const std::byte> secret, std::string_view name,
                          std::uint32_t iterations, unsigned prehashed_per_256) {
  const std::string text(name);
  ScramAccount account;
  account.verifier.iterations = iterations;
  account.verifier.salt = derived_salt(secret, name);
  account.verifier.stored_key = hmac_sha256(secret, "stored-key:" + text);
  account.verifier.server_key = hmac_sha256(secret, "server-key:" + text);
  const Sha256Digest place = hmac_sha256(secret, "prehashed:" + text);
  account.is_prehashed = std::to_integer<unsigned>(place[0]) < prehashed_per_256;
  account.is_known = false;
  return account;
}

ScramAccount prehashed_account(std::span<const std::byte> secret, std::string_view name,
                               std::string_view md5, std::uint32_t iterations) {
  return {make_verifier_with_salt(md5, iterations, derived_salt(secret, name)), true, true};
}

Result<ScramServer> ScramServer::begin(std::string_view client_first,
                                       const ChannelBinding& binding) {
  if (!client_first.starts_with(kGs2Header)) {
    return not_scram("only SCRAM-SHA-256-PLUS with tls-exporter is spoken, without authzid");
  }
  ScramServer server;
  server.first_bare_ = client_first.substr(kGs2Header.size());
  std::string_view rest = server.first_bare_;
  const auto user_text = take_attribute(rest, 'n');
  const auto nonce = take_attribute(rest, 'r');
  const auto user = user_text ? unescape_user(*user_text) : std::nullopt;
  if (!user || !check_user(*user) || !nonce || !is_nonce(*nonce) || !rest.empty()) {
    return not_scram("the client's first message is bad");
  }
  server.user_ = *user;
  server.nonce_ = *nonce;
  server.binding_ = binding_attribute(binding);
  return server;
}

std::string ScramServer::first_reply(ScramAccount account) {
  HOMEFS_CHECK(server_first_.empty());
  account_ = std::move(account);
  nonce_ += make_nonce();
  server_first_ = "r=" + nonce_ + ",s=" + to_base64(account_.verifier.salt) +
                  ",i=" + std::to_string(account_.verifier.iterations);
  return server_first_;
}

Result<std::string> ScramServer::finish(std::string_view client_final) {
  HOMEFS_CHECK(!server_first_.empty());
  std::string_view rest = client_final;
  const auto binding = take_attribute(rest, 'c');
  const auto nonce = take_attribute(rest, 'r');
  const std::size_t unsigned_bytes = client_final.size() - rest.size();
  const auto proof = take_digest(rest, 'p');
  if (!binding || !nonce || *nonce != nonce_ || !proof || !rest.empty()) {
    return not_scram("the client's final message is bad");
  }
  // "c=...,r=...", without the comma before the proof.
  const std::string_view without_proof = client_final.substr(0, unsigned_bytes - 1);
  const std::string auth_message =
      first_bare_ + "," + server_first_ + "," + std::string(without_proof);
  // All is computed before anything is decided: the time tells nothing about the reason.
  const bool is_proven = is_client_proof(*proof, account_.verifier.stored_key, auth_message);
  const bool is_our_connection = are_equal(bytes_of(*binding), bytes_of(binding_));
  const Sha256Digest signature = scram_server_signature(account_.verifier.server_key, auth_message);
  if (!(is_proven & is_our_connection & account_.is_known)) return fail(Status::kLoginRefused);
  return "v=" + to_base64(signature);
}

}  // namespace homefs
