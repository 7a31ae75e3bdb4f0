// What a request that failed half way has changed is told to the other sessions all the same.

#include "server/touched.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "protocol/block.h"
#include "protocol/block_md5.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::bytes_of;
using test::pattern;
using test::TestHome;
using test::TestSession;

// The kernel writes up to the limit and refuses the rest, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    (void)::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    rlimit tight = before_;
    tight.rlim_cur = bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  }
  ~FileSizeLimit() { EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

class TouchedByRequests : public ::testing::Test {
 protected:
  static std::vector<Change> data_of(InodeNumber inode, std::uint64_t size) {
    return {{.inode = inode, .name = {}, .has_data = true, .size = size}};
  }

  TestHome home_;
  TestSession session_{home_};
};

TEST_F(TouchedByRequests, AWriteThatTheDiskEndsHalfWay) {
  const NodeId file = session_.make_file(kRootNode, "f", pattern(8192));
  const InodeNumber inode = session_.getattr(file)->attributes.inode;
  {
    const FileSizeLimit limit(4096);
    const auto written = session_.write(file, 0, std::string(8192, 'B'));
    EXPECT_EQ(written.status, Status::kTooBig);
    EXPECT_EQ(written.changes, data_of(inode, 8192));
  }
  EXPECT_EQ(session_.read(file, 0, 4096).payload, std::string(4096, 'B'));
}

TEST_F(TouchedByRequests, ACopyThatTheDiskEndsHalfWay) {
  const NodeId source = session_.make_file(kRootNode, "s", std::string(8192, 'B'));
  const NodeId target = session_.make_file(kRootNode, "t", pattern(8192));
  const FileSizeLimit limit(4096);
  const auto copied = session_.call<CopyReply>(
      Op::kCopy, CopyRequest{.source = source, .target = target, .length = 8192});
  // The kernel may say how much it has copied instead.
  EXPECT_EQ(copied.changes, data_of(session_.getattr(target)->attributes.inode, 8192));
}

TEST_F(TouchedByRequests, AWriteWhoseChangeOfAttributesIsRefused) {
  const NodeId file = session_.make_file(kRootNode, "f", "before");
  const InodeNumber inode = session_.getattr(file)->attributes.inode;
  WriteRequest request{.node = file, .offset = 0};
  request.digests.resize(1);
  md5_pieces(0, bytes_of("after!"), request.digests);
  request.then = {{.node = file, .which = kSetUid, .uid = 12345}};
  const auto written = session_.call<ChangeReply>(Op::kWrite, request, "after!");
  EXPECT_EQ(written.status, Status::kNotPermitted);
  EXPECT_EQ(written.changes, data_of(inode, 6));
  EXPECT_EQ(session_.read(file, 0, 10).payload, "after!");
}

TEST_F(TouchedByRequests, ATruncationThatTheDiskRefuses) {
  const NodeId file = session_.make_file(kRootNode, "f", "before");
  const InodeNumber inode = session_.getattr(file)->attributes.inode;
  const FileSizeLimit limit(4096);
  const auto cut = session_.truncate(file, 8192);
  EXPECT_EQ(cut.status, Status::kTooBig);
  EXPECT_EQ(cut.changes, data_of(inode, 6));
}

TEST_F(TouchedByRequests, NothingByWhatIsRefusedBeforehand) {
  const NodeId file = session_.make_file(kRootNode, "f", "x");
  session_.make_folder(kRootNode, "d");
  session_.make_file(session_.find(kRootNode, "d"), "g");
  EXPECT_TRUE(session_.create(kRootNode, "f", TestSession::next_node()).changes.empty());
  EXPECT_TRUE(session_.unlink(kRootNode, "none").changes.empty());
  EXPECT_TRUE(session_.unlink(kRootNode, "d").changes.empty());
  EXPECT_TRUE(session_.rmdir(kRootNode, "d").changes.empty());
  EXPECT_TRUE(session_.link(file, kRootNode, "d").changes.empty());
  EXPECT_TRUE(session_.rename(kRootNode, "f", kRootNode, "d").changes.empty());
  EXPECT_TRUE(session_.rename(kRootNode, "f", kRootNode, "f").changes.empty());
}

TEST_F(TouchedByRequests, NothingByAWriteOverTheQuota) {
  TestHome home({.bytes_max = 1});
  TestSession session(home);
  const NodeId file = session.make_file(kRootNode, "f", "x");
  const auto refused = session.write(file, 1, "y");
  EXPECT_EQ(refused.status, Status::kOverQuota);
  EXPECT_TRUE(refused.changes.empty());
}

TEST_F(TouchedByRequests, EachNameAndInodeIsToldOnce) {
  const InodeRef folder = home_->root();
  const Name name = *Name::make("a");
  Touched touched;
  touched.attributes(folder);
  touched.entry(folder, name);
  touched.data(folder, 9);
  touched.sized(*folder, 10);
  touched.entry(folder, name, InodeNumber{7});
  EXPECT_EQ(
      touched.changes(),
      (std::vector<Change>{{.inode = folder->number(), .name = "a", .target = InodeNumber{7}},
                           {.inode = folder->number(), .name = {}, .has_data = true, .size = 10}}));
  EXPECT_EQ(touched.inodes().size(), 2u);
}

}  // namespace
}  // namespace homefs
