#include "config/server_config.h"

#include <arpa/inet.h>

#include "config/config_error.h"
#include "config/config_reader.h"
#include "config/json_value.h"
#include "config/text_file.h"

namespace homefs {
namespace {

constexpr std::size_t kAddressesMax = 16;
constexpr std::int64_t kDaySeconds = 24 * 60 * 60;

// A numeric address; an IPv6 one may name its interface ("fe80::1%eth0").
bool is_address(const std::string& text) {
  in6_addr parsed;
  if (inet_pton(AF_INET, text.c_str(), &parsed) == 1) return true;
  return inet_pton(AF_INET6, text.substr(0, text.find('%')).c_str(), &parsed) == 1;
}

void read_listen(ConfigReader& reader, ListenConfig& listen) {
  reader.texts("address", kAddressesMax, listen.addresses);
  reader.number("port", 1, 65535, listen.port);
  for (const std::string& address : listen.addresses) {
    if (is_address(address)) continue;
    reader.refuse("address", "expected a numeric IPv4 or IPv6 address, found " + shown(address));
  }
}

void read_tls(ConfigReader& reader, TlsConfig& tls) {
  reader.path("key_file", tls.key_file);
  reader.path("certificate_file", tls.certificate_file);
  // One of them alone would be paired with a self-made other half that cannot fit.
  if (reader.has("key_file") && !reader.has("certificate_file")) {
    reader.refuse("key_file", "expected certificate_file beside it");
  }
  if (reader.has("certificate_file") && !reader.has("key_file")) {
    reader.refuse("certificate_file", "expected key_file beside it");
  }
}

void read_login(ConfigReader& reader, LoginConfig& login) {
  reader.boolean("reveal_unknown_users", login.reveal_unknown_users);
  reader.number("failures_before_lockout", 1, 1'000'000, login.failures_before_lockout);
  reader.seconds("lockout_seconds", 1, kDaySeconds, login.lockout);
  reader.number("scram_iterations", ServerConfig::kScramIterationsMin,
                ServerConfig::kScramIterationsMax, login.scram_iterations);
  reader.number("handshakes_max", 1, 65'536, login.handshakes_max);
}

void read_session(ConfigReader& reader, SessionConfig& session) {
  reader.seconds("linger_seconds", 0, 30 * kDaySeconds, session.linger);
  reader.number("sessions_max", 1, 1'000'000, session.sessions_max);
  reader.number("bulk_connections_max", 1, 64, session.bulk_connections_max);
}

void read_log(ConfigReader& reader, LogConfig& log) {
  reader.choice("level", {"error", "warn", "info", "debug", "trace"}, log.level);
  reader.choice("to", {"stderr", "journal", "file"}, log.to);
  reader.path("file", log.file);
  if (log.to == LogTarget::kFile && !reader.has("file")) {
    reader.refuse("to", "expected file beside it, the path to log to");
  }
  if (log.to != LogTarget::kFile && reader.has("file")) {
    reader.refuse("file", R"(has no effect unless "to" is "file")");
  }
}

void read_all(ConfigReader& reader, ServerConfig& config) {
  reader.section("listen", [&](ConfigReader& listen) { read_listen(listen, config.listen); });
  reader.path("data_dir", config.data_dir);
  reader.path("homes_dir", config.homes_dir);
  reader.path("accounts_file", config.accounts_file);
  reader.section("tls", [&](ConfigReader& tls) { read_tls(tls, config.tls); });
  reader.section("login", [&](ConfigReader& login) { read_login(login, config.login); });
  reader.section("session", [&](ConfigReader& session) { read_session(session, config.session); });
  reader.seconds("keepalive_seconds", 1, 3600, config.keepalive);
  reader.number("io_threads", 0, 1024, config.io_threads);
  reader.section("log", [&](ConfigReader& log) { read_log(log, config.log); });
}

// The defaults that depend on other settings.
void fill_paths(ServerConfig& config, const std::filesystem::path& folder) {
  if (config.homes_dir.empty()) config.homes_dir = config.data_dir / "homes";
  if (config.accounts_file.empty()) config.accounts_file = folder / "accounts.ini";
  if (config.tls.key_file.empty()) {
    config.tls.key_file = config.data_dir / "server.key";
    config.tls.certificate_file = config.data_dir / "server.crt";
  }
}

}  // namespace

Result<ServerConfig> ServerConfig::load(const std::filesystem::path& path) {
  const Result<TextFile> file = read_text_file(path, kJsonBytesMax);
  if (!file) return std::unexpected(file.error());
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return fail_errno(error.value(), "find the folder of " + path.string());
  return parse(file->text, path.string(), absolute.lexically_normal().parent_path());
}

Result<ServerConfig> ServerConfig::parse(std::string_view text, std::string_view file_name,
                                         const std::filesystem::path& folder) {
  const Result<JsonValue> root = parse_json(text, file_name);
  if (!root) return std::unexpected(root.error());
  ServerConfig config;
  const ConfigFile file{std::string(file_name), folder};
  const Result<> read =
      read_config(*root, file, [&](ConfigReader& reader) { read_all(reader, config); });
  if (!read) return std::unexpected(read.error());
  fill_paths(config, folder);
  return config;
}

}  // namespace homefs
