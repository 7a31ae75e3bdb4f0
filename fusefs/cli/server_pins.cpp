#include "fusefs/cli/server_pins.h"

#include <algorithm>
#include <chrono>

#include "config/config_error.h"
#include "config/known_servers.h"
#include "fusefs/cli/exit_status.h"
#include "fusefs/cli/terminal.h"
#include "protocol/base64.h"

namespace homefs {
namespace {

constexpr std::string_view kTlsPrefix = "SHA256:";

std::string fingerprint_text(const ServerKeyHash& hash) {
  std::string text = std::string(kTlsPrefix) + to_base64(hash);
  while (text.back() == '=') text.pop_back();
  return text;
}

Result<ServerKeyHash> parse_fingerprint(std::string_view text) {
  if (!text.starts_with(kTlsPrefix)) return parse_key_hash(text);
  std::string base64(text.substr(kTlsPrefix.size()));
  while (base64.size() % 4 != 0) base64 += '=';
  const auto bytes = from_base64(base64);
  ServerKeyHash hash{};
  if (!bytes || bytes->size() != hash.size()) {
    return fail(Status::kInvalid, "expected a key as SHA256:... , found " + shown(text));
  }
  std::ranges::copy(*bytes, hash.begin());
  return hash;
}

}  // namespace

Result<std::string> normalize_fingerprint(std::string_view text) {
  const auto hash = parse_fingerprint(text);
  if (!hash) return std::unexpected(hash.error());
  return fingerprint_text(*hash);
}

Result<std::string> pinned_fingerprint(const ClientPaths& paths, const Target& target) {
  const auto servers = KnownServers::load(paths.known_servers_file());
  if (!servers) return std::unexpected(servers.error());
  const KnownServer* known = servers->find(target.server());
  return known == nullptr ? std::string() : fingerprint_text(known->key);
}

Result<> remember_server(const ClientPaths& paths, const Target& target,
                         const std::string& fingerprint) {
  const auto key = parse_fingerprint(fingerprint);
  if (!key) return std::unexpected(key.error());
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return edit_known_servers(paths.known_servers_file(), [&](KnownServers& servers) -> Result<> {
    if (servers.find(target.server()) != nullptr) return {};
    return servers.add({.server = target.server(), .key = *key, .first_seen = now});
  });
}

std::string explain_connect_error(const Error& error, const Target& target,
                                  const ClientPaths& paths) {
  const std::string server = target.server();
  const std::string login = "homefs login " + target.text();
  switch (error.status) {
    case Status::kServerKeyUnknown:
      return "the key of " + server + " is not known (" + error.context + "): run \"" + login +
             "\" to see and accept it, or give --pin or --accept-new-server";
    case Status::kServerKeyChanged:
      return "THE KEY OF " + server + " HAS CHANGED (" + error.context +
             "): somebody may be listening in. Ask its administrator; if the change is right, "
             "remove the server's line from " +
             paths.known_servers_file().string() + " (or correct --pin) and log in again";
    case Status::kLoginRefused:
    case Status::kUnknownUser:
      return server + " refuses " + target.user + ": " + error.message() +
             "; check the name and the password, or run \"" + login + "\" for a new token";
    case Status::kNotLoggedIn:
      return text_for_person(error);
    case Status::kAccountDisabled:
      return server + " refuses " + target.user + ": " + error.message();
    case Status::kLockedOut:
      return server + " refuses " + target.user + " after too many failed logins; try " +
             (error.context.empty() ? "again later" : error.context);
    case Status::kTooManySessions:
      return server + " takes no more sessions: " + error.message() + "; try again later";
    case Status::kVersionMismatch:
      return server + ": " + error.message() + "; update the older of the two";
    default:
      if (exit_status_of(error) != ExitStatus::kNoConnection) {
        return server + ": " + text_for_person(error);
      }
      return "no connection to " + server + ": " + text_for_person(error) +
             "; check the name, the port and the network";
  }
}

}  // namespace homefs
