// What Home finds out after a kill, where tests that kill a server do not come by: the moment in
// which another session has moved what the facts name by its path, and halves that cannot be
// finished.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

class HomeRecovery : public testing::Test {
 protected:
  KnownInode known(const std::string& path) const {
    const auto stat = disk::stat_at(AT_FDCWD, (home_.root() / path).c_str());
    EXPECT_TRUE(stat) << path;
    return {number_of(stat->attributes.inode), stat->birth_ns, stat->disk_mode & S_IFMT};
  }
  ChangeFacts facts_of(ChangeKind kind, const std::string& path) const {
    ChangeFacts facts{.path = path};
    facts.numbers.kind = kind;
    facts.numbers.at = known(path);
    return facts;
  }

  std::optional<ChangeOutcome> resolve(const ChangeFacts& facts) {
    const auto outcome = home_->resolve(facts);
    EXPECT_TRUE(outcome) << outcome.error().message();
    return outcome.value_or(std::nullopt);
  }

  test::TestHome home_;
  test::TestSession session_{home_};
  NodeId folder_ = session_.make_folder(session_.make_folder(kRootNode, "above"), "folder");
  NodeId file_ = session_.make_file(folder_, "file", std::string(100, 'x'));
};

TEST_F(HomeRecovery, FindsWhatWasMovedAfterItWasWrittenDown) {
  ChangeFacts facts = facts_of(ChangeKind::kMake, "above/folder");
  facts.name = "file";
  facts.numbers.mode = S_IFREG | 0640;
  for (const std::string path : {"above/folder", "elsewhere/folder", ""}) {
    facts.path = path;
    const auto outcome = resolve(facts);
    ASSERT_TRUE(outcome) << path;
    EXPECT_EQ(outcome->attributes.inode, session_.getattr(file_)->attributes.inode);
    EXPECT_EQ(outcome->attributes.mode, S_IFREG | 0640u) << "it was made, and not finished";
    EXPECT_EQ(outcome->parent.inode, session_.getattr(folder_)->attributes.inode);
  }
  facts.name = "another";
  EXPECT_FALSE(resolve(facts));
}

TEST_F(HomeRecovery, TakesNoOtherInodeForTheOneThatWasMeant) {
  ChangeFacts facts = facts_of(ChangeKind::kSetattr, "above/folder/file");
  facts.numbers.setattr = {.which = kSetSize, .size = 7};
  ++facts.numbers.at.birth_ns;  // the one that is meant is gone
  EXPECT_FALSE(resolve(facts));
  EXPECT_EQ(session_.getattr(file_)->attributes.size, 100u);
  --facts.numbers.at.birth_ns;
  EXPECT_TRUE(resolve(facts));
  EXPECT_EQ(session_.getattr(file_)->attributes.size, 7u);
}

TEST_F(HomeRecovery, FindsAnOrphanByItsNumber) {
  ChangeFacts facts = facts_of(ChangeKind::kSetattr, "above/folder/file");
  facts.numbers.setattr = {.which = kSetSize, .size = 7};
  session_.unlink(folder_, "file", /*keep=*/true);
  EXPECT_TRUE(resolve(facts));
  EXPECT_EQ(session_.getattr(file_)->attributes.size, 7u);
}

TEST_F(HomeRecovery, LeavesNothingOfHalfAnAppend) {
  ChangeFacts facts = facts_of(ChangeKind::kAppend, "above/folder/file");
  facts.numbers.size = 40;
  facts.numbers.length = 61;
  EXPECT_FALSE(resolve(facts));
  EXPECT_EQ(session_.getattr(file_)->attributes.size, 40u);
  facts.numbers.size = 30;
  facts.numbers.length = 10;
  const auto outcome = resolve(facts);
  ASSERT_TRUE(outcome) << "all of it is there";
  EXPECT_EQ(outcome->number, 30u);
}

TEST_F(HomeRecovery, TakesBackACopyWhoseSourceIsGone) {
  session_.make_file(kRootNode, "source", std::string(50, 's'));
  ChangeFacts facts = facts_of(ChangeKind::kCopy, "above/folder/file");
  facts.numbers.size = 60;
  facts.numbers.offset = 60;
  facts.numbers.length = 50;
  facts.numbers.to = known("source");
  facts.to_path = "source";
  const auto outcome = resolve(facts);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->number, 50u);
  EXPECT_EQ(session_.read(file_, 55, 10).payload, "xxxxxsssss");
  session_.unlink(kRootNode, "source");
  EXPECT_FALSE(resolve(facts));
  EXPECT_EQ(session_.getattr(file_)->attributes.size, 60u);
}

// No descriptor is to be had for as long as it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_F(HomeRecovery, TakesNoErrorForAnAnswer) {
  for (const ChangeKind kind : {ChangeKind::kMake, ChangeKind::kRemove, ChangeKind::kRename}) {
    ChangeFacts facts = facts_of(kind, "above/folder");
    facts.name = "file";
    facts.numbers.subject = known("above/folder/file").number;
    facts.numbers.mode = S_IFREG | 0644;
    facts.numbers.to = facts.numbers.at;
    facts.to_path = facts.path;
    facts.new_name = "new";
    while (home_.descriptors().size() > 0) home_.descriptors().shrink();
    const NoDescriptors none;
    EXPECT_FALSE(home_->resolve(facts)) << static_cast<int>(kind);
  }
  ChangeFacts facts = facts_of(ChangeKind::kRemove, "above/folder");
  facts.name = "file";
  facts.numbers.subject = known("above/folder/file").number;
  EXPECT_FALSE(resolve(facts)) << "it was not done, and the disk tells again";
}

}  // namespace
}  // namespace homefs
