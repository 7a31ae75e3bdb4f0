// An fsync covers what the session has changed before, once, and costs nothing when that is
// nothing.

#include "server/sync_debt.h"

#include <gtest/gtest.h>

#include "server/inode_table.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

class Debts : public ::testing::Test {
 protected:
  // The numbers of what is synced; "all" for the file system.
  std::vector<std::string> settle(SyncDebt& debt, Status outcome = Status::kOk) {
    std::vector<std::string> synced;
    const auto done = debt.settle({.sync_inode = [&](const InodeRef& inode) -> Result<void> {
                                     synced.push_back(std::to_string(number_of(inode->number())));
                                     if (outcome != Status::kOk) return fail(outcome);
                                     return {};
                                   },
                                   .sync_all = [&]() -> Result<void> {
                                     synced.emplace_back("all");
                                     if (outcome != Status::kOk) return fail(outcome);
                                     return {};
                                   }});
    EXPECT_EQ(done.has_value(), outcome == Status::kOk);
    return synced;
  }

  TestHome home_;
  TestSession session_{home_};
  SyncDebt debt_;
};

TEST_F(Debts, ArePaidOnceAndAfterAnErrorOwedStill) {
  EXPECT_TRUE(settle(debt_).empty());
  const std::vector<InodeRef> touched{home_->root(), home_->root()};
  debt_.add(touched);
  EXPECT_EQ(settle(debt_, Status::kIoError).size(), 1u);
  EXPECT_EQ(settle(debt_).size(), 1u);
  EXPECT_TRUE(settle(debt_).empty());
}

TEST_F(Debts, OfManyInodesAreThoseOfTheFileSystem) {
  std::vector<InodeRef> touched;
  for (std::size_t i = 0; i <= SyncDebt::kInodesMax; ++i) {
    const NodeId node = session_.make_file(kRootNode, std::to_string(i));
    touched.push_back(home_->inodes().find(session_.getattr(node)->attributes.inode));
  }
  debt_.add(touched);
  EXPECT_EQ(debt_.size(), 1u) << "bounded";
  EXPECT_EQ(settle(debt_, Status::kIoError), std::vector<std::string>{"all"});
  EXPECT_EQ(settle(debt_), std::vector<std::string>{"all"});
  EXPECT_TRUE(settle(debt_).empty());
  debt_.add_all();
  EXPECT_EQ(settle(debt_), std::vector<std::string>{"all"});
}

TEST_F(Debts, AnFsyncOfAnotherFilePaysForNamesAndForWhatIsGone) {
  const NodeId from = session_.make_folder(kRootNode, "x");
  const NodeId file = session_.make_file(kRootNode, "g");
  session_.make_file(from, "a");
  session_.rename(from, "a", kRootNode, "b");
  session_.unlink(kRootNode, "b");
  session_.rmdir(kRootNode, "x");
  for (const bool data_only : {true, false}) {
    EXPECT_EQ(session_.call<EmptyMessage>(Op::kFsync, FsyncRequest{file, data_only}).status,
              Status::kOk);
  }
}

}  // namespace
}  // namespace homefs
