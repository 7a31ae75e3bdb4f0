// What homefsd.json says: every setting of the server, with its default.
//
// Described for administrators in homefsd.json(5); config/homefsd.json.sample shows each key with
// its default, and a test holds the three together.
//
// Executor: a plain value, read at the start and at each SIGHUP. Blocks: load() reads a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/limits.h"
#include "protocol/result.h"

namespace homefs {

/// Where the server listens. "::" takes IPv4 as well.
struct ListenConfig {
  std::vector<std::string> addresses{"::"};  ///< Numeric IPv4 or IPv6 addresses, at least one.
  std::uint16_t port = kDefaultPort;
};

/// The server's identity. Where both files are missing they are made at the first start.
struct TlsConfig {
  std::filesystem::path key_file;          ///< Default: <data_dir>/server.key.
  std::filesystem::path certificate_file;  ///< Default: <data_dir>/server.crt.
};

struct LoginConfig {
  /// Whether a stranger may learn that a name does not exist (701 instead of 702).
  bool reveal_unknown_users = false;
  /// Failed logins of one user or from one address until further ones are refused for a while.
  std::uint32_t failures_before_lockout = 10;
  std::chrono::seconds lockout{60};
  /// PBKDF2 rounds of new SCRAM verifiers: what each guess at a stolen accounts.ini costs. 600,000
  /// is OWASP's figure of 2023 for PBKDF2-HMAC-SHA-256. A client pays it once a login by password
  /// (about 0.2 s), and not at all with a device token.
  std::uint32_t scram_iterations = 600'000;
  /// TLS handshakes and logins under way at once; further connections wait in the backlog.
  std::uint32_t handshakes_max = 64;
};

struct SessionConfig {
  /// How long a session without a connection is kept for its client to come back.
  std::chrono::seconds linger = kSessionLingerDefault;
  std::uint32_t sessions_max = 16'384;
  /// Bulk connections of one session; more than kBulkConnectionsMax count as that.
  std::uint32_t bulk_connections_max = 4;
};

enum class LogLevel { kError, kWarn, kInfo, kDebug, kTrace };
enum class LogTarget { kStderr, kJournal, kFile };

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogTarget to = LogTarget::kStderr;
  std::filesystem::path file;  ///< Set if and only if `to` is kFile.
};

struct ServerConfig {
  static constexpr std::uint32_t kScramIterationsMin = 100'000;
  static constexpr std::uint32_t kScramIterationsMax = 10'000'000;

  ListenConfig listen;
  std::filesystem::path data_dir = "/var/lib/homefs";  ///< SQLite, key, certificate, sessions.
  std::filesystem::path homes_dir;                     ///< Default: <data_dir>/homes.
  std::filesystem::path accounts_file;                 ///< Default: accounts.ini beside the json.
  TlsConfig tls;
  LoginConfig login;
  SessionConfig session;
  std::chrono::seconds keepalive =
      kKeepAliveDefault;         ///< A silent connection is asked for a sign of life.
  std::uint32_t io_threads = 0;  ///< 0 = as many as the machine suggests.
  LogConfig log;

  /// Reads the file. Relative paths in it count from its folder; all paths of the result are
  /// absolute. Errors: those of opening it (kNoSuchFile, kAccessDenied), kConfigError.
  [[nodiscard]] static Result<ServerConfig> load(const std::filesystem::path& path);

  /// The same from memory. `file_name` is for messages; relative paths count from `folder`.
  [[nodiscard]] static Result<ServerConfig> parse(std::string_view text, std::string_view file_name,
                                                  const std::filesystem::path& folder);
};

}  // namespace homefs
