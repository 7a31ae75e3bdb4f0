// Fuzzes what reads JSON, targets and known_servers: homefsd.json, profiles, the client's files.
//
// Beside not crashing: an accepted profile, target or list of servers reads back as what it is.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/known_servers.h"
#include "config/profile.h"
#include "config/server_config.h"
#include "config/size.h"
#include "config/target.h"

namespace homefs {
namespace {

// An error's text goes to a terminal and into the log.
void check_error(const Error& error) {
  HOMEFS_CHECK(!error.context.empty());
  HOMEFS_CHECK(error.context.find_first_of("\n\x1b") == std::string::npos);
}

void fuzz_server_config(std::string_view text) {
  const Result<ServerConfig> config = ServerConfig::parse(text, "homefsd.json", "/etc/homefs");
  if (!config) return check_error(config.error());
  HOMEFS_CHECK(config->listen.port > 0);
  HOMEFS_CHECK(!config->listen.addresses.empty());
  HOMEFS_CHECK(config->login.scram_iterations >= ServerConfig::kScramIterationsMin);
  HOMEFS_CHECK(config->data_dir.is_absolute() && config->homes_dir.is_absolute());
  HOMEFS_CHECK(config->accounts_file.is_absolute() && config->tls.key_file.is_absolute());
  HOMEFS_CHECK(config->log.file.empty() == (config->log.to != LogTarget::kFile));
}

void fuzz_profile(std::string_view text) {
  const Result<Profile> profile = Profile::parse("p", text, "p.json");
  if (!profile) return check_error(profile.error());
  const Result<Profile> again = Profile::parse("p", profile->text(), "p.json");
  HOMEFS_CHECK(again && *again == *profile);
}

void fuzz_target(std::string_view text) {
  const Result<Target> target = parse_target(text);
  if (!target) return check_error(target.error());
  const Result<Target> again = parse_target(target->text());
  HOMEFS_CHECK(again && *again == *target);
}

void fuzz_size(std::string_view text) {
  const Result<std::uint64_t> size = parse_size(text);
  if (!size) return check_error(size.error());
  HOMEFS_CHECK(*size <= kSizeMax && parse_size(format_size(*size)) == *size);
}

void fuzz_known_servers(std::string_view text) {
  const Result<KnownServers> servers = KnownServers::parse(text, "known_servers");
  if (!servers) return check_error(servers.error());
  HOMEFS_CHECK(servers->text() == text);
  KnownServers written;
  for (const KnownServer& server : servers->all()) HOMEFS_CHECK(written.add(server).has_value());
  const Result<KnownServers> again = KnownServers::parse(written.text(), "known_servers");
  HOMEFS_CHECK(again && again->all() == servers->all());
}

}  // namespace
}  // namespace homefs

// The first byte chooses the parser: 's'erver, 'p'rofile, 't'arget, si'z'e, 'k'nown servers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 's':
      homefs::fuzz_server_config(text);
      break;
    case 'p':
      homefs::fuzz_profile(text);
      break;
    case 't':
      homefs::fuzz_target(text);
      break;
    case 'z':
      homefs::fuzz_size(text);
      break;
    case 'k':
      homefs::fuzz_known_servers(text);
      break;
    default:
      return -1;  // Not worth keeping.
  }
  return 0;
}
