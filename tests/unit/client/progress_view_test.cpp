#include "fusefs/cli/progress_view.h"

#include <gtest/gtest.h>

#include "fusefs/cli/transfer_bars.h"

namespace homefs {
namespace {

using std::chrono::seconds;

constexpr std::uint64_t kMiB = 1024 * 1024;
const auto kNow = std::chrono::system_clock::time_point(seconds(1'000'000));

bool runs(const std::string& process) { return process == "1.1"; }

TransferRecord record(TransferEvent event, std::uint64_t id, std::string path,
                      std::uint64_t bytes = 0, std::uint64_t total = 0, std::uint64_t rate = 0) {
  TransferRecord made;
  made.event = event;
  made.time = kNow;
  made.process = "1.1";
  made.id = id;
  made.path = std::move(path);
  made.bytes = bytes;
  made.total = total;
  made.rate = rate;
  return made;
}

TransferRecord batch(std::uint64_t files, std::uint64_t bytes, seconds age) {
  TransferRecord made = record(TransferEvent::kBatch, 0, "", bytes);
  made.files = files;
  made.time = kNow - age;
  return made;
}

std::vector<std::string> drawn(const std::vector<TransferRecord>& records, int columns) {
  return draw_progress(progress_of(records, kNow, runs), columns);
}

using Lines = std::vector<std::string>;

TEST(Progress, SaysWhenNothingIsUnderWay) {
  EXPECT_EQ(drawn({}, 80), Lines{"Nothing is under way."});
}

TEST(Progress, ForgetsTransfersThatHaveEnded) {
  for (const auto end : {TransferEvent::kDone, TransferEvent::kFailed}) {
    EXPECT_EQ(drawn({record(TransferEvent::kStarted, 1, "a"), record(end, 1, "a")}, 80),
              Lines{"Nothing is under way."});
  }
}

TEST(Progress, TellsWhatWasCutUntilItIsTransferredAgain) {
  auto left = record(TransferEvent::kProgress, 1, "a", kMiB, 2 * kMiB);
  left.process = "2.2";  // is gone
  auto ended = record(TransferEvent::kCut, 1, "b", kMiB, 3 * kMiB);
  ended.process = "3.3";
  EXPECT_EQ(drawn({left, ended}, 80),
            (Lines{"Nothing is under way.", "-> \"a\" cut at 1.0MiB of 2.0MiB",
                   "-> \"b\" cut at 1.0MiB of 3.0MiB"}));
  const auto again = record(TransferEvent::kStarted, 7, "a", 0, 2 * kMiB);
  const auto done = record(TransferEvent::kDone, 7, "a", 2 * kMiB, 2 * kMiB);
  EXPECT_EQ(drawn({left, again, done}, 80), Lines{"Nothing is under way."});
  left.time -= kCutsTold;
  EXPECT_EQ(drawn({left}, 80), Lines{"Nothing is under way."});
}

TEST(Progress, DoesNotTakeWhatIsWrittenSoFarForAll) {
  auto written = record(TransferEvent::kProgress, 1, "a", 321 * kMiB, 321 * kMiB, kMiB);
  written.mount = "/home/alice/Remote";
  Lines lines = drawn({written}, 100);
  ASSERT_EQ(lines.size(), 2U);
  for (const std::string& line : lines) {
    EXPECT_NE(line.find("so far"), line.npos) << line;
    EXPECT_EQ(line.find('%'), line.npos) << line;
    EXPECT_EQ(line.find("to go"), line.npos) << line;
  }
  written.direction = TransferDirection::kDown;
  lines = drawn({written}, 100);
  EXPECT_NE(lines[0].find("100%"), lines[0].npos) << "the size of a file that is read is known";
}

TEST(Progress, StaysWithinAnyTerminal) {
  auto cut = record(TransferEvent::kCut, 2, "日本語/とても長い名前のファイル.jpg", kMiB, 2 * kMiB);
  const auto big = record(TransferEvent::kProgress, 1, "写真/日本語の長い長い長い長い名前.jpg",
                          1023 * kMiB, 1023 * kMiB, 1023 * kMiB);
  for (int columns = 1; columns <= 210; ++columns) {
    for (const auto& line : drawn({big, cut, batch(7, kMiB, seconds(1))}, columns)) {
      EXPECT_LE(columns_of(line), columns) << line;
    }
  }
}

TEST(Progress, LeavesOutTheMiddleOfWhatHasNoRoom) {
  EXPECT_EQ(fit_rows({"1", "2", "3"}, 3), (Lines{"1", "2", "3"}));
  EXPECT_EQ(fit_rows({"1", "2", "3", "4", "5"}, 3), (Lines{"1", "... and 3 more", "5"}));
}

TEST(Progress, DrawsBarsIn80Columns) {
  auto down = record(TransferEvent::kProgress, 2, "b", 27 * kMiB, 27 * kMiB, 100 * kMiB);
  down.direction = TransferDirection::kDown;
  const auto lines = drawn(
      {record(TransferEvent::kStarted, 1, "photos/holiday.jpg"),
       record(TransferEvent::kProgress, 1, "photos/holiday.jpg", 10 * kMiB, 40 * kMiB, 3 * kMiB),
       down},
      80);
  ASSERT_EQ(lines.size(), 3U);
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80U) << line;
  EXPECT_EQ(lines[0],
            R"(-> .../holiday.jpg" [##.......]  25%     10.0MiB of 40.0MiB    3.0MiB/s     0:10)");
  EXPECT_EQ(lines[1],
            R"(<- "b"              [#########] 100%     27.0MiB of 27.0MiB  100.0MiB/s     0:00)");
  EXPECT_EQ(lines[2], "2 transfers: 37.0MiB of 67.0MiB verified, 30.0MiB to go, 103.0MiB/s");
}

TEST(Progress, DrawsWiderBarsIn200Columns) {
  const auto lines = drawn(
      {record(TransferEvent::kProgress, 1, "photos/holiday.jpg", 10 * kMiB, 40 * kMiB, 3 * kMiB)},
      200);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].size(), 200U);
  EXPECT_EQ(lines[0], R"(-> "photos/holiday.jpg")" + std::string(41, ' ') + "[" +
                          std::string(21, '#') + std::string(64, '.') +
                          R"(]  25%     10.0MiB of 40.0MiB    3.0MiB/s     0:10)");
}

TEST(Progress, EscapesNamesThatWouldTalkToTheTerminal) {
  const auto lines = drawn({record(TransferEvent::kProgress, 1, "\x1b[2J\n", 1, 2)}, 120);
  EXPECT_EQ(lines[0].find('\x1b'), std::string::npos);
  EXPECT_EQ(lines[0].find('\n'), std::string::npos);
  EXPECT_NE(lines[0].find(R"("\x1b[2J\x0a")"), std::string::npos) << lines[0];
}

TEST(Progress, CutsLongNamesAtTheirBeginningAndBetweenLetters) {
  std::string name;
  for (int i = 0; i < 60; ++i) name += "ä";
  const auto lines = drawn({record(TransferEvent::kProgress, 1, name, 1, 2)}, 80);
  EXPECT_EQ(lines[0].substr(0, 6), "-> ...");
  EXPECT_EQ(static_cast<unsigned char>(lines[0][6]), 0xc3) << "begins with a whole letter";
}

TEST(Progress, NeverDividesByWhatIsNotThere) {
  const auto lines = drawn({record(TransferEvent::kProgress, 1, "a", 0, 0, 0)}, 80);
  EXPECT_NE(lines[0].find("100%"), std::string::npos);
}

TEST(Progress, SumsUpSmallFilesOfTheLastSeconds) {
  EXPECT_EQ(
      drawn({batch(7, kMiB, seconds(60)), batch(3, kMiB, seconds(5)), batch(4, kMiB, seconds(1))},
            80),
      Lines{"-> 7 small files, 2.0MiB in the last 10 s"});
}

}  // namespace
}  // namespace homefs
