// What put and get decide without a server or a disk: which blocks, which files, which names.
#include <gtest/gtest.h>

#include "fusefs/remote/partial_name.h"
#include "fusefs/remote/pipeline.h"
#include "fusefs/remote/remote_path.h"
#include "fusefs/transfer/block_diff.h"
#include "fusefs/transfer/path_filter.h"
#include "fusefs/transfer/rate_limit.h"
#include "fusefs/transfer/transfer_plan.h"
#include "protocol/limits.h"
#include "protocol/md5_stream.h"

namespace homefs {
namespace {

Md5Digest digest(std::string_view text) { return md5_of(std::as_bytes(std::span(text))); }

// One digest for each letter.
std::vector<Md5Digest> digests(std::string_view letters) {
  std::vector<Md5Digest> list;
  for (const char& letter : letters) list.push_back(digest({&letter, 1}));
  return list;
}

TEST(BlockDiff, TakesWhatIsThereThenWhatTheOldFileHasAndSendsTheRest) {
  const auto runs =
      diff_blocks(0, 6 * kBlockBytes - 10, digests("abcdef"), digests("abx"), digests("xxcdxx"));
  const std::vector<BlockRun> wanted = {
      {BlockSource::kHave, 0, 2 * kBlockBytes},
      {BlockSource::kCopy, 2 * kBlockBytes, 2 * kBlockBytes},
      {BlockSource::kSend, 4 * kBlockBytes, 2 * kBlockBytes - 10},
  };
  EXPECT_EQ(runs, wanted);
}

TEST(BlockDiff, SendsEverythingWhereNothingIsThere) {
  const auto runs = diff_blocks(2 * kBlockBytes, 70000, digests("ab"), {}, {});
  EXPECT_EQ(runs, (std::vector<BlockRun>{{BlockSource::kSend, 2 * kBlockBytes, 70000}}));
  EXPECT_TRUE(diff_blocks(0, 0, {}, digests("a"), {}).empty());
}

TEST(BlockDiff, LooksAtTheListsFromTheOffsetOn) {
  const auto all = digests("abcd");
  EXPECT_EQ(blocks_from(all, 0).size(), 4u);
  EXPECT_EQ(blocks_from(all, 3 * kBlockBytes).front(), digest("d"));
  EXPECT_TRUE(blocks_from(all, 4 * kBlockBytes).empty());
}

TEST(Pipeline, LooksAtWhatHasComeAtOnceAndInOrderAndWaitsOnlyWhenItIsFull) {
  std::vector<std::promise<Result<int>>> calls(4);
  std::vector<int> finished;
  Pipeline<int> pipeline(2);
  const auto push = [&](int i) {
    pipeline.push(Answer<int>(calls[static_cast<std::size_t>(i)].get_future()),
                  [&](const Result<int>& result) { finished.push_back(*result); });
  };
  calls[1].set_value(1);
  push(0);
  push(1);
  EXPECT_TRUE(finished.empty());  // the one before has no answer
  calls[0].set_value(0);
  push(2);
  EXPECT_EQ(finished, (std::vector<int>{0, 1}));
  calls[2].set_value(2);
  calls[3].set_value(3);
  push(3);
  EXPECT_EQ(finished, (std::vector<int>{0, 1, 2, 3}));
}

TEST(PartialName, IsHiddenDeterministicAndFitsALongName) {
  const std::string name(kNameBytesMax, 'n');
  EXPECT_EQ(partial_name(name), partial_name(name));
  EXPECT_LE(partial_name(name).size(), kNameBytesMax);
  EXPECT_TRUE(partial_name("a").starts_with(".a.homefs-part-"));
  EXPECT_NE(partial_name(name), partial_name(name.substr(1)));
  EXPECT_NE(partial_name("a", "one"), partial_name("a", "two"));
  EXPECT_TRUE(is_partial_name(partial_name(name)));
  EXPECT_TRUE(is_partial_name(partial_name("x", "key")));
}

TEST(PartialName, IsNotTakenForAnythingElse) {
  for (const char* name : {"", ".", "a", ".homefs-part-", ".a.homefs-part-1234567",
                           ".a.homefs-part-1234567G", "a.homefs-part-12345678"}) {
    EXPECT_FALSE(is_partial_name(name)) << name;
  }
}

TEST(RemotePath, ResolvesDotsByTheTextAndStaysInTheHome) {
  const RemotePath folder{.parts = {"a", "b"}};
  EXPECT_EQ(parse_remote_path(folder, "c/d")->text(), "/a/b/c/d");
  EXPECT_EQ(parse_remote_path(folder, "/c//d/./")->text(), "/c/d");
  EXPECT_EQ(parse_remote_path(folder, "../../../../x")->text(), "/x");
  EXPECT_EQ(parse_remote_path(folder, "")->text(), "/a/b");
  EXPECT_FALSE(parse_remote_path(folder, "x")->names_folder);
  EXPECT_TRUE(parse_remote_path(folder, "x/")->names_folder);
  EXPECT_TRUE(parse_remote_path(folder, "x/..")->names_folder);
  EXPECT_EQ(parse_remote_path(folder, std::string(256, 'n')).error().status, Status::kNameTooLong);
  EXPECT_TRUE(parse_remote_path(folder, "c")->is_within(folder));
  EXPECT_FALSE(folder.is_within(*parse_remote_path(folder, "c")));
}

TEST(Glob, FitsAsShellsAndRsyncHaveIt) {
  EXPECT_TRUE(glob_matches("*.c", "x.c"));
  EXPECT_FALSE(glob_matches("*.c", "x.cc"));
  EXPECT_FALSE(glob_matches("*.c", "a/x.c"));
  EXPECT_TRUE(glob_matches("**.c", "a/x.c"));
  EXPECT_TRUE(glob_matches("**/x", "a/b/x"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_FALSE(glob_matches("a?c", "a/c"));
  EXPECT_TRUE(glob_matches("[a-c]x[!0-9]", "bxy"));
  EXPECT_FALSE(glob_matches("[a-c]x[!0-9]", "bx7"));
  EXPECT_TRUE(glob_matches("[]]", "]"));
  EXPECT_TRUE(glob_matches("[x", "[x"));
  EXPECT_TRUE(glob_matches("\\*", "*"));
  EXPECT_FALSE(glob_matches("\\*", "x"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbYbZc"));
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_FALSE(glob_matches("", "x"));
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST(PathFilter, TakesTheFirstPatternThatFits) {
  PathFilter filter;
  filter.add("keep.o", true);
  filter.add("*.o", false);
  filter.add("/top", false);
  filter.add("cache/", false);
  filter.add("a/b", false);
  EXPECT_TRUE(filter.accepts("x/keep.o", false));
  EXPECT_FALSE(filter.accepts("x/y.o", false));
  EXPECT_FALSE(filter.accepts("top", false));
  EXPECT_TRUE(filter.accepts("x/top", false));
  EXPECT_FALSE(filter.accepts("x/cache", true));
  EXPECT_TRUE(filter.accepts("x/cache", false));
  EXPECT_FALSE(filter.accepts("z/a/b", false));
  EXPECT_TRUE(filter.accepts("a/bc", false));
}

TreeEntry file(std::string name, std::uint64_t size, std::int64_t mtime) {
  TreeEntry entry{.name = std::move(name)};
  entry.attributes.mode = S_IFREG | 0644;
  entry.attributes.size = size;
  entry.attributes.mtime.seconds = mtime;
  return entry;
}

TreeEntry folder(std::string name, std::vector<TreeEntry> children) {
  TreeEntry entry{.name = std::move(name), .children = std::move(children)};
  entry.attributes.mode = S_IFDIR | 0755;
  entry.sort_children();
  return entry;
}

TreeEntry symlink(std::string name, std::string target) {
  TreeEntry entry{.name = std::move(name), .target = std::move(target)};
  entry.attributes.mode = S_IFLNK | 0777;
  return entry;
}

std::vector<std::pair<std::string, PlanStep>> steps(const TransferPlan& plan) {
  std::vector<std::pair<std::string, PlanStep>> list;
  for (const PlanItem& item : plan.items) list.emplace_back(item.path, item.step);
  return list;
}

TEST(TransferPlan, DoesWhatIsMissingAndLeavesWhatIsEqual) {
  const TreeEntry source =
      folder("", {folder("d", {file("equal", 5, 1), file("newer", 5, 2), file("size", 6, 1)}),
                  folder("new", {file("x", 7, 1)}), symlink("same", "t"), symlink("other", "t")});
  const TreeEntry target = folder("", {folder("d", {file("equal", 5, 1), file("newer", 5, 1),
                                                    file("size", 5, 1), file("extra", 1, 1)}),
                                       symlink("same", "t"), symlink("other", "u")});
  const TransferPlan plan = make_plan(source, target, {});
  const std::vector<std::pair<std::string, PlanStep>> wanted = {
      {"d", PlanStep::kEnterFolder},     {"d/equal", PlanStep::kUnchanged},
      {"d/newer", PlanStep::kSend},      {"d/size", PlanStep::kSend},
      {"new", PlanStep::kMakeFolder},    {"new/x", PlanStep::kSend},
      {"other", PlanStep::kMakeSymlink}, {"same", PlanStep::kUnchanged}};
  EXPECT_EQ(steps(plan), wanted);
  EXPECT_EQ(plan.files, 3u);
  EXPECT_EQ(plan.bytes, 18u);
  EXPECT_EQ(plan.items[5].folder, 4u);
  EXPECT_EQ(plan.items[0].folder, PlanItem::kTop);
}

TEST(TransferPlan, SeesWhatIsInTheWayAndLeavesPartialFilesOut) {
  TreeEntry fifo{.name = "fifo"};
  fifo.attributes.mode = S_IFIFO | 0644;
  const TreeEntry source = folder("", {file("a", 1, 1), folder("b", {file("below", 1, 1)}), fifo,
                                       file(partial_name("x"), 1, 1), file("link", 1, 1)});
  const TreeEntry target = folder("", {folder("a", {}), file("b", 1, 1), symlink("link", "x")});
  const std::vector<std::pair<std::string, PlanStep>> wanted = {{"a", PlanStep::kConflict},
                                                                {"b", PlanStep::kConflict},
                                                                {"fifo", PlanStep::kSkipSpecial},
                                                                {"link", PlanStep::kSend}};
  EXPECT_EQ(steps(make_plan(source, target, {})), wanted);
}

TEST(TransferPlan, ComparesFilesOfOneSizeWhenContentsDecide) {
  const TreeEntry source = folder("", {file("a", 5, 1), file("b", 6, 1)});
  TreeEntry target = folder("", {file("a", 5, 1), file("b", 5, 1)});
  const std::vector<std::pair<std::string, PlanStep>> wanted = {{"a", PlanStep::kCompare},
                                                                {"b", PlanStep::kSend}};
  EXPECT_EQ(steps(make_plan(source, target, {.compares_contents = true})), wanted);
  target.children[0].attributes.mode = S_IFREG | 0600;
  EXPECT_EQ(make_plan(source, target, {}).items[0].step, PlanStep::kSetAttributes);
}

TEST(RateLimit, SpreadsBytesOverTimeAndDoesNotMakeUpForIdleTime) {
  using std::chrono::milliseconds;
  RateLimit limit(1000);
  RateLimit::Time now{std::chrono::hours(1)};
  EXPECT_EQ(limit.reserve(500, now), milliseconds(0));
  EXPECT_EQ(limit.reserve(500, now), milliseconds(500));
  EXPECT_EQ(limit.reserve(500, now + milliseconds(600)), milliseconds(400));
  now += std::chrono::hours(1);
  EXPECT_EQ(limit.reserve(500, now), milliseconds(0));
  EXPECT_EQ(limit.reserve(500, now), milliseconds(500));
  EXPECT_EQ(RateLimit(0).reserve(1 << 30, now), milliseconds(0));
}

TEST(RateLimit, MakesRequestsSmallWhereTheRateIs) {
  EXPECT_EQ(RateLimit(0).request_bytes_max(), kPayloadBytesMax);
  EXPECT_EQ(RateLimit(1000).request_bytes_max(), kBlockBytes);
  EXPECT_EQ(RateLimit(1 << 20).request_bytes_max(), 4 * kBlockBytes);
  EXPECT_EQ(RateLimit(1 << 30).request_bytes_max(), kPayloadBytesMax);
}

}  // namespace
}  // namespace homefs
