#include "config/profile.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

Result<Profile> parse(std::string_view text) { return Profile::parse("work", text, "work.json"); }

Profile full_profile() {
  Profile profile;
  profile.name = "work";
  profile.target = {"alice", "files.example.org", 7071, "projects/homefs"};
  profile.mountpoint = "~/Work";
  profile.token = "alice@files.example.org_7071";
  profile.password_file = "/run/secret";
  profile.options = {{"soft", "true"}, {"timeo", "30"}, {"idmap", "none"}, {"version", "007"}};
  return profile;
}

TEST(Profile, ReadsWhatPeopleWrite) {
  const Result<Profile> profile = parse(R"({
    // the office
    "server": "Files.Example.org", "user": "alice", "subdir": "/work/",
    "mountpoint": "~/Work", "token": "t", "password_file": "p",
    "options": {"soft": true, "timeo": 30, "idmap": "none"}})");
  ASSERT_TRUE(profile) << profile.error().context;
  EXPECT_EQ(profile->name, "work");
  EXPECT_EQ(profile->target, (Target{"alice", "files.example.org", 7070, "work"}));
  EXPECT_EQ(profile->mountpoint, "~/Work");
  EXPECT_EQ(profile->token, "t");
  EXPECT_EQ(profile->password_file, "p");
  EXPECT_EQ(profile->options, (std::vector<std::pair<std::string, std::string>>{
                                  {"soft", "true"}, {"timeo", "30"}, {"idmap", "none"}}));
}

struct Row {
  const char* text;
  const char* error;
};

TEST(Profile, TellsEachMistakeByFileLineAndKey) {
  constexpr Row kRows[] = {
      {"{}", "work.json:1: expected the key server, HOST or HOST:PORT"},
      {"{\"server\": 5}", "work.json:1: server: expected a text in quotes, not empty, found 5"},
      {"{\n\"server\": \"a b\"}",
       "work.json:2: server: expected a host name or a numeric address, found \"a b\""},
      {"{\"server\": \"alice@host\"}",
       "work.json:1: server: expected HOST or HOST:PORT alone, found \"alice@host\""},
      {"{\"server\": \"host/sub\"}",
       "work.json:1: server: expected HOST or HOST:PORT alone, found \"host/sub\""},
      {"{\"server\": \"h\",\n\"subdir\": \"a/../b\"}",
       "work.json:2: subdir: the folder \"..\" cannot be part of a path"},
      {"{\"server\": \"h\",\n\"user\": \"a/b\"}",
       "work.json:2: user: expected a name of 1 to 64 letters, digits, '.', '_' or '-' that does "
       "not begin with '.' or '-', found \"a/b\""},
      {"{\"server\": \"h\", \"token\": \"../x\"}",
       "work.json:1: token: no name for a token: \"../x\""},
      {"{\"server\": \"h\", \"options\": {\"a\": []}}",
       "work.json:1: options.a: expected a text in quotes, a number, true or false, found a list"},
      {"{\"server\": \"h\", \"options\": {\"a,b\": 1}}",
       "work.json:1: options.a,b: expected the name of a mount option"},
      {"{\"server\": \"h\", \"mount_point\": \"x\"}",
       "work.json:1: mount_point: unknown key, did you mean \"mountpoint\"?"},
  };
  for (const Row& row : kRows) {
    const Result<Profile> profile = parse(row.text);
    ASSERT_FALSE(profile) << row.text;
    EXPECT_EQ(profile.error().status, Status::kConfigError);
    EXPECT_EQ(profile.error().context, row.error) << row.text;
  }
}

TEST(Profile, ReadsBackWhatItWrites) {
  const Profile profile = full_profile();
  const Result<Profile> again = parse(profile.text());
  ASSERT_TRUE(again) << again.error().context;
  EXPECT_EQ(*again, profile);
  EXPECT_NE(profile.text().find("\"soft\": true"), std::string::npos);
  EXPECT_NE(profile.text().find("\"timeo\": 30"), std::string::npos);
}

TEST(ProfileStore, SavesLoadsListsAndRemoves) {
  const TemporaryFolder folder;
  const ProfileStore store(folder.file("homefs/profiles"));
  EXPECT_EQ(store.list(), std::vector<std::string>{});
  ASSERT_TRUE(store.save(full_profile()));
  Profile other = full_profile();
  other.name = "home";
  ASSERT_TRUE(store.save(other));
  folder.write("homefs/profiles/notes.txt", "");
  folder.write("homefs/profiles/.hidden.json", "");

  EXPECT_EQ(store.list(), (std::vector<std::string>{"home", "work"}));
  const Result<Profile> loaded = store.load("work");
  ASSERT_TRUE(loaded) << loaded.error().context;
  EXPECT_EQ(*loaded, full_profile());
  struct stat status{};
  ASSERT_EQ(::stat(folder.file("homefs/profiles/work.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);

  ASSERT_TRUE(store.remove("work"));
  EXPECT_EQ(store.load("work").error().status, Status::kNoSuchFile);
  EXPECT_EQ(store.remove("work").error().status, Status::kNoSuchFile);
}

TEST(ProfileStore, LetsNoNameLeaveItsFolder) {
  const TemporaryFolder folder;
  const ProfileStore store(folder.path());
  for (const char* name : {"", "..", "../x", ".x", "-x", "a/b"}) {
    EXPECT_EQ(store.load(name).error().status, Status::kInvalid) << name;
    EXPECT_EQ(store.remove(name).error().status, Status::kInvalid) << name;
    Profile profile = full_profile();
    profile.name = name;
    EXPECT_EQ(store.save(profile).error().status, Status::kInvalid) << name;
  }
}

TEST(ProfileStore, RefusesToSaveWhatItCouldNotLoad) {
  const TemporaryFolder folder;
  const ProfileStore store(folder.path());
  Profile profile = full_profile();
  profile.mountpoint = "/mnt/\xff";
  EXPECT_EQ(store.save(profile).error().status, Status::kInvalid);
  profile = full_profile();
  profile.target.host = "a b";
  EXPECT_EQ(store.save(profile).error().status, Status::kConfigError);
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace homefs
