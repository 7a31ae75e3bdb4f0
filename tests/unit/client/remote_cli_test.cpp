// What the commands without a mount make of their arguments, and how they draw.
#include <gtest/gtest.h>

#include "fusefs/cli/list_format.h"
#include "fusefs/cli/remote_target.h"
#include "fusefs/cli/transfer_bars.h"
#include "fusefs/remote/node_book.h"

namespace homefs {
namespace {

using Strings = std::vector<std::string>;

TEST(RemoteArguments, NameAServerAndPaths) {
  const struct {
    const char* text;
    const char* server;
    const char* path;
  } kCases[] = {
      {"alice@files:7071/a/b", "alice@files:7071", "/a/b"},
      {"files/a", "files", "/a"},
      {"files", "files", ""},
      {"alice@files:a/b", "alice@files", "a/b"},
      {"files:/a", "files", "/a"},
      {"files:", "files", ""},
      {"[2001:db8::1]:7070/x:y", "[2001:db8::1]:7070", "/x:y"},
      {"u@[::1]:x", "u@[::1]", "x"},
      {"host/a:b", "host", "/a:b"},
  };
  for (const auto& each : kCases) {
    const auto result = split_remote_arguments(Strings{each.text}, false);
    ASSERT_TRUE(result) << each.text;
    EXPECT_EQ(result->server, each.server) << each.text;
    EXPECT_EQ(result->paths, Strings{each.path}) << each.text;
  }
}

TEST(RemoteArguments, AreOfOneServer) {
  const auto same = split_remote_arguments(Strings{"h/a", ":b", "h/c"}, false);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->paths, (Strings{"/a", "b", "/c"}));
  EXPECT_FALSE(split_remote_arguments(Strings{"h/a", "g/b"}, false));
  EXPECT_FALSE(split_remote_arguments(Strings{"/a"}, false));
  EXPECT_FALSE(split_remote_arguments(Strings{":a"}, false));
}

TEST(RemoteArguments, ArePathsWhereFlagsSayTheServer) {
  const auto result = split_remote_arguments(Strings{"a@b/c", "d:e"}, true);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->server, "");
  EXPECT_EQ(result->paths, (Strings{"a@b/c", "d:e"}));
}

TEST(ListFormat, ShowsModesAndEscapesControlBytes) {
  EXPECT_EQ(mode_text(S_IFREG | 0644), "-rw-r--r--");
  EXPECT_EQ(mode_text(S_IFDIR | 01777), "drwxrwxrwt");
  EXPECT_EQ(mode_text(S_IFLNK | 0777), "lrwxrwxrwx");
  EXPECT_EQ(mode_text(S_IFREG | 06600), "-rwS--S---");
  EXPECT_EQ(escaped("a\033b\n"), "a\\x1bb\\x0a");
  EXPECT_EQ(escaped("ü日"), "ü日");
}

TEST(TransferBars, CountColumnsAsTerminalsDo) {
  EXPECT_EQ(columns_of("abc"), 3);
  EXPECT_EQ(columns_of("ü"), 1);
  EXPECT_EQ(columns_of("日本"), 4);
  EXPECT_EQ(columns_of("e\xcc\x81"), 1);
  EXPECT_EQ(fit_columns("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(fit_columns("abcdefgh", 6), "...fgh");
  EXPECT_EQ(fit_columns("日本語日本語", 8), "...本語");
  EXPECT_EQ(fit_columns("abcdefgh", 2), "gh");
  EXPECT_EQ(fit_columns("abc", 0), "");
}

TEST(TransferBars, FitEveryWidthAndNumberOfLines) {
  BarsView view;
  for (int i = 0; i < 20; ++i) {
    view.files.push_back(
        {.path = "photos/日本語/\033[31m/" + std::string(static_cast<std::size_t>(i), 'x'),
         .bytes = 1500000,
         .total = 3000000,
         .began = {}});
  }
  view.figures = {.files = 100, .files_sent = 3, .bytes = 1u << 30, .bytes_finished = 1u << 20};
  view.bytes_per_second = 12345678;
  for (int columns = 1; columns <= 200; ++columns) {
    const auto lines = draw_bars(view, columns, 8);
    EXPECT_EQ(lines.size(), 8u);
    for (const std::string& line : lines) {
      EXPECT_LE(columns_of(line), columns) << line;
      EXPECT_EQ(line.find('\033'), std::string::npos) << line;
    }
  }
  EXPECT_NE(draw_bars(view, 120, 8).back().find("3 of 100 files"), std::string::npos);
  EXPECT_NE(draw_bars(view, 120, 8).back().find("1:26"), std::string::npos);
}

TEST(TransferBars, TellDurations) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(65.9), "1:05");
  EXPECT_EQ(duration_text(3600 * 2 + 69), "2:01:09");
  EXPECT_EQ(duration_text(1e12), "-");
}

TEST(NodeBook, IntroducesParentsFirstAndOnlyWhatIsNotKnown) {
  NodeBook book;
  const NodeId folder = book.next_id();
  const NodeId file = book.next_id();
  book.enter(folder, kRootNode, "d", Attributes{.inode = InodeNumber{10}, .generation = 10}, true);
  book.enter(file, folder, "f", Attributes{.inode = InodeNumber{11}, .generation = 11}, false);
  std::vector<Introduction> out;
  book.introduce(std::vector{file, folder}, 7, out);
  const std::vector<Introduction> wanted = {{folder, kRootNode, "d", InodeNumber{10}, 10},
                                            {file, folder, "f", InodeNumber{11}, 11}};
  EXPECT_EQ(out, wanted);
  book.confirm(out, 7);
  out.clear();
  book.introduce(std::vector{file}, 7, out);
  EXPECT_TRUE(out.empty());
  book.introduce(std::vector{file}, 8, out);
  EXPECT_EQ(out, wanted) << "another run of the server knows nothing";
  out.clear();
  book.distrust(std::vector{file});
  book.introduce(std::vector{file}, 7, out);
  EXPECT_EQ(out, wanted);
}

TEST(NodeBook, HasTheServerForgetWhatItWasTold) {
  NodeBook book;
  const NodeId bound = book.next_id();
  const NodeId listed = book.next_id();
  book.enter(bound, kRootNode, "a", Attributes{.inode = InodeNumber{1}, .generation = 1}, true);
  book.enter(listed, kRootNode, "b", Attributes{.inode = InodeNumber{2}, .generation = 2}, false);
  book.drop(bound);
  book.drop(listed);
  EXPECT_TRUE(book.take_forgotten(2).empty());
  EXPECT_EQ(book.take_forgotten(1), std::vector{bound});
  EXPECT_EQ(book.size(), 0u);
}

TEST(NodeBook, FollowsARename) {
  NodeBook book;
  const NodeId node = book.next_id();
  book.enter(node, kRootNode, "a", Attributes{.inode = InodeNumber{1}, .generation = 1}, true);
  book.move(node, kRootNode, "b");
  std::vector<Introduction> out;
  book.introduce(std::vector{node}, 1, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].name, "b");
}

}  // namespace
}  // namespace homefs
