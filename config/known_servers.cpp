#include "config/known_servers.h"

#include <time.h>

#include <algorithm>
#include <cctype>
#include <span>

#include "config/client_paths.h"
#include "config/config_error.h"
#include "config/target.h"
#include "config/text_file.h"

namespace homefs {
namespace {

constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::string_view kBlanks = " \t\r\n";
constexpr const char* kTimeFormat = "%Y-%m-%dT%H:%M:%SZ";
constexpr std::size_t kTimeBytes = sizeof "2026-02-07T12:00:00Z" - 1;
constexpr mode_t kFileMode = 0600;

// The fields of a line, separated by blanks.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  std::size_t at = line.find_first_not_of(kBlanks);
  while (at != line.npos) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return fields;
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

std::string format_time(std::chrono::sys_seconds time) {
  const time_t seconds = time.time_since_epoch().count();
  struct tm parts;
  std::array<char, 64> text;
  if (::gmtime_r(&seconds, &parts) == nullptr) return "1970-01-01T00:00:00Z";
  return {text.data(), ::strftime(text.data(), text.size(), kTimeFormat, &parts)};
}

std::optional<std::chrono::sys_seconds> parse_time(std::string_view text) {
  struct tm parts{};
  const std::string copy(text);
  const char* end = ::strptime(copy.c_str(), kTimeFormat, &parts);
  if (copy.size() != kTimeBytes || end != copy.c_str() + copy.size()) return std::nullopt;
  const std::chrono::sys_seconds time{std::chrono::seconds(::timegm(&parts))};
  // timegm() makes 31 February the 3rd of March; what does not come back as it was is no date.
  if (format_time(time) != text) return std::nullopt;
  return time;
}

// Whether `text` is what Target::server() writes of some target.
bool is_server(std::string_view text) {
  const Result<Target> target = parse_target(text);
  return target && target->server() == text;
}

std::string raw_line(const KnownServer& server) {
  return server.server + " " + format_key_hash(server.key) + " " + format_time(server.first_seen) +
         "\n";
}

}  // namespace

std::string format_key_hash(const ServerKeyHash& hash) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out(kHashPrefix);
  for (const std::byte byte : hash) {
    out += kHex[std::to_integer<unsigned>(byte >> 4)];
    out += kHex[std::to_integer<unsigned>(byte & std::byte{15})];
  }
  return out;
}

Result<ServerKeyHash> parse_key_hash(std::string_view text) {
  ServerKeyHash hash;
  const auto refused = [&] {
    return fail(Status::kInvalid,
                "expected sha256: and 64 hexadecimal digits, found " + shown(text));
  };
  if (text.size() != kHashPrefix.size() + 2 * hash.size() || !text.starts_with(kHashPrefix)) {
    return refused();
  }
  const std::string_view digits = text.substr(kHashPrefix.size());
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const auto high = hex_digit(digits[2 * i]);
    const auto low = hex_digit(digits[2 * i + 1]);
    if (!high || !low) return refused();
    hash[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return hash;
}

Result<KnownServers> KnownServers::parse(std::string_view text, std::string_view file_name) {
  KnownServers servers;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t length = std::min(text.find('\n'), text.size() - 1) + 1;
    if (Result<> taken = servers.take_line(text.substr(0, length), number, file_name); !taken) {
      return std::unexpected(taken.error());
    }
    text.remove_prefix(length);
  }
  return servers;
}

Result<> KnownServers::take_line(std::string_view raw, int number, std::string_view file_name) {
  const auto refuse = [&](std::string_view key, std::string_view what) -> Result<> {
    return std::unexpected(config_error({file_name, number, key}, what));
  };
  const std::vector<std::string_view> fields = fields_of(raw);
  if (fields.empty() || fields[0].starts_with('#')) {
    lines_.push_back({std::string(raw), std::nullopt, number});
    return {};
  }
  if (!is_server(fields[0])) return refuse("", "expected host:port, found " + shown(fields[0]));
  if (fields.size() != 3) {
    return refuse(fields[0], "expected host:port, sha256:KEY and a time, found " +
                                 std::to_string(fields.size()) + " fields");
  }
  const Result<ServerKeyHash> key = parse_key_hash(fields[1]);
  if (!key) return refuse(fields[0], key.error().context);
  const auto first_seen = parse_time(fields[2]);
  if (!first_seen) {
    return refuse(fields[0],
                  "expected a time such as 2026-02-07T12:00:00Z, found " + shown(fields[2]));
  }
  if (const auto first = line_of(fields[0]); first != lines_.end()) {
    return refuse(fields[0], "given twice, first in line " + std::to_string(first->number));
  }
  lines_.push_back(
      {std::string(raw), KnownServer{std::string(fields[0]), *key, *first_seen}, number});
  return {};
}

Result<KnownServers> KnownServers::load(const std::filesystem::path& path) {
  const Result<TextFile> file = read_text_file(path, kBytesMax);
  if (file) return parse(file->text, path.string());
  if (file.error().status == Status::kNoSuchFile) return KnownServers{};
  return std::unexpected(file.error());
}

const KnownServer* KnownServers::find(std::string_view server) const {
  for (const Line& line : lines_) {
    if (line.server && line.server->server == server) return &*line.server;
  }
  return nullptr;
}

Result<> KnownServers::add(const KnownServer& server) {
  if (!is_server(server.server)) {
    return fail(Status::kInvalid, "expected host:port, found " + shown(server.server));
  }
  if (find(server.server) != nullptr) return fail(Status::kExists, server.server);
  if (!lines_.empty() && !lines_.back().raw.ends_with('\n')) lines_.back().raw += '\n';
  lines_.push_back({raw_line(server), server, 0});
  return {};
}

Result<> KnownServers::replace(const KnownServer& server) {
  const auto line = line_of(server.server);
  if (line == lines_.end()) return fail(Status::kNoSuchFile, server.server);
  line->raw = raw_line(server);
  line->server = server;
  return {};
}

Result<> KnownServers::remove(std::string_view server) {
  const auto line = line_of(server);
  if (line == lines_.end()) return fail(Status::kNoSuchFile, std::string(server));
  lines_.erase(line);
  return {};
}

std::vector<KnownServer> KnownServers::all() const {
  std::vector<KnownServer> servers;
  for (const Line& line : lines_) {
    if (line.server) servers.push_back(*line.server);
  }
  return servers;
}

std::string KnownServers::text() const {
  std::string out;
  for (const Line& line : lines_) out += line.raw;
  return out;
}

std::vector<KnownServers::Line>::iterator KnownServers::line_of(std::string_view server) {
  return std::ranges::find_if(
      lines_, [&](const Line& line) { return line.server && line.server->server == server; });
}

Result<> edit_known_servers(const std::filesystem::path& path,
                            const std::function<Result<>(KnownServers&)>& change) {
  if (Result<> made = make_private_folder(path.parent_path()); !made) return made;
  const auto rewrite = [&](const std::string& text) -> Result<std::string> {
    Result<KnownServers> servers = KnownServers::parse(text, path.string());
    if (!servers) return std::unexpected(servers.error());
    if (Result<> changed = change(*servers); !changed) return std::unexpected(changed.error());
    std::string changed = servers->text();
    // Never write what could not be read again.
    if (const auto again = KnownServers::parse(changed, path.string()); !again) {
      return std::unexpected(again.error());
    }
    return changed;
  };
  return edit_text_file(path, KnownServers::kBytesMax, kFileMode, rewrite);
}

}  // namespace homefs
