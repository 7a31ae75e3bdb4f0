// The arithmetic of SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677), and what else a login computes
// from secrets. The exchange itself is in scram.h.
//
// Executor: thread-safe. Blocks: never, but derive_scram_keys() and make_verifier() work for tens
// to hundreds of milliseconds (that is their purpose): not on a thread that serves others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/login_messages.h"
#include "protocol/result.h"
#include "protocol/tls.h"

namespace homefs {

using Sha256Digest = std::array<std::byte, 32>;

/// PBKDF2 rounds: RFC 7677's least; what a client lets a server demand of it (about 3 s).
inline constexpr std::uint32_t kScramIterationsMin = 4096;
inline constexpr std::uint32_t kScramIterationsMax = 10'000'000;
inline constexpr std::uint32_t kScramIterationsDefault = 600'000;
inline constexpr std::size_t kScramSaltBytes = 16;     ///< that we make
inline constexpr std::size_t kScramSaltBytesMax = 64;  ///< that we take
inline constexpr std::size_t kPasswordBytesMax = 1024;

/// What a server keeps to check a password: it proves the password, and does not tell it.
struct ScramVerifier {
  std::uint32_t iterations = 0;
  std::vector<std::byte> salt;
  Sha256Digest stored_key{};
  Sha256Digest server_key{};

  /// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", the last three in base64.
  [[nodiscard]] std::string to_string() const;
  /// kInvalid for anything that to_string() would not say, or outside of the limits above.
  static Result<ScramVerifier> parse(std::string_view text);

  bool operator==(const ScramVerifier&) const = default;
};

/// Any UTF-8 of 1 to kPasswordBytesMax bytes without control characters. kInvalid otherwise.
Result<void> check_password(std::string_view password);

/// With a random salt. Errors: those of check_password().
/// Precondition: iterations within the limits above.
Result<ScramVerifier> make_verifier(std::string_view password, std::uint32_t iterations);
/// With this salt, of 1 to kScramSaltBytesMax bytes.
ScramVerifier make_verifier_with_salt(std::string_view password, std::uint32_t iterations,
                                      std::span<const std::byte> salt);

/// The MD5 of a password as the old system stored it, 32 hex digits in lower case. Stands in for
/// the password in the exchange with a server that has nothing else (AuthStartReply::is_prehashed).
std::string prehash_md5(std::string_view password);

struct ScramKeys {
  Sha256Digest client_key;
  Sha256Digest stored_key;
  Sha256Digest server_key;
};
ScramKeys derive_scram_keys(std::string_view password, std::uint32_t iterations,
                            std::span<const std::byte> salt);
Sha256Digest scram_client_proof(const ScramKeys& keys, std::string_view auth_message);
Sha256Digest scram_server_signature(const Sha256Digest& server_key, std::string_view auth_message);
/// True when `proof` was made with the client key of `stored_key`. In constant time.
bool is_client_proof(const Sha256Digest& proof, const Sha256Digest& stored_key,
                     std::string_view auth_message);

/// What proves a session on a new connection: HMAC-SHA-256(secret, binding || "control" or "bulk").
/// It is of no use on any other connection.
Sha256Digest resume_proof(const SessionSecret& secret, const ChannelBinding& binding,
                          ConnectionKind kind);

/// In constant time.
bool are_equal(std::span<const std::byte> one, std::span<const std::byte> other);
void fill_random(std::span<std::byte> bytes);
Sha256Digest hmac_sha256(std::span<const std::byte> key, std::string_view text);

}  // namespace homefs
