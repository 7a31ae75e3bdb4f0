#include "protocol/op.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace homefs {
namespace {

TEST(Op, NamesAreUniqueAndFitForLogs) {
  std::set<std::string_view> names;
  int count = 0;
  for (int number = 0; number < 65536; ++number) {
    const OpTraits* traits = find_op(static_cast<std::uint16_t>(number));
    if (traits == nullptr) continue;
    ++count;
    EXPECT_EQ(static_cast<int>(traits->op), number);
    EXPECT_EQ(traits->name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"),
              std::string_view::npos);
    EXPECT_EQ(name_of(traits->op), traits->name);
    names.insert(traits->name);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(count));
  EXPECT_EQ(count, 43);
}

TEST(Op, IsInSequenceExactlyWhereItChangesNamesOrMetadataOrLocksOrAppendsOrCopies) {
  const std::set<Op> changes = {Op::kCreate,  Op::kMkdir,    Op::kMknod,       Op::kSymlink,
                                Op::kLink,    Op::kUnlink,   Op::kRmdir,       Op::kRename,
                                Op::kSetattr, Op::kSetxattr, Op::kRemovexattr, Op::kFallocate,
                                Op::kCopy,    Op::kAppend,   Op::kLock,        Op::kCancelLock};
  for (int number = 0; number < 256; ++number) {
    const OpTraits* traits = find_op(static_cast<std::uint16_t>(number));
    if (traits == nullptr) continue;
    EXPECT_EQ(is_sequenced(traits->op), changes.contains(traits->op)) << traits->name;
  }
}

TEST(Op, HasLargeRequestsWhereDataOrManyNodesOrATargetAreSent) {
  for (const Op op : {Op::kWrite, Op::kAppend, Op::kSetxattr, Op::kSymlink, Op::kReadMany}) {
    EXPECT_TRUE(find_op(static_cast<std::uint16_t>(op))->has_payload) << name_of(op);
  }
  for (const Op op :
       {Op::kHello, Op::kAuthFinish, Op::kCreate, Op::kRename, Op::kRead, Op::kList}) {
    EXPECT_FALSE(find_op(static_cast<std::uint16_t>(op))->has_payload) << name_of(op);
  }
}

TEST(Op, OfAnUnknownNumberIsNoOperation) {
  EXPECT_EQ(find_op(0), nullptr);
  EXPECT_EQ(find_op(4711), nullptr);
  EXPECT_EQ(name_of(static_cast<Op>(4711)), "unknown");
}

}  // namespace
}  // namespace homefs
