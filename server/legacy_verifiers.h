// SCRAM verifiers for accounts whose password is still stored as the MD5 of the old system: such an
// account logs in once by proving the MD5, and gets a verifier of its password then.
//
// They are made with as many rounds as all others, or a stranger could tell these accounts by their
// answers; that takes a good part of a second, so they are kept. The salts depend on the name and
// the server's secret only: the answer to a name stays the same.
//
// Owner: the server. Executor: thread-safe. Blocks: make(), for the rounds.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/scram_crypto.h"

namespace homefs {

class LegacyVerifiers {
 public:
  explicit LegacyVerifiers(std::vector<std::byte> secret) : secret_(std::move(secret)) {}

  /// The verifier of `md5` (32 hex digits) for the account, if it was made before.
  std::optional<ScramVerifier> find(const std::string& account, const std::string& md5);
  /// Makes it and keeps it.
  ScramVerifier make(const std::string& account, const std::string& md5, std::uint32_t iterations);

 private:
  struct Entry {
    std::string md5;
    ScramVerifier verifier;
  };

  const std::vector<std::byte> secret_;
  Guarded<std::unordered_map<std::string, Entry>> entries_;  // at most one an account
};

}  // namespace homefs
