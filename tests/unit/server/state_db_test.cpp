#include "server/state_db.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace homefs {
namespace {

class StateDbTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "state_db.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    open();
  }
  void TearDown() override {
    state_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    auto state = StateDb::open(folder_ / "state.db");
    ASSERT_TRUE(state) << state.error().message();
    state_ = std::move(*state);
  }
  static DeviceToken token(const std::string& id, const std::string& account = "alice") {
    return {.id = id, .account = account, .label = "laptop", .verifier = "v-" + id, .created = 100};
  }

  std::filesystem::path folder_;
  std::unique_ptr<StateDb> state_;
};

TEST_F(StateDbTest, KeepsTokensOverARestart) {
  ASSERT_TRUE(state_->add_token(token("t1")));
  ASSERT_TRUE(state_->touch_token("t1", 200));
  state_.reset();
  open();
  const auto found = state_->find_token("t1");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->account, "alice");
  EXPECT_EQ((*found)->label, "laptop");
  EXPECT_EQ((*found)->verifier, "v-t1");
  EXPECT_EQ((*found)->created, 100);
  EXPECT_EQ((*found)->last_used, 200);
}

TEST_F(StateDbTest, DoesNotFindWhatWasRevoked) {
  ASSERT_TRUE(state_->add_token(token("t1")));
  ASSERT_TRUE(state_->revoke_token("alice", "t1"));
  EXPECT_FALSE(state_->find_token("t1")->has_value());
  EXPECT_EQ(state_->revoke_token("alice", "t1").error().status, Status::kNoSuchFile);
}

TEST_F(StateDbTest, DoesNotRevokeATokenOfAnotherAccount) {
  ASSERT_TRUE(state_->add_token(token("t1", "bob")));
  EXPECT_FALSE(state_->revoke_token("alice", "t1"));
  EXPECT_TRUE(state_->find_token("t1")->has_value());
}

TEST_F(StateDbTest, ListsTheTokensOfOneAccountOrOfAll) {
  ASSERT_TRUE(state_->add_token(token("t1")));
  ASSERT_TRUE(state_->add_token(token("t2", "bob")));
  EXPECT_EQ(state_->list_tokens("alice")->size(), 1u);
  EXPECT_EQ(state_->list_tokens("")->size(), 2u);
}

TEST_F(StateDbTest, AnAccountThatWasForgottenHasNoTokensAndIsAnotherOne) {
  ASSERT_TRUE(state_->add_token(token("t1")));
  ASSERT_TRUE(state_->add_token(token("t2", "bob")));
  const std::string alice = *state_->account_id("alice");
  const std::string bob = *state_->account_id("bob");
  EXPECT_EQ(*state_->account_id("alice"), alice);
  EXPECT_NE(alice, bob);
  ASSERT_TRUE(state_->forget_account("alice"));
  EXPECT_EQ(state_->list_tokens("")->size(), 1u);
  EXPECT_NE(*state_->account_id("alice"), alice);
  EXPECT_EQ(*state_->account_id("bob"), bob);
}

TEST_F(StateDbTest, LimitsTheTokensOfAnAccount) {
  for (std::size_t i = 0; i < kTokensPerAccountMax; ++i) {
    ASSERT_TRUE(state_->add_token(token("t" + std::to_string(i))));
  }
  EXPECT_EQ(state_->add_token(token("more")).error().status, Status::kTooManyOpen);
  EXPECT_TRUE(state_->add_token(token("of-bob", "bob")));
}

TEST_F(StateDbTest, TakesTextAsTextAndNeverAsSql) {
  const std::string nasty = "x'; DROP TABLE tokens; --";
  ASSERT_TRUE(state_->add_token(token(nasty, nasty)));
  EXPECT_TRUE(state_->find_token(nasty)->has_value());
  EXPECT_EQ(state_->list_tokens(nasty)->size(), 1u);
}

TEST_F(StateDbTest, RemembersTheUseOfEachHome) {
  EXPECT_FALSE(state_->load_usage("alice", "boot")->has_value());
  const UsageCheckpoint checkpoint{.usage = {.bytes = 1'000'000'000'000, .files = 7},
                                   .is_clean = true};
  StateDbUsage usage(*state_, "alice", "boot");
  ASSERT_TRUE(usage.save({}));
  ASSERT_TRUE(usage.save(checkpoint));
  EXPECT_EQ(usage.load()->value(), checkpoint);
  EXPECT_FALSE(state_->load_usage("bob", "boot")->has_value());
  ASSERT_TRUE(state_->forget_home("alice"));
  EXPECT_FALSE(usage.load()->has_value());
}

