#include "fusefs/cli/mount_settings.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace homefs {
namespace {

using std::chrono::seconds;

std::string error_of(const std::string& list) {
  MountSettings settings;
  const auto applied = apply_mount_options(list, settings);
  return applied ? "" : applied.error().context;
}

TEST(MountOptions, SetWhatTheySay) {
  MountSettings settings;
  ASSERT_TRUE(apply_mount_options(
      "ro,allow_other,soft,idmap=none,bulk=3,read_cache=1GiB,write_buffer=64M,keepalive=5,port=71,"
      "pin=SHA256:x,password_file=/a\\,b,profile=p,accept_new_server,setuid=alice,noexec,fsname=x",
      settings));
  EXPECT_TRUE(settings.mount.read_only);
  EXPECT_TRUE(settings.mount.allow_other);
  EXPECT_EQ(settings.times.timeo, seconds(30));
  EXPECT_EQ(settings.mount.id_map, IdMap::kNone);
  EXPECT_EQ(settings.bulk_connections, 3U);
  EXPECT_EQ(settings.mount.read_cache_bytes, 1U << 30);
  EXPECT_EQ(settings.mount.write_buffer_bytes, 64U << 20);
  EXPECT_EQ(settings.times.keepalive, seconds(5));
  EXPECT_EQ(settings.port, 71);
  EXPECT_EQ(settings.pin, "SHA256:x");
  EXPECT_EQ(settings.password_file, "/a,b");
  EXPECT_EQ(settings.profile, "p");
  EXPECT_TRUE(settings.accept_new_server);
  EXPECT_EQ(settings.set_user, "alice");
  EXPECT_TRUE(settings.mount.no_exec);
  EXPECT_EQ(settings.mount.source, "x");
}

TEST(MountOptions, LetTheLastOneWin) {
  MountSettings settings;
  ASSERT_TRUE(apply_mount_options("ro,rw,timeo=9,hard,soft,timeo=7,soft", settings));
  EXPECT_FALSE(settings.mount.read_only);
  EXPECT_EQ(settings.times.timeo, seconds(7)) << "soft keeps the time that is set";
}

TEST(MountOptions, CountAllConnectionsAsSshfsDoes) {
  MountSettings settings;
  ASSERT_TRUE(apply_mount_options("max_conns=1", settings));
  EXPECT_EQ(settings.bulk_connections, 0U);
}

TEST(MountOptions, IgnoreWhatIsForOthers) {
  for (const char* list : {"", ",", "x-systemd.automount", "x-gvfs-name=a", "_netdev,noauto,user",
                           "user=alice", "comment", "reconnect,default_permissions,big_writes"}) {
    EXPECT_EQ(error_of(list), "") << list;
  }
}

TEST(MountOptions, RefuseWhatTheyDoNotUnderstandAndNameIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"allow_othr", "there is no option -o \"allow_othr\", did you mean \"allow_other\"?"},
      {"frobnicate", "there is no option -o \"frobnicate\"; homefs(1) lists them all"},
      {"ro=1", "-o ro takes no value"},
      {"timeo", "-o timeo needs a value: timeo=..."},
      {"timeo=", "-o timeo needs a value: timeo=..."},
      {"timeo=0", "-o timeo: expected a number from 1 to 86400, found \"0\""},
      {"timeo=1x", "-o timeo: expected a number from 1 to 86400, found \"1x\""},
      {"idmap=file", "-o idmap: expected user or none, found \"file\""},
      {"bulk=9", "-o bulk: expected a number from 0 to 8, found \"9\""},
      {"max_conns=0", "-o max_conns: expected a number from 1 to 9, found \"0\""},
      {"read_cache=1", "-o read_cache: expected at least 8MiB"},
      {"ro,port=99999", "-o port: expected a port from 1 to 65535, found \"99999\""},
  };
  for (const auto& [list, text] : cases) EXPECT_EQ(error_of(list), text) << list;
}

TEST(MountOptions, AreAllInTheManual) {
  std::ifstream file(HOMEFS_SOURCE_DIR "/man/homefs.1");
  std::stringstream manual;
  manual << file.rdbuf();
  for (const std::string& name : mount_option_names()) {
    EXPECT_TRUE(manual.str().find(name) != std::string::npos) << name;
  }
}

}  // namespace
}  // namespace homefs
