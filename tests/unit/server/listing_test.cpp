// LIST: pages, folders below, and its place in the answer.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "server/listing_snapshots.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::TestHome;
using test::TestSession;

class Listing : public testing::Test {
 protected:
  std::vector<ListedEntry> all_of(NodeId folder, std::uint32_t bytes_max) {
    std::vector<ListedEntry> entries;
    ListRequest request{.folder = folder, .bytes_max = bytes_max};
    do {
      const auto answer = session_.list(request);
      if (!answer.is_ok()) return {};
      const ListedFolder& page = answer->folders.at(0);
      entries.insert(entries.end(), page.entries.begin(), page.entries.end());
      request.cursor = page.next_cursor;
      ++pages_;
    } while (request.cursor != 0);
    return entries;
  }

  TestHome home_;
  TestSession session_{home_};
  int pages_ = 0;
};

// Reading a folder or a symlink may change its atime, and each look has its own order.
Attributes without_atime(Attributes attributes) {
  attributes.atime = {};
  attributes.order = 0;
  return attributes;
}

TEST_F(Listing, BringsWhatLookupAndReadlinkWouldSay) {
  session_.make_file(kRootNode, "file", "data");
  session_.make_folder(kRootNode, "folder");
  session_.create(kRootNode, "readonly", session_.next_node(), 0444);
  session_.create(kRootNode, "setuid", session_.next_node(), 04700);
  session_.symlink(kRootNode, "link", session_.next_node(), "to/somewhere");
  const auto answer = session_.list({.folder = kRootNode, .bytes_max = 100'000});
  ASSERT_EQ(answer->folders.size(), 1u);
  EXPECT_EQ(without_atime(answer->folders[0].folder),
            without_atime(session_.getattr(kRootNode)->attributes));
  EXPECT_EQ(answer->folders[0].next_cursor, 0u);
  ASSERT_EQ(answer->folders[0].entries.size(), 5u);
  for (const ListedEntry& entry : answer->folders[0].entries) {
    const auto found = session_.lookup(kRootNode, entry.name, session_.next_node());
    EXPECT_EQ(without_atime(found->attributes), without_atime(entry.attributes)) << entry.name;
    EXPECT_EQ(found->target, entry.target);
  }
}

TEST_F(Listing, AnEmptyFolderIsCompleteAtOnce) {
  const auto answer = session_.list({.folder = kRootNode});
  ASSERT_EQ(answer->folders.size(), 1u);
  EXPECT_TRUE(answer->folders[0].entries.empty());
  EXPECT_EQ(answer->folders[0].next_cursor, 0u);
}

TEST_F(Listing, OfAFileIsNotPossible) {
  const NodeId file = session_.make_file(kRootNode, "f");
  EXPECT_EQ(session_.list({.folder = file}).status, Status::kNotDirectory);
  EXPECT_EQ(session_.list({.folder = NodeId{99}}).status, Status::kStale);
}

TEST_F(Listing, TwentyThousandEntriesComeInPagesEachOnceInOrder) {
  constexpr int kEntries = 20'000;
  for (int i = 0; i < kEntries; ++i) session_.make_file(kRootNode, std::to_string(i));
  for (const std::uint32_t bytes : {100'000u, 4'000'000'000u}) {
    pages_ = 0;
    const auto entries = all_of(kRootNode, bytes);
    ASSERT_EQ(entries.size(), static_cast<std::size_t>(kEntries));
    EXPECT_TRUE(std::ranges::is_sorted(
        entries, {}, [](const ListedEntry& entry) { return number_of(entry.attributes.inode); }));
    std::set<std::string> names;
    for (const ListedEntry& entry : entries) names.insert(entry.name);
    EXPECT_EQ(names.size(), static_cast<std::size_t>(kEntries));
    EXPECT_GT(pages_, 1);
  }
}

TEST_F(Listing, NoAnswerIsLargerThanAFrame) {
  for (int i = 0; i < 300; ++i) {
    session_.symlink(kRootNode, std::string(250, 'n') + std::to_string(i), session_.next_node(),
                     std::string(4000, 't'));
  }
  const auto reply_bytes = [&](ListRequest request) {
    const auto answer = session_.list(request);
    return encode_fields(answer.message).size();
  };
  EXPECT_LE(reply_bytes({.folder = kRootNode, .bytes_max = UINT32_MAX, .bytes_below = UINT32_MAX}),
            kBodyBytesMax);
  EXPECT_LE(reply_bytes({.folder = kRootNode, .bytes_max = 10'000}), 10'000u + 4);
  EXPECT_EQ(all_of(kRootNode, 1).size(), 300u);  // one entry a page
}

TEST_F(Listing, APageAfterChangesLeavesOutWhatWent) {
  for (int i = 0; i < 1000; ++i) session_.make_file(kRootNode, std::to_string(i));
  const auto first = session_.list({.folder = kRootNode, .bytes_max = 10'000});
  for (int i = 0; i < 1000; i += 2) session_.unlink(kRootNode, std::to_string(i));
  std::size_t seen = 0;
  ListRequest request{
      .folder = kRootNode, .cursor = first->folders[0].next_cursor, .bytes_max = 1'000'000};
  const auto rest = session_.list(request);
  for (const ListedEntry& entry : rest->folders[0].entries) {
    EXPECT_EQ(std::stoi(entry.name) % 2, 1);
    ++seen;
  }
  EXPECT_GT(seen, 400u);
}

TEST_F(Listing, ACursorOfAnotherFolderOrTimeIsStale) {
  const NodeId other = session_.make_folder(kRootNode, "d");
  for (int i = 0; i < 100; ++i) session_.make_file(kRootNode, std::to_string(i));
  const auto first = session_.list({.folder = kRootNode, .bytes_max = 1000});
  const std::uint64_t cursor = first->folders[0].next_cursor;
  EXPECT_EQ(session_.list({.folder = other, .cursor = cursor}).status, Status::kStale);
  EXPECT_EQ(session_.list({.folder = kRootNode, .cursor = 12345}).status, Status::kStale);
  EXPECT_EQ(session_.list({.folder = kRootNode, .cursor = cursor | 0xffffffff}).status,
            Status::kStale);
  for (std::size_t i = 0; i < ListingSnapshots::kSnapshotsMax; ++i) {
    session_.list({.folder = kRootNode, .bytes_max = 1000});
  }
  EXPECT_EQ(session_.list({.folder = kRootNode, .cursor = cursor}).status, Status::kStale);
}

TEST_F(Listing, FoldersBelowComeNearestFirstAndAfterTheirParents) {
  // Three levels of 3 folders with 2 files each.
  std::vector<NodeId> level{kRootNode};
  for (int depth = 0; depth < 3; ++depth) {
    std::vector<NodeId> next;
    for (const NodeId folder : level) {
      for (int i = 0; i < 3; ++i) {
        next.push_back(session_.make_folder(folder, "d" + std::to_string(i)));
        session_.make_file(next.back(), "a");
        session_.make_file(next.back(), "b");
      }
    }
    level = next;
  }
  const auto answer =
      session_.list({.folder = kRootNode, .bytes_max = 1'000'000, .bytes_below = 500'000});
  ASSERT_EQ(answer->folders.size(), 1u + 3 + 9 + 27);
  std::map<InodeNumber, std::size_t> depth_of;
  std::size_t deepest = 0;
  depth_of[answer->folders[0].folder.inode] = 0;
  for (const ListedFolder& folder : answer->folders) {
    ASSERT_TRUE(depth_of.contains(folder.folder.inode));
    const std::size_t depth = depth_of[folder.folder.inode];
    EXPECT_GE(depth, deepest);
    deepest = depth;
    EXPECT_EQ(folder.next_cursor, 0u);
    for (const ListedEntry& entry : folder.entries) {
      if (S_ISDIR(entry.attributes.mode)) depth_of[entry.attributes.inode] = depth + 1;
    }
  }
  // The attributes of a folder below are those its parent's entry has.
  EXPECT_EQ(answer->folders[1].folder, answer->folders[0].entries[0].attributes);
}

TEST_F(Listing, AFolderBelowThatDoesNotFitIsLeftOutWhole) {
  const NodeId large = session_.make_folder(kRootNode, "large");
  const NodeId small = session_.make_folder(kRootNode, "small");
  for (int i = 0; i < 200; ++i) session_.make_file(large, std::to_string(i));
  session_.make_file(session_.make_folder(large, "under"), "f");
  session_.make_file(small, "f");
  const auto answer =
      session_.list({.folder = kRootNode, .bytes_max = 100'000, .bytes_below = 10'000});
  ASSERT_EQ(answer->folders.size(), 2u);
  EXPECT_EQ(answer->folders[1].folder.inode, session_.getattr(small)->attributes.inode);
  EXPECT_EQ(session_.list({.folder = kRootNode, .bytes_max = 100'000})->folders.size(), 1u);
}

}  // namespace
}  // namespace homefs
