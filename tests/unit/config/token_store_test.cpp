#include "config/token_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

TEST(TokenStore, KeepsTokensPrivate) {
  const TemporaryFolder folder;
  const TokenStore store(folder.file("tokens"));
  ASSERT_TRUE(store.save("alice@host_7070", "abc123"));
  EXPECT_EQ(store.load("alice@host_7070"), "abc123");
  struct stat status{};
  ASSERT_EQ(::stat(folder.file("tokens/alice@host_7070").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(::stat(folder.file("tokens").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);

  ASSERT_TRUE(store.save("alice@host_7070", "newer"));
  EXPECT_EQ(store.load("alice@host_7070"), "newer");
  ASSERT_TRUE(store.remove("alice@host_7070"));
  EXPECT_EQ(store.load("alice@host_7070").error().status, Status::kNoSuchFile);
}

TEST(TokenStore, RefusesATokenThatOthersCanRead) {
  const TemporaryFolder folder;
  const TokenStore store(folder.path());
  ASSERT_TRUE(store.save("t", "abc"));
  ASSERT_EQ(::chmod(folder.file("t").c_str(), 0640), 0);
  EXPECT_EQ(store.load("t").error().status, Status::kAccessDenied);
  ASSERT_TRUE(store.save("t", "abc"));
  EXPECT_EQ(store.load("t"), "abc") << "a new login makes it private again";
}

TEST(TokenStore, RefusesWhatIsNoToken) {
  const TemporaryFolder folder;
  const TokenStore store(folder.path());
  for (const std::string& bad : {std::string(""), std::string("two words"), std::string("a\nb"),
                                 std::string("\xff"), std::string(kTokenBytesMax + 1, 'x')}) {
    EXPECT_EQ(store.save("t", bad).error().status, Status::kInvalid);
  }
  folder.write("t", "two words\n");
  ASSERT_EQ(::chmod(folder.file("t").c_str(), 0600), 0);
  EXPECT_EQ(store.load("t").error().context,
            folder.file("t").string() + ":1: expected a device token");
}

TEST(TokenStore, TakesTheLongestToken) {
  const TemporaryFolder folder;
  const TokenStore store(folder.path());
  const std::string token(kTokenBytesMax, 'x');
  ASSERT_TRUE(store.save("t", token));
  EXPECT_EQ(store.load("t"), token);
}

TEST(TokenStore, NamesDifferForDifferentServersAndUsers) {
  EXPECT_EQ(token_name({"alice", "files.example.org", 7070, "sub"}),
            "alice@files.example.org_7070");
  EXPECT_EQ(token_name({"alice", "::1", 80, ""}), "alice@%3A%3A1_80");
  EXPECT_EQ(token_name({".a", "h", 80, ""}), "%2Ea@h_80");
  EXPECT_TRUE(check_token_name(token_name({"a-b_c", "fe80::1%eth0", 1, ""})));
}

TEST(TokenStore, LetsNoNameLeaveItsFolder) {
  const TokenStore store("/nonexistent");
  for (const std::string& name : {std::string(""), std::string(".."), std::string("a/b"),
                                  std::string("-x"), std::string(201, 'x')}) {
    EXPECT_EQ(store.load(name).error().status, Status::kInvalid) << name;
    EXPECT_EQ(store.save(name, "t").error().status, Status::kInvalid) << name;
    EXPECT_EQ(store.remove(name).error().status, Status::kInvalid) << name;
  }
}

}  // namespace
}  // namespace homefs
