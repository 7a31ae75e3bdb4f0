#include "config/accounts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

const std::string kKey = std::string(43, 'A') + "=";
const std::string kVerifier = "SCRAM-SHA-256$600000:c2FsdA==$" + kKey + ":" + kKey;
const std::string kMd5 = "0123456789abcdef0123456789abcdef";

Result<Accounts> parse(std::string_view text) { return Accounts::parse(text, "accounts.ini"); }

TEST(Accounts, ReadsAFileOfTheOldServer) {
  const Result<Accounts> accounts = parse(
      "[alice]\nname = alice\npassword = 0123456789ABCDEF0123456789ABCDEF\n"
      "total_space = 524288000\nused_space = 1024\n"
      "[bob]\nname: Bob\npassword: " +
      kMd5 + "\ntotal_space: 0\nused_space: -17.5\n");
  ASSERT_TRUE(accounts) << accounts.error().context;
  ASSERT_EQ(accounts->all().size(), 2u);
  EXPECT_TRUE(accounts->warnings().empty());
  const Account* alice = accounts->find("alice");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->display_name, "alice");
  EXPECT_EQ(alice->password.kind, PasswordKind::kLegacyMd5);
  EXPECT_EQ(alice->password.text, kMd5);
  EXPECT_EQ(alice->total_space, 524'288'000u);
  EXPECT_EQ(alice->used_space, 1024u);
  EXPECT_FALSE(alice->disabled);
  const Account* bob = accounts->find("bob");
  ASSERT_NE(bob, nullptr);
  EXPECT_EQ(bob->display_name, "Bob");
  EXPECT_EQ(bob->total_space, 0u);
  EXPECT_EQ(bob->used_space, std::nullopt) << "what it says is nobody's business";
  EXPECT_EQ(accounts->find("Bob"), nullptr);
}

TEST(Accounts, ReadsEveryKey) {
  const Result<Accounts> accounts = parse(
      "[a]\npassword = " + kVerifier +
      "\ntotal_space = 1.5TiB\nfiles_max = 1000\ndisabled = Yes\npreserve_owners = on\n[b]\n");
  ASSERT_TRUE(accounts) << accounts.error().context;
  const Account& a = accounts->all()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.display_name, "a");
  EXPECT_EQ(a.password.kind, PasswordKind::kScram);
  EXPECT_EQ(a.password.text, kVerifier);
  EXPECT_EQ(a.total_space, 3ull << 39);
  EXPECT_EQ(a.files_max, 1000u);
  EXPECT_TRUE(a.disabled);
  EXPECT_TRUE(a.preserve_owners);
  const Account& b = accounts->all()[1];
  EXPECT_EQ(b.password.kind, PasswordKind::kNone);
  EXPECT_EQ(b.total_space, 0u);
  EXPECT_EQ(b.files_max, 0u);
  EXPECT_FALSE(b.disabled);
  EXPECT_FALSE(b.preserve_owners);
}

struct Row {
  std::string text;
  std::string error;
};

TEST(Accounts, TellsEachMistakeByFileLineAndKey) {
  const std::string kNameRule =
      "expected a name of 1 to 64 letters, digits, '.', '_' or '-' that does not begin with '.' or "
      "'-', found ";
  const std::string kPasswordRule =
      "expected a SCRAM-SHA-256 verifier, or 32 hexadecimal digits (MD5), found ";
  const Row kRows[] = {
      {"[a]\ntotal_space = ten\n",
       "accounts.ini:2: a.total_space: expected a size such as 10GiB, 500M or 0, found \"ten\""},
      {"[a]\ntotal_space =\n",
       "accounts.ini:2: a.total_space: expected a size such as 10GiB, 500M or 0, found \"\""},
      {"[a]\ntotal_space = 9EiB\n",
       "accounts.ini:2: a.total_space: \"9EiB\" is more than 9223372036854775807 bytes"},
      {"[a]\nfiles_max = 1K\n",
       "accounts.ini:2: a.files_max: expected a number from 0 to 9223372036854775807, found "
       "\"1K\""},
      {"[a]\nfiles_max = -1\n",
       "accounts.ini:2: a.files_max: expected a number from 0 to 9223372036854775807, found "
       "\"-1\""},
      {"[a]\ndisabled = maybe\n",
       "accounts.ini:2: a.disabled: expected yes or no, found \"maybe\""},
      {"[a]\npreserve_owners = 2\n",
       "accounts.ini:2: a.preserve_owners: expected yes or no, found \"2\""},
      {"[a]\n\npassword = tr0ub4dor\n",
       "accounts.ini:3: a.password: " + kPasswordRule + "9 other bytes"},
      {"[a]\nsecret\n", "accounts.ini:2: a: expected [name], key = value or # comment"},
      {"[a]\n[.b]\n", "accounts.ini:2: " + kNameRule + "\".b\""},
      {"[-b]\n", "accounts.ini:1: " + kNameRule + "\"-b\""},
      {"[a/b]\n", "accounts.ini:1: " + kNameRule + "\"a/b\""},
      {"[a b]\n", "accounts.ini:1: " + kNameRule + "\"a b\""},
      {"[" + std::string(65, 'a') + "]\n",
       "accounts.ini:1: " + kNameRule + "\"" + std::string(64, 'a') + "...\""},
      {"[DEFAULT]\n", "accounts.ini:1: an account cannot be named DEFAULT"},
      {"[a]\n[b]\n[a]\n", "accounts.ini:3: a: given twice, first in line 1"},
  };
  for (const Row& row : kRows) {
    const Result<Accounts> accounts = parse(row.text);
    ASSERT_FALSE(accounts) << row.text;
    EXPECT_EQ(accounts.error().status, Status::kConfigError);
    EXPECT_EQ(accounts.error().context, row.error) << row.text;
  }
}

