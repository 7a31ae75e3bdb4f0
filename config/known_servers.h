// The servers whose keys this user has accepted: <config>/known_servers.
//
//   # host:port            key (SHA-256 of its SPKI)    first seen (UTC)
//   files.example.org:7070 sha256:<64 hex digits>       2026-02-07T12:00:00Z
//
// Written at the first login to a server, and edited by hand when a server got a new key. Comments
// and order survive.
//
// Owner: login and mount. Executor: one thread an object. Blocks: load and edit_known_servers, on
// the disk and on other writers.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace homefs {

/// SHA-256 of the server's public key, as the certificate's SubjectPublicKeyInfo in DER.
using ServerKeyHash = std::array<std::byte, 32>;

/// "sha256:" and 64 lower-case hexadecimal digits.
[[nodiscard]] std::string format_key_hash(const ServerKeyHash& hash);
/// Reads what format_key_hash() writes, digits of either case. Errors: kInvalid.
[[nodiscard]] Result<ServerKeyHash> parse_key_hash(std::string_view text);

struct KnownServer {
  std::string server;  ///< "host:port" as Target::server() writes it.
  ServerKeyHash key{};
  std::chrono::sys_seconds first_seen{};

  bool operator==(const KnownServer&) const = default;
};

class KnownServers {
 public:
  static constexpr std::size_t kBytesMax = 1024 * 1024;

  /// Errors: kConfigError with file and line. A broken line is an error and not skipped: a server
  /// that seems new would be accepted with any key.
  [[nodiscard]] static Result<KnownServers> parse(std::string_view text,
                                                  std::string_view file_name);
  /// A missing file is an empty one.
  [[nodiscard]] static Result<KnownServers> load(const std::filesystem::path& path);

  /// Null if that server is not known. Valid until the next change.
  [[nodiscard]] const KnownServer* find(std::string_view server) const;
  /// Errors: kExists, also with the same key; kInvalid if `server` is no "host:port".
  Result<> add(const KnownServer& server);
  /// Puts another key in place of the old one. Errors: kNoSuchFile if the server is not known.
  Result<> replace(const KnownServer& server);
  /// Errors: kNoSuchFile.
  Result<> remove(std::string_view server);

  [[nodiscard]] std::vector<KnownServer> all() const;
  [[nodiscard]] std::string text() const;

 private:
  struct Line {
    std::string raw;                    // With its end.
    std::optional<KnownServer> server;  // Nothing in comments and blank lines.
    int number = 0;
  };

  [[nodiscard]] std::vector<Line>::iterator line_of(std::string_view server);
  Result<> take_line(std::string_view raw, int number, std::string_view file_name);

  std::vector<Line> lines_;
};

/// Changes the file under a lock and atomically; makes it and its folder.
[[nodiscard]] Result<> edit_known_servers(const std::filesystem::path& path,
                                          const std::function<Result<>(KnownServers&)>& change);

}  // namespace homefs
