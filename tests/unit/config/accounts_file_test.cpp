#include "config/accounts_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// An AccountsFile in a folder of its own, with clocks that move by hand. The wall clock stands at
// an hour after each file's time, so that files are old unless a test says otherwise.
class AccountsFileTest : public testing::Test {
 protected:
  AccountsFileTest() { write("[alice]\n"); }

  AccountsFile::Options options() {
    AccountsFile::Options options;
    options.on_problem = [this](const std::string& problem) { problems_.push_back(problem); };
    options.now = [this] { return std::chrono::steady_clock::time_point(now_); };
    options.wall_now = [this] { return std::chrono::system_clock::time_point(wall_now_); };
    return options;
  }

  // Writes in place and gives the file a new time, as an editor does.
  void write(std::string_view text) {
    folder_.write("accounts.ini", text);
    file_time_ += seconds(10);
    const timespec time{file_time_.count(), 0};
    const timespec times[2] = {time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
    wall_now_ = file_time_ + std::chrono::hours(1);
  }

  // Writes beside the file and renames, as most editors do.
  void replace(std::string_view text) { ASSERT_TRUE(replace_text_file(path_, text, 0600)); }

  bool has(std::string_view name) {
    const auto accounts = file_.current();
    EXPECT_TRUE(accounts) << accounts.error().context;
    return accounts && (*accounts)->find(name) != nullptr;
  }

  void pass(milliseconds time) { now_ += time; }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.file("accounts.ini");
  std::chrono::nanoseconds now_{seconds(1)};
  std::chrono::nanoseconds wall_now_{};
  seconds file_time_{1'000'000};
  std::vector<std::string> problems_;
  AccountsFile file_{path_, options()};
};

TEST_F(AccountsFileTest, SeesAnEditWithoutARestart) {
  EXPECT_TRUE(has("alice"));
  write("[alice]\n[bob]\n");
  pass(milliseconds(200));
  EXPECT_TRUE(has("bob"));
  replace("[carol]\n");
  pass(milliseconds(200));
  EXPECT_TRUE(has("carol"));
  EXPECT_FALSE(has("bob"));
  EXPECT_TRUE(problems_.empty());
}

TEST_F(AccountsFileTest, LooksAtTheFileOnlyOnceInAnInterval) {
  EXPECT_TRUE(has("alice"));
  write("[alice]\n[bob]\n");
  pass(milliseconds(199));
  EXPECT_FALSE(has("bob"));
  pass(milliseconds(1));
  EXPECT_TRUE(has("bob"));
}

TEST_F(AccountsFileTest, HandsOutTheSameAccountsWhileNothingChanges) {
  const auto first = file_.current();
  pass(seconds(1));
  const auto second = file_.current();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  write("[alice]\n");  // Touched, but the same.
  pass(seconds(1));
  EXPECT_EQ(*first, *file_.current());
}

TEST_F(AccountsFileTest, KeepsAnOldVersionAliveForThoseWhoUseIt) {
  const auto before = *file_.current();
  replace("[bob]\n");
  pass(seconds(1));
  EXPECT_TRUE(has("bob"));
  EXPECT_NE(before->find("alice"), nullptr);
}

TEST_F(AccountsFileTest, GoesOnWithTheLastGoodVersionAndTellsOnce) {
  EXPECT_TRUE(has("alice"));
  replace("[alice]\ndisabled = maybe\n");
  for (int i = 0; i < 3; ++i) {
    pass(seconds(1));
    EXPECT_TRUE(has("alice"));
  }
  ASSERT_EQ(problems_.size(), 1u);
  EXPECT_EQ(problems_[0],
            path_.string() + ":2: alice.disabled: expected yes or no, found \"maybe\"");
  replace("[alice]\n[bob]\n");
  pass(seconds(1));
  EXPECT_TRUE(has("bob"));
  EXPECT_EQ(problems_.size(), 1u);
  replace("[alice]\ndisabled = maybe\n");
  pass(seconds(1));
  EXPECT_TRUE(has("bob"));
  EXPECT_EQ(problems_.size(), 2u) << "the same mistake made again is told again";
}

TEST_F(AccountsFileTest, GoesOnWhileTheFileIsMissing) {
  EXPECT_TRUE(has("alice"));
  std::filesystem::remove(path_);
  for (int i = 0; i < 3; ++i) {
    pass(seconds(1));
    EXPECT_TRUE(has("alice"));
  }
  EXPECT_EQ(problems_,
            std::vector<std::string>{"open " + path_.string() + ": no such file or directory"});
  write("[bob]\n");
  pass(seconds(1));
  EXPECT_TRUE(has("bob"));
}

TEST_F(AccountsFileTest, FailsOnlyWhileThereNeverWasAGoodVersion) {
  replace("nonsense");
  const auto accounts = file_.current();
  ASSERT_FALSE(accounts);
  EXPECT_EQ(accounts.error().context,
            path_.string() + ":1: expected [name], key = value or # comment");
  replace("[alice]\n");
  pass(seconds(1));
  EXPECT_TRUE(has("alice"));
}

TEST_F(AccountsFileTest, PassesWarningsOn) {
  replace("[alice]\ndisabeld = yes\n");
  EXPECT_TRUE(has("alice"));
  EXPECT_EQ(problems_,
            std::vector<std::string>{
                path_.string() + ":2: alice.disabeld: unknown key, did you mean \"disabled\"?"});
}

TEST_F(AccountsFileTest, DoesNotTakeAHalfWrittenFileForRemovedAccounts) {
  write("[alice]\n[bob]\n");
  EXPECT_TRUE(has("bob"));
  write("");  // What an editor that writes in place leaves for a moment.
  wall_now_ = file_time_ + milliseconds(100);
  pass(seconds(1));
  EXPECT_TRUE(has("bob"));
  wall_now_ = file_time_ + milliseconds(499);
  pass(seconds(1));
  EXPECT_TRUE(has("bob"));
  wall_now_ = file_time_ + milliseconds(500);
  pass(seconds(1));
  EXPECT_FALSE(has("bob"));
}

TEST_F(AccountsFileTest, BelievesAShorterFileAtOnceIfItWasRenamedIntoPlace) {
  write("[alice]\n[bob]\n");
  EXPECT_TRUE(has("bob"));
  replace("[alice]\n");
  const Result<FileVersion> version = file_version(path_);
  ASSERT_TRUE(version);
  wall_now_ = version->modified;
  pass(seconds(1));
  EXPECT_FALSE(has("bob"));
}

TEST_F(AccountsFileTest, DoesNotWaitForATimeInTheFuture) {
  write("[alice]\n[bob]\n");
  EXPECT_TRUE(has("bob"));
  write("[alice]\n");
  wall_now_ = file_time_ - seconds(1);
  pass(seconds(1));
  EXPECT_FALSE(has("bob"));
}

TEST_F(AccountsFileTest, SeesASecondEditWithinOneTickOfTheFilesClock) {
  const auto set_time = [&](seconds time) {
    const timespec both[2] = {{time.count(), 0}, {time.count(), 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path_.c_str(), both, 0), 0);
  };
  write("[alice]\n");
  wall_now_ = file_time_;  // Just written.
  EXPECT_TRUE(has("alice"));
  folder_.write("accounts.ini", "[carol]\n");  // The same size and, below, the same time.
  set_time(file_time_);
  pass(seconds(1));
  EXPECT_TRUE(has("carol"));
}

TEST_F(AccountsFileTest, ShowsItsOwnEditAtOnce) {
  EXPECT_TRUE(has("alice"));
  ASSERT_TRUE(file_.edit([](AccountsEdit& edit) { return edit.add("bob"); }));
  EXPECT_TRUE(has("bob"));
  ASSERT_TRUE(file_.edit([](AccountsEdit& edit) { return edit.remove("alice"); }));
  EXPECT_FALSE(has("alice"));
  EXPECT_FALSE(file_.edit([](AccountsEdit& edit) { return edit.remove("alice"); }));
}

TEST(AccountsFileThreads, ReadersAlwaysSeeAWholeVersionWhileWritersEdit) {
  const TemporaryFolder folder;
  folder.write("accounts.ini", "[a0]\n[b0]\n");
  AccountsFile::Options options;
  options.check_interval = milliseconds(0);
  AccountsFile file(folder.file("accounts.ini"), options);
  std::atomic<bool> is_done = false;
  std::atomic<int> reads = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      do {
        const auto accounts = file.current();
        ASSERT_TRUE(accounts) << accounts.error().context;
        // Every version has as many of a as of b.
        EXPECT_EQ((*accounts)->all().size() % 2, 0u);
        ++reads;
      } while (!is_done);
    });
  }
  for (int i = 1; i <= 20; ++i) {
    const Result<> edited = file.edit([&](AccountsEdit& edit) -> Result<> {
      if (Result<> added = edit.add("a" + std::to_string(i)); !added) return added;
      return edit.add("b" + std::to_string(i));
    });
    ASSERT_TRUE(edited) << edited.error().context;
    const auto accounts = file.current();
    ASSERT_TRUE(accounts);
    EXPECT_NE((*accounts)->find("b" + std::to_string(i)), nullptr);
  }
  is_done = true;
  readers.clear();
  EXPECT_GT(reads.load(), 0);
}

}  // namespace
}  // namespace homefs