TEST(Accounts, WarnsOfKeysThatMeanNothing) {
  const Result<Accounts> accounts = parse("[a]\ndisabeld = yes\nshoe_size = 43\n");
  ASSERT_TRUE(accounts);
  EXPECT_EQ(accounts->warnings(),
            (std::vector<std::string>{
                "accounts.ini:2: a.disabeld: unknown key, did you mean \"disabled\"?",
                "accounts.ini:3: a.shoe_size: unknown key; known are \"name\", \"password\", "
                "\"total_space\", \"used_space\", \"files_max\", \"disabled\", "
                "\"preserve_owners\""}));
}

TEST(Accounts, TellsTheKindsOfPasswordsApart) {
  const auto kind = [](std::string_view text) {
    const auto password = StoredPassword::classify(text);
    return password ? std::optional(password->kind) : std::nullopt;
  };
  EXPECT_EQ(kind(""), PasswordKind::kNone);
  EXPECT_EQ(kind(kMd5), PasswordKind::kLegacyMd5);
  EXPECT_EQ(kind(kVerifier), PasswordKind::kScram);
  const std::string no_keys = "SCRAM-SHA-256$600000:c2FsdA==$";
  for (const std::string& bad :
       {kMd5 + "0", kMd5.substr(1), "g" + kMd5.substr(1), std::string("hunter2"), no_keys,
        no_keys + kKey, no_keys + kKey + ":" + kKey.substr(1), no_keys + kKey + ":" + kKey + "=",
        "SCRAM-SHA-1$600000:c2FsdA==$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$0:c2FsdA==$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$:c2FsdA==$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$1e5:c2FsdA==$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$9999999999:c2FsdA==$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$600000:$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$600000:c2Fs=A==$" + kKey + ":" + kKey,
        "SCRAM-SHA-256$600000:====$" + kKey + ":" + kKey}) {
    EXPECT_EQ(kind(bad), std::nullopt) << bad;
  }
}

TEST(Accounts, AllowsOnlyNamesThatAreSafeAsFolders) {
  for (const std::string& good : {std::string("a"), std::string("Alice.B-c_9"), std::string("_x"),
                                  std::string(64, 'z'), std::string("default")}) {
    EXPECT_TRUE(check_account_name(good)) << good;
  }
  for (const std::string& bad :
       {std::string(""), std::string("."), std::string(".."), std::string("-x"), std::string("a/b"),
        std::string("a b"), std::string("ä"), std::string("a\0b", 3), std::string(65, 'z')}) {
    EXPECT_EQ(check_account_name(bad).error().status, Status::kInvalid) << bad;
  }
}

TEST(Accounts, SampleIsTrue) {
  const Result<Accounts> accounts = Accounts::load(source_file("config/accounts.ini.sample"));
  ASSERT_TRUE(accounts) << accounts.error().context;
  EXPECT_TRUE(accounts->warnings().empty());
  ASSERT_EQ(accounts->all().size(), 2u);
  EXPECT_EQ(accounts->find("alice")->password.kind, PasswordKind::kScram);
  EXPECT_EQ(accounts->find("alice")->total_space, 10ull << 30);
  EXPECT_EQ(accounts->find("bob")->password.kind, PasswordKind::kLegacyMd5);
}

