// Device tokens: what lets a device log in without the password until it is revoked.
//
// One file each in <config>/tokens, 0600, in a folder of 0700. A token is opaque here: one line of
// printable ASCII. A file that others could read is refused rather than used, as ssh does with
// keys.
//
// Owner: the command line and the mount. Executor: thread-safe (no state). Blocks: on the disk.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "config/target.h"
#include "protocol/result.h"

namespace homefs {

inline constexpr std::size_t kTokenBytesMax = 4096;

class TokenStore {
 public:
  explicit TokenStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Errors: kInvalid for a bad name, kNoSuchFile, kAccessDenied if others can read the file,
  /// kConfigError if it does not hold a token.
  [[nodiscard]] Result<std::string> load(std::string_view name) const;
  /// Makes the folder and the file, or replaces it. Errors: kInvalid for a bad name or token.
  [[nodiscard]] Result<> save(std::string_view name, std::string_view token) const;
  /// Errors: kInvalid, kNoSuchFile.
  [[nodiscard]] Result<> remove(std::string_view name) const;

 private:
  [[nodiscard]] Result<std::filesystem::path> file_of(std::string_view name) const;

  std::filesystem::path folder_;
};

/// The name of the token of a user on a server: "alice@files.example.org_7070". Two different
/// targets have different names; the subdir plays no part.
[[nodiscard]] std::string token_name(const Target& target);

/// 1 to 200 of a-z, A-Z, 0-9, and ".@%_-", not beginning with '.' or '-'. Errors: kInvalid.
[[nodiscard]] Result<> check_token_name(std::string_view name);

}  // namespace homefs
