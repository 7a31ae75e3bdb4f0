// Pages of a mapping, which a kernel writes back late: they undo nothing that came after the
// stores.

#include <gtest/gtest.h>

#include "server/foreign_changes.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

class MappedPages : public testing::Test {
 protected:
  std::string all_of(NodeId node) { return session_.read(node, 0, kPayloadBytesMax).payload; }
  std::uint64_t order_now() { return session_.getattr(file_)->attributes.order; }

  TestHome home_;
  TestSession session_{home_};
  TestSession other_{home_};
  const NodeId file_ = session_.make_file(kRootNode, "f", std::string(8192, 'a'));
  const NodeId theirs_ = other_.find(kRootNode, "f");
};

TEST_F(MappedPages, NeverMakeAFileLonger) {
  ASSERT_EQ(session_.truncate(file_, 100).status, Status::kOk);
  const auto written = session_.write_back(file_, 0, std::string(4096, 'p'), order_now());
  ASSERT_EQ(written.status, Status::kOk);
  EXPECT_EQ(written->attributes.size, 100u);
  EXPECT_EQ(all_of(file_), std::string(100, 'p'));
  const auto behind = session_.write_back(file_, 4096, std::string(4096, 'p'), order_now());
  ASSERT_EQ(behind.status, Status::kOk);
  EXPECT_EQ(behind->attributes.size, 100u);
  EXPECT_EQ(home_->usage().bytes, 100u) << "no more is counted than the file has";
}

TEST_F(MappedPages, DoNotComeBackWhenTheFileWasCutAndGrewAgain) {
  const std::uint64_t known = order_now();
  ASSERT_EQ(other_.truncate(theirs_, 100).status, Status::kOk);
  ASSERT_EQ(other_.truncate(theirs_, 8192).status, Status::kOk);
  ASSERT_EQ(session_.write_back(file_, 0, std::string(8192, 'p'), known).status, Status::kOk);
  EXPECT_EQ(all_of(file_), std::string(100, 'p') + std::string(8092, '\0'));
  // Stored when the kernel knew of the cut, or a session that does not know.
  ASSERT_EQ(session_.write_back(file_, 200, "new", order_now()).status, Status::kOk);
  ASSERT_EQ(session_.write_back(file_, 300, "new", UINT64_MAX).status, Status::kOk);
  EXPECT_EQ(all_of(file_).substr(200, 3), "new");
  EXPECT_EQ(all_of(file_).substr(300, 3), "new");
}

TEST_F(MappedPages, AreNotCutByWhatTheirOwnSessionHasCut) {
  const std::uint64_t known = order_now();
  ASSERT_EQ(session_.truncate(file_, 100).status, Status::kOk);
  ASSERT_EQ(session_.truncate(file_, 8192).status, Status::kOk);
  ASSERT_EQ(session_.write_back(file_, 4096, "page", known).status, Status::kOk);
  EXPECT_EQ(all_of(file_).substr(4096, 4), "page");
}

TEST_F(MappedPages, OfALateSessionAreRefusedWhereOthersHaveChangedTheFile) {
  std::uint64_t state = 0;
  ForeignNotes notes{};
  ForeignChanges foreign(state, notes);
  session_->keep_foreign_changes(foreign);
  const std::uint64_t known = order_now();
  session_->begin_late();
  const std::uint64_t of_another_file = order_now();
  ASSERT_EQ(other_.write(theirs_, 5000, "theirs").status, Status::kOk);
  EXPECT_EQ(session_.write_back(file_, 0, std::string(4096, 'p'), known).status, Status::kOk)
      << "nobody has changed that page";
  EXPECT_EQ(session_.write_back(file_, 4096, std::string(4096, 'p'), known).status,
            Status::kLeaseLost);
  EXPECT_EQ(session_.write_back(file_, 4096, std::string(4096, 'p'), UINT64_MAX).status,
            Status::kLeaseLost);
  EXPECT_EQ(session_.write_back(file_, 4096, std::string(4096, 'p'), of_another_file).status,
            Status::kLeaseLost);
  EXPECT_EQ(all_of(file_).substr(5000, 6), "theirs");
  EXPECT_EQ(session_.write_back(file_, 4096, "known", order_now()).status, Status::kOk)
      << "its kernel has been told of what came since";
  session_->end_late();
  EXPECT_EQ(session_.write_back(file_, 4096, "older", known).status, Status::kOk);
}

TEST_F(MappedPages, LeaveATimeThatAnotherSessionHasSetSince) {
  const std::uint64_t known = order_now();
  const Timestamp set{1'000'000'000, 7};
  ASSERT_EQ(other_.setattr({.node = theirs_, .which = kSetMtime, .mtime = set}).status,
            Status::kOk);
  const auto old = session_.write_back(file_, 0, "old", known);
  ASSERT_EQ(old.status, Status::kOk);
  EXPECT_EQ(old->attributes.mtime, set);
  EXPECT_EQ(all_of(file_).substr(0, 3), "old");
  const auto later = session_.write_back(file_, 0, "new", order_now());
  ASSERT_EQ(later.status, Status::kOk);
  EXPECT_GT(later->attributes.mtime, set);
}

}  // namespace
}  // namespace homefs