TEST(EditAccounts, ChangesOnlyWhatItIsToldTo) {
  const TemporaryFolder folder;
  folder.write("accounts.ini", "# mine\n[alice]\nshoe_size = 43\npassword: " + kMd5 +
                                   "\n\n# about bob\n[bob]\ntotal_space = 5M\n");
  ASSERT_EQ(::chmod(folder.file("accounts.ini").c_str(), 0640), 0);
  ASSERT_TRUE(edit_accounts(folder.file("accounts.ini"), [](AccountsEdit& edit) -> Result<> {
    EXPECT_TRUE(edit.set_password("alice", kVerifier));
    EXPECT_TRUE(edit.set_total_space("alice", 10ull << 30));
    EXPECT_TRUE(edit.set_disabled("bob", true));
    EXPECT_TRUE(edit.set_disabled("bob", false));
    EXPECT_TRUE(edit.set_preserve_owners("bob", true));
    EXPECT_TRUE(edit.set_files_max("bob", 7));
    EXPECT_TRUE(edit.set_used_space("bob", 1024));
    EXPECT_TRUE(edit.set_display_name("bob", "Bob B."));
    return {};
  }));
  EXPECT_EQ(folder.read("accounts.ini"),
            "# mine\n[alice]\nshoe_size = 43\npassword: " + kVerifier +
                "\ntotal_space = 10GiB\n\n# about bob\n[bob]\ntotal_space = 5M\n"
                "preserve_owners = yes\nfiles_max = 7\nused_space = 1024\nname = Bob B.\n");
  struct stat status{};
  ASSERT_EQ(::stat(folder.file("accounts.ini").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST(EditAccounts, MakesTheFileForTheFirstAccount) {
  const TemporaryFolder folder;
  ASSERT_TRUE(edit_accounts(folder.file("accounts.ini"),
                            [](AccountsEdit& edit) { return edit.add("alice"); }));
  EXPECT_EQ(folder.read("accounts.ini"), "[alice]\nname = alice\n");
  struct stat status{};
  ASSERT_EQ(::stat(folder.file("accounts.ini").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(EditAccounts, SaysWhatCannotBeDone) {
  const TemporaryFolder folder;
  folder.write("accounts.ini", "[alice]\n");
  ASSERT_TRUE(edit_accounts(folder.file("accounts.ini"), [](AccountsEdit& edit) -> Result<> {
    EXPECT_TRUE(edit.has("alice"));
    EXPECT_FALSE(edit.has("bob"));
    EXPECT_EQ(edit.add("alice").error().status, Status::kExists);
    EXPECT_EQ(edit.add("a/b").error().status, Status::kInvalid);
    EXPECT_EQ(edit.remove("bob").error().status, Status::kNoSuchFile);
    EXPECT_EQ(edit.set_total_space("bob", 1).error().status, Status::kNoSuchFile);
    EXPECT_EQ(edit.set_password("alice", "hunter2").error().status, Status::kInvalid);
    EXPECT_EQ(edit.set_display_name("alice", "a\nb").error().status, Status::kInvalid);
    return {};
  }));
  EXPECT_EQ(folder.read("accounts.ini"), "[alice]\n");
}

TEST(EditAccounts, DoesNotTouchAFileItCannotRead) {
  const TemporaryFolder folder;
  folder.write("accounts.ini", "[alice]\ndisabled = maybe\n");
  const Result<> edited = edit_accounts(folder.file("accounts.ini"),
                                        [](AccountsEdit& edit) { return edit.add("bob"); });
  ASSERT_FALSE(edited);
  EXPECT_EQ(edited.error().status, Status::kConfigError);
  EXPECT_EQ(folder.read("accounts.ini"), "[alice]\ndisabled = maybe\n");
}

TEST(EditAccounts, RefusesToWriteWhatCouldNotBeReadAgain) {
  const TemporaryFolder folder;
  folder.write("accounts.ini", "[alice]\n");
  const Result<> edited =
      edit_accounts(folder.file("accounts.ini"), [](AccountsEdit& edit) -> Result<> {
        return edit.set_total_space("alice", ~std::uint64_t{0});
      });
  ASSERT_FALSE(edited);
  EXPECT_EQ(folder.read("accounts.ini"), "[alice]\n");
}

// Adds `count` accounts, one edit each.
void add_accounts(const std::filesystem::path& path, const std::string& prefix, int count) {
  for (int i = 0; i < count; ++i) {
    const Result<> added = edit_accounts(
        path, [&](AccountsEdit& edit) { return edit.add(prefix + std::to_string(i)); });
    if (!added) std::_Exit(1);
  }
}

TEST(EditAccounts, ThreadsAndProcessesLoseNoEditOfEachOther) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.file("accounts.ini");
  constexpr int kEach = 15;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    add_accounts(path, "p", kEach);
    std::_Exit(0);
  }
  {
    std::vector<std::jthread> threads;
    for (const char* prefix : {"x", "y", "z"}) {
      threads.emplace_back([&path, prefix] { add_accounts(path, prefix, kEach); });
    }
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const Result<Accounts> accounts = Accounts::load(path);
  ASSERT_TRUE(accounts) << accounts.error().context;
  EXPECT_EQ(accounts->all().size(), 4u * kEach);
  EXPECT_EQ(folder.entries(), 2u) << "only accounts.ini and its lock are left";
}

}  // namespace
}  // namespace homefs