TEST_F(StateDbTest, DoesNotBelieveAUseOfAnotherBootWhoseFilesMayNotBeThere) {
  const UsageCheckpoint clean{.usage = {.bytes = 1000, .files = 7}, .is_clean = true};
  ASSERT_TRUE(state_->save_usage("alice", clean, "one"));
  EXPECT_EQ(state_->load_usage("alice", "one")->value(), clean);
  const UsageCheckpoint estimate{.usage = clean.usage, .is_clean = false};
  EXPECT_EQ(state_->load_usage("alice", "two")->value(), estimate) << "power was lost meanwhile";
}

TEST_F(StateDbTest, BelievesAUseOfAnotherBootThatWasMadeDurable) {
  const UsageCheckpoint clean{.usage = {.bytes = 1000, .files = 7}, .is_clean = true};
  const UsageCheckpoint open{.usage = {.bytes = 5, .files = 1}, .is_clean = false};
  ASSERT_TRUE(state_->save_usage("alice", clean, "one"));
  ASSERT_TRUE(state_->save_usage("bob", open, "one"));
  ASSERT_TRUE(state_->save_usage("carol", clean, "before"));
  ASSERT_TRUE(state_->note_usage_durable("one"));
  EXPECT_EQ(state_->load_usage("alice", "two")->value(), clean);
  EXPECT_EQ(state_->load_usage("bob", "two")->value(), open);
  EXPECT_FALSE(state_->load_usage("carol", "two")->value().is_clean);
  ASSERT_TRUE(state_->save_usage("alice", clean, "two"));
  EXPECT_FALSE(state_->load_usage("alice", "three")->value().is_clean) << "it was served since";
}

TEST_F(StateDbTest, CountsOnceMoreWhatAnOlderServerHasSaved) {
  state_.reset();
  {
    auto database = SqliteDatabase::open(folder_ / "state.db");
    ASSERT_TRUE(database && database->execute(R"(
      DROP TABLE home_use;
      CREATE TABLE usage (home TEXT PRIMARY KEY NOT NULL, bytes INTEGER NOT NULL,
                          files INTEGER NOT NULL, is_clean INTEGER NOT NULL) STRICT;
      INSERT INTO usage VALUES ('alice', 1000, 7, 1);
      PRAGMA user_version = 1;)"));
  }
  auto state = StateDb::open(folder_ / "state.db");
  ASSERT_TRUE(state) << state.error().message();
  const UsageCheckpoint estimate{.usage = {.bytes = 1000, .files = 7}, .is_clean = false};
  EXPECT_EQ((*state)->load_usage("alice", "boot")->value(), estimate);
}

TEST_F(StateDbTest, KeepsTheFirstValueOfAConstant) {
  EXPECT_EQ(*state_->constant("secret", "one"), "one");
  EXPECT_EQ(*state_->constant("secret", "two"), "one");
  EXPECT_EQ(*state_->constant("other", "two"), "two");
}

TEST_F(StateDbTest, IsReadableByItsOwnerOnly) {
  struct stat status{};
  ASSERT_EQ(::stat((folder_ / "state.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(StateDbTest, RefusesAFileOfANewerVersion) {
  state_.reset();
  {
    auto database = SqliteDatabase::open(folder_ / "state.db");
    ASSERT_TRUE(database && database->execute("PRAGMA user_version = 99"));
  }
  const auto state = StateDb::open(folder_ / "state.db");
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().status, Status::kConfigError);
}

TEST_F(StateDbTest, RefusesAFileThatIsNoDatabase) {
  state_.reset();
  std::filesystem::remove_all(folder_);
  std::filesystem::create_directory(folder_);
  {
    std::ofstream file(folder_ / "state.db");
    for (int i = 0; i < 1000; ++i) file << "not a database\n";
    ASSERT_TRUE(file.good());
  }
  EXPECT_FALSE(StateDb::open(folder_ / "state.db"));
}

TEST_F(StateDbTest, NoticesThatAnotherProcessHasChangedSomething) {
  const auto before = state_->change_number();
  ASSERT_TRUE(state_->add_token(token("mine")));
  EXPECT_EQ(*state_->change_number(), *before) << "our own change";
  auto other = StateDb::open(folder_ / "state.db");
  ASSERT_TRUE(other);
  ASSERT_TRUE((*other)->add_token(token("theirs")));
  EXPECT_NE(*state_->change_number(), *before);
}

}  // namespace
}  // namespace homefs
