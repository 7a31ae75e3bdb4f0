#include "config/target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "config/accounts.h"
#include "config/config_error.h"
#include "protocol/name.h"

namespace homefs {
namespace {

constexpr std::size_t kHostBytesMax = 253;  // RFC 1035: 255 bytes on the wire
constexpr std::size_t kLabelBytesMax = 63;
constexpr std::size_t kZoneBytesMax = 32;

bool is_numeric(const std::string& text, int family) {
  in6_addr parsed;
  return inet_pton(family, text.c_str(), &parsed) == 1;
}

bool is_zone(std::string_view text) {
  return !text.empty() && text.size() <= kZoneBytesMax && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
  });
}

// "2001:db8::1" or "fe80::1%eth0".
bool is_ipv6(std::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent != text.npos && !is_zone(text.substr(percent + 1))) return false;
  return is_numeric(std::string(text.substr(0, percent)), AF_INET6);
}

// A part of a host name between dots. Underscores are no part of the standard, but of many a LAN.
bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= kLabelBytesMax && text.front() != '-' &&
         text.back() != '-' && std::ranges::all_of(text, [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
         });
}

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > kHostBytesMax) return false;
  if (text.back() == '.') text.remove_suffix(1);  // "example.org." is the same, said absolutely.
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::unexpected<Error> refuse(std::string what) { return fail(Status::kInvalid, std::move(what)); }

// The host and what follows it in "HOST:PORT", "[IPV6]:PORT".
struct HostAndRest {
  std::string_view host;
  std::string_view rest;
};

Result<HostAndRest> split_host(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t closing = text.find(']');
    if (closing == text.npos) return refuse("no ] after the address in " + shown(text));
    const std::string_view host = text.substr(1, closing - 1);
    if (!is_ipv6(host)) return refuse("expected an IPv6 address in brackets, found " + shown(host));
    return HostAndRest{host, text.substr(closing + 1)};
  }
  const std::size_t colon = text.find(':');
  if (colon != text.npos && text.find(':', colon + 1) != text.npos) {
    return refuse("an IPv6 address needs brackets around it: [" + std::string(shown(text)) + "]");
  }
  return HostAndRest{text.substr(0, colon), colon == text.npos ? "" : text.substr(colon)};
}

}  // namespace

std::string Target::server() const {
  const bool needs_brackets = host.find(':') != std::string::npos;
  return (needs_brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Target::text() const {
  std::string out = user.empty() ? "" : user + "@";
  const std::string host_and_port = server();
  out += port == kDefaultPort ? host_and_port.substr(0, host_and_port.rfind(':')) : host_and_port;
  if (!subdir.empty()) out += "/" + subdir;
  return out;
}

Result<std::string> check_host(std::string_view text) {
  if (!is_host_name(text) && !is_ipv6(text)) {
    return refuse("expected a host name or a numeric address, found " + shown(text));
  }
  // Names are the same in either case. The zone of an IPv6 address, an interface's name, is not.
  std::string host(text);
  const std::size_t zone = std::min(host.find('%'), host.size());
  std::transform(host.begin(), host.begin() + static_cast<std::ptrdiff_t>(zone), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return host;
}

Result<std::string> check_subdir(std::string_view text) {
  std::string subdir;
  while (!text.empty()) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    const std::string_view part = text.substr(0, slash);
    text.remove_prefix(std::min(slash + 1, text.size()));
    if (part.empty()) continue;
    if (const Result<Name> name = Name::make(part); !name) {
      return fail(name.error().status, "the folder " + shown(part) + " cannot be part of a path");
    }
    subdir += (subdir.empty() ? "" : "/") + std::string(part);
  }
  return subdir;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc{} && stop == text.data() + text.size() && port > 0) return port;
  return refuse("expected a port from 1 to 65535, found " + shown(text));
}

Result<Target> parse_target(std::string_view text) {
  Target target;
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  const Result<std::string> subdir = check_subdir(text.substr(slash));
  if (!subdir) return std::unexpected(subdir.error());
  target.subdir = *subdir;

  if (const std::size_t at = authority.rfind('@'); at != authority.npos) {
    target.user = authority.substr(0, at);
    if (Result<> checked = check_account_name(target.user); !checked) {
      return std::unexpected(checked.error());
    }
    authority.remove_prefix(at + 1);
  }
  const Result<HostAndRest> parts = split_host(authority);
  if (!parts) return std::unexpected(parts.error());
  Result<std::string> host = check_host(parts->host);
  if (!host) return std::unexpected(host.error());
  target.host = std::move(*host);

  std::string_view rest = parts->rest;
  if (rest.empty() || rest == ":") return target;
  if (rest.front() != ':') return refuse("expected :PORT after the address, found " + shown(rest));
  const Result<std::uint16_t> port = parse_port(rest.substr(1));
  if (!port) return std::unexpected(port.error());
  target.port = *port;
  return target;
}

}  // namespace homefs
