// What becomes of saved sessions that cannot be read.

#include "server/session_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>

#include "protocol/base64.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

class SessionStoreTest : public testing::Test {
 protected:
  SessionStoreTest() {
    const auto store = SessionStore::open(sessions_);
    EXPECT_TRUE(store && store->make_record(identity_));
  }
  /// As the next run of the server does. How many sessions it finds.
  Result<std::size_t> load() {
    auto store = SessionStore::open(sessions_);
    if (!store) return std::unexpected(store.error());
    const auto loaded = store->load();
    if (!loaded) return std::unexpected(loaded.error());
    return loaded->size();
  }
  std::filesystem::path file(const std::string& suffix) const {
    return sessions_ / (to_hex(identity_.id) + suffix);
  }

  test::ScratchFolder folder_;
  const std::filesystem::path sessions_ = folder_.path() / "sessions";
  const SessionIdentity identity_{.id = {std::byte{7}}, .account = "alice"};
};

TEST_F(SessionStoreTest, FindsWhatAnEarlierRunHasLeft) { EXPECT_EQ(load().value_or(0), 1u); }

TEST_F(SessionStoreTest, DeletesWhatCannotBeTrusted) {
  std::ofstream(file(".session")) << "damaged";
  EXPECT_EQ(load().value_or(9), 0u);
  EXPECT_FALSE(std::filesystem::exists(file(".session")));
}

TEST_F(SessionStoreTest, LosesNothingWhenTheProcessHasNoDescriptorLeft) {
  auto store = SessionStore::open(sessions_);
  ASSERT_TRUE(store && store->note_orderly_stop());
  store = SessionStore::open(sessions_);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto loaded = store->load();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().status, Status::kTooManyOpen);
  const std::filesystem::path mark = sessions_ / "stopped-in-order";
  EXPECT_TRUE(std::filesystem::exists(mark)) << "they are true in another boot as well";
  EXPECT_EQ(load().value_or(0), 1u);
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(SessionStoreTest, LosesNothingWhenTheProcessHasNoMemoryForASession) {
  auto store = SessionStore::open(sessions_);
  ASSERT_TRUE(store);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit tight = before;
  // Enough for a list of files, too little to map one.
  tight.rlim_cur = pages * 4096 + 64 * 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
  const auto loaded = store->load();
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().status, Status::kNoMemory);
  EXPECT_EQ(load().value_or(0), 1u);
}

// A symlink stands for a file that the disk does not give.
TEST_F(SessionStoreTest, SetsAsideWhatTheDiskDoesNotGive) {
  std::filesystem::rename(file(".session"), folder_.path() / "session");
  std::filesystem::create_symlink(folder_.path() / "session", file(".session"));
  std::ofstream(file(".locks")) << "locks";
  EXPECT_EQ(load().value_or(9), 0u);
  EXPECT_FALSE(std::filesystem::exists(file(".session"))) << "a later run would take it up";
  EXPECT_EQ(load().value_or(9), 0u);
  EXPECT_TRUE(std::filesystem::exists(file(".session.unreadable")));
  EXPECT_TRUE(std::filesystem::exists(file(".locks.unreadable")));
}

// Without its locks it would go on as if it had never had them.
TEST_F(SessionStoreTest, TakesNoSessionUpWithoutTheLocksThatTheDiskDoesNotGive) {
  std::filesystem::create_symlink("nowhere", file(".locks"));
  EXPECT_EQ(load().value_or(9), 0u);
}

TEST_F(SessionStoreTest, DeletesLocksWithoutASession) {
  std::filesystem::remove(file(".session"));
  std::ofstream(file(".locks")) << "locks";
  EXPECT_EQ(load().value_or(9), 0u);
  EXPECT_FALSE(std::filesystem::exists(file(".locks")));
}

}  // namespace
}  // namespace homefs
