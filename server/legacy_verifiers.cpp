#include "server/legacy_verifiers.h"

#include <span>

namespace homefs {

std::optional<ScramVerifier> LegacyVerifiers::find(const std::string& account,
                                                   const std::string& md5) {
  const auto entries = entries_.lock();
  const auto found = entries->find(account);
  if (found == entries->end() || found->second.md5 != md5) return std::nullopt;
  return found->second.verifier;
}

ScramVerifier LegacyVerifiers::make(const std::string& account, const std::string& md5,
                                    std::uint32_t iterations) {
  const Sha256Digest salt = hmac_sha256(secret_, "legacy salt of " + account);
  ScramVerifier verifier = make_verifier_with_salt(
      md5, iterations, std::span<const std::byte>(salt).first(kScramSaltBytes));
  (*entries_.lock())[account] = Entry{md5, verifier};
  return verifier;
}

}  // namespace homefs
