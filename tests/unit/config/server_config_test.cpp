#include "config/server_config.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

Result<ServerConfig> parse(std::string_view text) {
  return ServerConfig::parse(text, "homefsd.json", "/etc/homefs");
}

TEST(ServerConfig, HasADefaultForEveryKey) {
  const Result<ServerConfig> config = parse("{}");
  ASSERT_TRUE(config) << config.error().context;
  EXPECT_EQ(config->listen.addresses, std::vector<std::string>{"::"});
  EXPECT_EQ(config->listen.port, 7070);
  EXPECT_EQ(config->data_dir, "/var/lib/homefs");
  EXPECT_EQ(config->homes_dir, "/var/lib/homefs/homes");
  EXPECT_EQ(config->accounts_file, "/etc/homefs/accounts.ini");
  EXPECT_EQ(config->tls.key_file, "/var/lib/homefs/server.key");
  EXPECT_EQ(config->tls.certificate_file, "/var/lib/homefs/server.crt");
  EXPECT_FALSE(config->login.reveal_unknown_users);
  EXPECT_EQ(config->login.failures_before_lockout, 10u);
  EXPECT_EQ(config->login.lockout, std::chrono::seconds(60));
  EXPECT_EQ(config->login.scram_iterations, 600'000u);
  EXPECT_EQ(config->login.handshakes_max, 64u);
  EXPECT_EQ(config->session.linger, std::chrono::seconds(600));
  EXPECT_EQ(config->session.sessions_max, 16'384u);
  EXPECT_EQ(config->session.bulk_connections_max, 4u);
  EXPECT_EQ(config->keepalive, std::chrono::seconds(10));
  EXPECT_EQ(config->io_threads, 0u);
  EXPECT_EQ(config->log.level, LogLevel::kInfo);
  EXPECT_EQ(config->log.to, LogTarget::kStderr);
  EXPECT_EQ(config->log.file, "");
}

TEST(ServerConfig, ReadsEveryKey) {
  const Result<ServerConfig> config = parse(R"({
    "listen": {"address": ["192.0.2.1", "fe80::1%eth0"], "port": 443},
    "data_dir": "state", "homes_dir": "/srv/homes", "accounts_file": "../users.ini",
    "tls": {"key_file": "k.pem", "certificate_file": "/c.pem"},
    "login": {"reveal_unknown_users": true, "failures_before_lockout": 3, "lockout_seconds": 5,
              "scram_iterations": 100000, "handshakes_max": 7},
    "session": {"linger_seconds": 0, "sessions_max": 9, "bulk_connections_max": 2},
    "keepalive_seconds": 30, "io_threads": 8,
    "log": {"level": "trace", "to": "file", "file": "log/d.log"}})");
  ASSERT_TRUE(config) << config.error().context;
  EXPECT_EQ(config->listen.addresses, (std::vector<std::string>{"192.0.2.1", "fe80::1%eth0"}));
  EXPECT_EQ(config->listen.port, 443);
  EXPECT_EQ(config->data_dir, "/etc/homefs/state");
  EXPECT_EQ(config->homes_dir, "/srv/homes");
  EXPECT_EQ(config->accounts_file, "/etc/users.ini");
  EXPECT_EQ(config->tls.key_file, "/etc/homefs/k.pem");
  EXPECT_EQ(config->tls.certificate_file, "/c.pem");
  EXPECT_TRUE(config->login.reveal_unknown_users);
  EXPECT_EQ(config->login.failures_before_lockout, 3u);
  EXPECT_EQ(config->login.lockout, std::chrono::seconds(5));
  EXPECT_EQ(config->login.scram_iterations, 100'000u);
  EXPECT_EQ(config->login.handshakes_max, 7u);
  EXPECT_EQ(config->session.linger, std::chrono::seconds(0));
  EXPECT_EQ(config->session.sessions_max, 9u);
  EXPECT_EQ(config->session.bulk_connections_max, 2u);
  EXPECT_EQ(config->keepalive, std::chrono::seconds(30));
  EXPECT_EQ(config->io_threads, 8u);
  EXPECT_EQ(config->log.level, LogLevel::kTrace);
  EXPECT_EQ(config->log.to, LogTarget::kFile);
  EXPECT_EQ(config->log.file, "/etc/homefs/log/d.log");
}

TEST(ServerConfig, DerivesPathsFromTheDataDir) {
  const Result<ServerConfig> config = parse(R"({"data_dir": "/d"})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->homes_dir, "/d/homes");
  EXPECT_EQ(config->tls.key_file, "/d/server.key");
}

struct Row {
  const char* text;
  const char* error;
};

TEST(ServerConfig, TellsEachMistakeByFileLineAndKey) {
  constexpr Row kRows[] = {
      {"[1]", "homefsd.json:1: expected an object in braces, found a list"},
      {"{\n\"listen\": {\n\"port\": \"abc\"}}",
       "homefsd.json:3: listen.port: expected a number from 1 to 65535, found \"abc\""},
      {"{\"listen\": {\"port\": 0}}",
       "homefsd.json:1: listen.port: expected a number from 1 to 65535, found 0"},
      {"{\"listen\": {\"port\": 70.5}}",
       "homefsd.json:1: listen.port: expected a number from 1 to 65535, found 70.5"},
      {"{\"listen\": {\"port\": 99999999999999999999}}",
       "homefsd.json:1: listen.port: expected a number from 1 to 65535, found "
       "99999999999999999999"},
      {"{\"listen\": 7070}", "homefsd.json:1: listen: expected an object in braces, found 7070"},
      {"{\n\n\"listen\": {\"prot\": 1}}",
       "homefsd.json:3: listen.prot: unknown key, did you mean \"port\"?"},
      {"{\"colour\": 1}",
       "homefsd.json:1: colour: unknown key; known are \"listen\", \"data_dir\", \"homes_dir\", "
       "\"accounts_file\", \"tls\", \"login\", \"session\", \"keepalive_seconds\", \"io_threads\", "
       "\"log\""},
      {"{\"listen\": {\"port\": 1,\n\"port\": 2}}",
       "homefsd.json:2: listen.port: given twice, first in line 1"},
      {"{\"listen\": {\"address\": []}}",
       "homefsd.json:1: listen.address: expected a text in quotes or a list of 1 to 16, found a "
       "list of 0"},
      {"{\"listen\": {\"address\": [\"::1\", 5]}}",
       "homefsd.json:1: listen.address: expected a text in quotes or a list of 1 to 16, found 5"},
      {"{\"listen\": {\"address\": \"localhost\"}}",
       "homefsd.json:1: listen.address: expected a numeric IPv4 or IPv6 address, found "
       "\"localhost\""},
      {"{\"data_dir\": \"\"}",
       "homefsd.json:1: data_dir: expected a text in quotes, not empty, found \"\""},
      {"{\"data_dir\": null}",
       "homefsd.json:1: data_dir: expected a text in quotes, not empty, found null"},
      {"{\"data_dir\": \"a\\u0000b\"}",
       "homefsd.json:1: data_dir: a path cannot contain a zero byte"},
      {"{\"tls\": {\"key_file\": \"k\"}}",
       "homefsd.json:1: tls.key_file: expected certificate_file beside it"},
      {"{\"tls\": {\n\"certificate_file\": \"k\"}}",
       "homefsd.json:2: tls.certificate_file: expected key_file beside it"},
      {"{\"login\": {\"reveal_unknown_users\": \"yes\"}}",
       "homefsd.json:1: login.reveal_unknown_users: expected true or false, found \"yes\""},
      {"{\"login\": {\"scram_iterations\": 4096}}",
       "homefsd.json:1: login.scram_iterations: expected a number from 100000 to 10000000, found "
       "4096"},
      {"{\"session\": {\"linger_seconds\": -1}}",
       "homefsd.json:1: session.linger_seconds: expected a number from 0 to 2592000, found -1"},
      {"{\"keepalive_seconds\": 0}",
       "homefsd.json:1: keepalive_seconds: expected a number from 1 to 3600, found 0"},
      {"{\"io_threads\": true}",
       "homefsd.json:1: io_threads: expected a number from 0 to 1024, found true"},
      {"{\"log\": {\"level\": \"loud\"}}",
       "homefsd.json:1: log.level: expected one of \"error\", \"warn\", \"info\", \"debug\", "
       "\"trace\", found \"loud\""},
      {"{\"log\": {\"to\": \"file\"}}",
       "homefsd.json:1: log.to: expected file beside it, the path to log to"},
      {"{\"log\": {\"file\": \"x\"}}",
       "homefsd.json:1: log.file: has no effect unless \"to\" is \"file\""},
  };
  for (const Row& row : kRows) {
    const Result<ServerConfig> config = parse(row.text);
    ASSERT_FALSE(config) << row.text;
    EXPECT_EQ(config.error().status, Status::kConfigError);
    EXPECT_EQ(config.error().context, row.error) << row.text;
  }
}

TEST(ServerConfig, ReportsTheTopmostOfSeveralMistakes) {
  // The schema asks for log last and for unknown keys after that.
  const Result<ServerConfig> config =
      parse("{\"io_threads\": 0,\n\"unknown\": 1,\n\"log\": {\"to\": 1},\n\"listen\": 1}");
  ASSERT_FALSE(config);
  EXPECT_TRUE(config.error().context.starts_with("homefsd.json:2: unknown: unknown key"))
      << config.error().context;
}

TEST(ServerConfig, ComesFromAFileWithPathsRelativeToIt) {
  const TemporaryFolder folder;
  folder.write("homefsd.json", "{\"data_dir\": \"state\"} // mine\n");
  const Result<ServerConfig> config = ServerConfig::load(folder.file("homefsd.json"));
  ASSERT_TRUE(config) << config.error().context;
  EXPECT_EQ(config->data_dir, folder.file("state"));
  EXPECT_EQ(config->accounts_file, folder.file("accounts.ini"));
}

TEST(ServerConfig, NamesTheFileThatIsMissing) {
  const TemporaryFolder folder;
  const Result<ServerConfig> config = ServerConfig::load(folder.file("none.json"));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().status, Status::kNoSuchFile);
  EXPECT_EQ(config.error().context, "open " + folder.file("none.json").string());
}

TEST(ServerConfig, SampleSaysNothingButTheDefaults) {
  const Result<ServerConfig> sample = ServerConfig::load(source_file("config/homefsd.json.sample"));
  ASSERT_TRUE(sample) << sample.error().context;
  const Result<ServerConfig> defaults = ServerConfig::parse("{}", "", source_file("config"));
  ASSERT_TRUE(defaults);
  EXPECT_EQ(sample->listen.addresses, defaults->listen.addresses);
  EXPECT_EQ(sample->listen.port, defaults->listen.port);
  EXPECT_EQ(sample->data_dir, defaults->data_dir);
  EXPECT_EQ(sample->homes_dir, defaults->homes_dir);
  EXPECT_EQ(sample->accounts_file, defaults->accounts_file);
  EXPECT_EQ(sample->tls.key_file, defaults->tls.key_file);
  EXPECT_EQ(sample->tls.certificate_file, defaults->tls.certificate_file);
  EXPECT_EQ(sample->login.reveal_unknown_users, defaults->login.reveal_unknown_users);
  EXPECT_EQ(sample->login.failures_before_lockout, defaults->login.failures_before_lockout);
  EXPECT_EQ(sample->login.lockout, defaults->login.lockout);
  EXPECT_EQ(sample->login.scram_iterations, defaults->login.scram_iterations);
  EXPECT_EQ(sample->login.handshakes_max, defaults->login.handshakes_max);
  EXPECT_EQ(sample->session.linger, defaults->session.linger);
  EXPECT_EQ(sample->session.sessions_max, defaults->session.sessions_max);
  EXPECT_EQ(sample->session.bulk_connections_max, defaults->session.bulk_connections_max);
  EXPECT_EQ(sample->keepalive, defaults->keepalive);
  EXPECT_EQ(sample->io_threads, defaults->io_threads);
  EXPECT_EQ(sample->log.level, defaults->log.level);
  EXPECT_EQ(sample->log.to, defaults->log.to);
}

// The texts in quotes of `text`.
std::vector<std::string> quoted_texts(std::string_view text) {
  std::vector<std::string> texts;
  for (std::size_t at = text.find('"'); at != text.npos; at = text.find('"', at)) {
    const std::size_t end = text.find('"', at + 1);
    if (end == text.npos) break;
    texts.emplace_back(text.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return texts;
}

// The keys that the code asks for, learnt from its own answers to an unknown one.
std::set<std::string> keys_in_code() {
  std::set<std::string> keys;
  for (const std::string section : {"", "listen", "tls", "login", "session", "log"}) {
    const std::string object = R"({"?": 1})";
    const std::string text = section.empty() ? object : "{\"" + section + "\": " + object + "}";
    const std::string error = parse(text).error().context;
    for (const std::string& key : quoted_texts(error.substr(error.find("known are")))) {
      keys.insert(section.empty() ? key : section + "." + key);
    }
  }
  for (const char* section : {"listen", "tls", "login", "session", "log"}) keys.erase(section);
  return keys;
}

// Whether a line of the man page describes `key`: ".It Cm tls.key_file , tls.certificate_file".
bool is_described(const std::string& man, const std::string& key) {
  std::istringstream lines(man);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(".It Cm ") && (line + " ").find(" " + key + " ") != std::string::npos)
      return true;
  }
  return false;
}

TEST(ServerConfig, ManPageAndSampleKnowEveryKey) {
  const std::string man = read_source("man/homefsd.json.5");
  const std::string sample = read_source("config/homefsd.json.sample");
  const std::set<std::string> keys = keys_in_code();
  EXPECT_EQ(keys.size(), 20u);
  for (const std::string& key : keys) {
    EXPECT_TRUE(is_described(man, key)) << key;
    const std::string last = key.substr(key.rfind('.') + 1);
    EXPECT_NE(sample.find("\"" + last + "\": "), std::string::npos) << key;
  }
}

TEST(ServerConfig, ReadsTheFileThatPackagesPutInPlace) {
  const Result<ServerConfig> config = ServerConfig::load(source_file("packaging/homefsd.json"));
  ASSERT_TRUE(config) << config.error().context;
  EXPECT_EQ(config->accounts_file, "/var/lib/homefs/accounts.ini");
}

}  // namespace
}  // namespace homefs
