#include "config/known_servers.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

const std::string kHex = "00ff" + std::string(60, 'a');
const std::string kLine = "host:7070 sha256:" + kHex + " 2026-02-07T12:00:00Z\n";

ServerKeyHash hash_of(unsigned char byte) {
  ServerKeyHash hash;
  hash.fill(std::byte{byte});
  return hash;
}

KnownServer server(std::string name, unsigned char byte) {
  return {std::move(name), hash_of(byte), sys_seconds(seconds(1'770'465'600))};
}

TEST(KnownServers, ReadAFileAndKeepItsComments) {
  const std::string text = "# mine\n\n" + kLine;
  const Result<KnownServers> servers = KnownServers::parse(text, "known");
  ASSERT_TRUE(servers) << servers.error().context;
  const KnownServer* found = servers->find("host:7070");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->key[0], std::byte{0});
  EXPECT_EQ(found->key[1], std::byte{0xff});
  EXPECT_EQ(found->first_seen, sys_seconds(seconds(1'770'465'600)));
  EXPECT_EQ(servers->find("host:7071"), nullptr);
  EXPECT_EQ(servers->text(), text);
}

struct Row {
  std::string text;
  std::string error;
};

TEST(KnownServers, RefuseABrokenLineInsteadOfForgettingAKey) {
  const Row kRows[] = {
      {"# x\nhost\n", "known:2: expected host:port, found \"host\""},
      {"HOST:1 x y\n", "known:1: expected host:port, found \"HOST:1\""},
      {"a@host:1 x y\n", "known:1: expected host:port, found \"a@host:1\""},
      {"host:1\n", "known:1: host:1: expected host:port, sha256:KEY and a time, found 1 fields"},
      {"host:1 sha256:abc 2026-02-07T12:00:00Z\n",
       "known:1: host:1: expected sha256: and 64 hexadecimal digits, found \"sha256:abc\""},
      {"host:1 sha256:" + kHex + " yesterday\n",
       "known:1: host:1: expected a time such as 2026-02-07T12:00:00Z, found \"yesterday\""},
      {"host:1 sha256:" + kHex + " 2026-02-31T12:00:00Z\n",
       "known:1: host:1: expected a time such as 2026-02-07T12:00:00Z, found "
       "\"2026-02-31T12:00:00Z\""},
      {kLine + kLine, "known:2: host:7070: given twice, first in line 1"},
  };
  for (const Row& row : kRows) {
    const Result<KnownServers> servers = KnownServers::parse(row.text, "known");
    ASSERT_FALSE(servers) << row.text;
    EXPECT_EQ(servers.error().context, row.error);
  }
}

TEST(KnownServers, AddReplaceAndRemove) {
  KnownServers servers = *KnownServers::parse("# mine", "known");
  ASSERT_TRUE(servers.add(server("host:7070", 1)));
  ASSERT_TRUE(servers.add(server("[::1]:80", 2)));
  EXPECT_EQ(servers.add(server("host:7070", 3)).error().status, Status::kExists);
  EXPECT_EQ(servers.add(server("no port", 3)).error().status, Status::kInvalid);
  ASSERT_TRUE(servers.replace(server("host:7070", 4)));
  EXPECT_EQ(servers.replace(server("other:1", 4)).error().status, Status::kNoSuchFile);
  EXPECT_EQ(servers.find("host:7070")->key, hash_of(4));
  ASSERT_EQ(servers.all().size(), 2u);

  const Result<KnownServers> again = KnownServers::parse(servers.text(), "known");
  ASSERT_TRUE(again) << again.error().context;
  EXPECT_EQ(again->all(), servers.all());
  EXPECT_TRUE(servers.text().starts_with("# mine\nhost:7070 sha256:0404")) << servers.text();

  ASSERT_TRUE(servers.remove("host:7070"));
  EXPECT_EQ(servers.remove("host:7070").error().status, Status::kNoSuchFile);
  EXPECT_EQ(servers.find("host:7070"), nullptr);
}

TEST(KnownServers, KeysAreComparedByAllTheirBytes) {
  const Result<ServerKeyHash> upper = parse_key_hash("sha256:" + std::string(64, 'A'));
  const Result<ServerKeyHash> lower = parse_key_hash("sha256:" + std::string(64, 'a'));
  ASSERT_TRUE(upper && lower);
  EXPECT_EQ(*upper, *lower);
  EXPECT_EQ(format_key_hash(*upper), "sha256:" + std::string(64, 'a'));
  EXPECT_NE(parse_key_hash("sha256:" + std::string(63, 'a') + "b"), *lower);
  EXPECT_FALSE(parse_key_hash("sha512:" + std::string(64, 'a')));
  EXPECT_FALSE(parse_key_hash("sha256:" + std::string(63, 'a') + "g"));
  EXPECT_FALSE(parse_key_hash("sha256:" + std::string(65, 'a')));
}

TEST(KnownServers, AreEditedInAPrivateFile) {
  const TemporaryFolder folder;
  const auto path = folder.file("config/homefs/known_servers");
  ASSERT_TRUE(KnownServers::load(path)) << "a missing file is an empty one";
  ASSERT_TRUE(edit_known_servers(
      path, [](KnownServers& servers) { return servers.add(server("host:1", 7)); }));
  const Result<KnownServers> servers = KnownServers::load(path);
  ASSERT_TRUE(servers);
  EXPECT_EQ(*servers->find("host:1"), server("host:1", 7));
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

}  // namespace
}  // namespace homefs
