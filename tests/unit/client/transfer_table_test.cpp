#include "fusefs/transfer/transfer_table.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr NodeId kFile{5};
constexpr std::uint64_t kMiB = 1024 * 1024;

class TransferTableTest : public ::testing::Test {
 protected:
  static TransferTable::Time at(int ms) {
    return TransferTable::Time(seconds(1000) + milliseconds(ms));
  }
  std::vector<TransferRecord> take(int ms, bool is_end = false) {
    return table_.take_records(at(ms), is_end);
  }
  static std::vector<TransferEvent> events(const std::vector<TransferRecord>& records) {
    std::vector<TransferEvent> list;
    for (const auto& record : records) list.push_back(record.event);
    return list;
  }

  TransferTable table_;
};

using Events = std::vector<TransferEvent>;

TEST_F(TransferTableTest, SumsSmallFilesUp) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    table_.start(NodeId{10 + i}, TransferDirection::kUp, "f", 0, at(0));
    table_.move(NodeId{10 + i}, TransferDirection::kUp, 1000, at(1));
    table_.finish(NodeId{10 + i}, TransferDirection::kUp, {}, at(2));
  }
  const auto records = take(250);
  ASSERT_EQ(events(records), Events{TransferEvent::kBatch});
  EXPECT_EQ(records[0].files, 100U);
  EXPECT_EQ(records[0].bytes, 100'000U);
  EXPECT_TRUE(take(500).empty());
}

TEST_F(TransferTableTest, TellsALargeFileFromStartToEnd) {
  table_.start(kFile, TransferDirection::kUp, "big", 0, at(0));
  table_.start(kFile, TransferDirection::kUp, "big", 4 * kMiB, at(0));
  table_.move(kFile, TransferDirection::kUp, kMiB, at(100));
  EXPECT_EQ(events(take(100)), (Events{TransferEvent::kStarted, TransferEvent::kProgress}));
  table_.move(kFile, TransferDirection::kUp, 3 * kMiB, at(400));
  const auto progress = take(400);
  ASSERT_EQ(events(progress), Events{TransferEvent::kProgress});
  EXPECT_EQ(progress[0].bytes, 4 * kMiB);
  EXPECT_EQ(progress[0].total, 4 * kMiB);
  EXPECT_EQ(progress[0].blocks, 64U);
  EXPECT_EQ(progress[0].path, "big");
  table_.set_md5(kFile, TransferDirection::kUp, Md5Digest{});
  table_.finish(kFile, TransferDirection::kUp, {}, at(450));
  EXPECT_EQ(events(take(500)), (Events{TransferEvent::kVerified, TransferEvent::kDone}));
  EXPECT_EQ(table_.under_way(), 0U);
}

TEST_F(TransferTableTest, TellsProgressAtMostFourTimesASecond) {
  table_.start(kFile, TransferDirection::kUp, "big", 100 * kMiB, at(0));
  std::size_t told = 0;
  for (int ms = 0; ms < 1000; ms += 10) {
    table_.move(kFile, TransferDirection::kUp, kMiB, at(ms));
    for (const auto& record : take(ms)) told += record.event == TransferEvent::kProgress ? 1 : 0;
  }
  EXPECT_LE(told, 5U);  // the first comes with the start
  EXPECT_GE(told, 4U);
}

TEST_F(TransferTableTest, TellsASmallFileThatTakesLong) {
  table_.start(kFile, TransferDirection::kUp, "big", 10, at(0));
  EXPECT_TRUE(take(900).empty());
  EXPECT_EQ(events(take(1000)), (Events{TransferEvent::kStarted, TransferEvent::kProgress}));
}

TEST_F(TransferTableTest, SaysFromTimeToTimeThatATransferStandsStill) {
  table_.start(kFile, TransferDirection::kUp, "big", 2 * kMiB, at(0));
  (void)take(0);
  EXPECT_TRUE(take(4900).empty());
  EXPECT_EQ(events(take(5000)), Events{TransferEvent::kProgress});
}

TEST_F(TransferTableTest, TellsEveryFailureHoweverSmallTheFile) {
  table_.start(kFile, TransferDirection::kUp, "x", 0, at(0));
  table_.finish(kFile, TransferDirection::kUp, fail(Status::kOverQuota), at(1));
  const auto records = take(2);
  ASSERT_EQ(events(records), (Events{TransferEvent::kStarted, TransferEvent::kFailed}));
  EXPECT_EQ(records[1].error, "the quota is used up");
}

TEST_F(TransferTableTest, RecordsWhatIsUnderWayAtTheEndAsCut) {
  table_.start(kFile, TransferDirection::kUp, "big", 2 * kMiB, at(0));
  EXPECT_EQ(events(take(0, /*is_end=*/true)),
            (Events{TransferEvent::kStarted, TransferEvent::kProgress, TransferEvent::kCut}));
}

TEST_F(TransferTableTest, TakesAReadThatNobodyGoesOnWithAsDone) {
  table_.start(kFile, TransferDirection::kDown, "big", 4 * kMiB, at(0));
  table_.move(kFile, TransferDirection::kDown, 2 * kMiB, at(0));
  (void)take(0);
  EXPECT_EQ(events(take(5000)), Events{TransferEvent::kDone});
}

TEST_F(TransferTableTest, WaitsForTheEndOfAReadThatIsFinishedBySomebody) {
  TransferTable table(/*ends_idle_reads=*/false);
  table.start(kFile, TransferDirection::kDown, "f", 4 * kMiB, at(0));
  table.move(kFile, TransferDirection::kDown, kMiB, at(10));
  for (const auto& record : table.take_records(at(60'000), false)) {
    EXPECT_NE(record.event, TransferEvent::kDone);
  }
  EXPECT_EQ(table.under_way(), 1U);
}

TEST_F(TransferTableTest, SaysThatATransferWasResumedOnce) {
  table_.start(kFile, TransferDirection::kUp, "big", 4 * kMiB, at(0));
  (void)take(0);
  table_.note_resumed();
  table_.move(kFile, TransferDirection::kUp, kMiB, at(300));
  EXPECT_EQ(events(take(300)), Events{TransferEvent::kResumed});
  table_.move(kFile, TransferDirection::kUp, kMiB, at(600));
  EXPECT_EQ(events(take(600)), Events{TransferEvent::kProgress});
}

TEST_F(TransferTableTest, DropsWhatGoesOverItsBoundsAndCountsIt) {
  for (std::uint64_t i = 0; i < TransferTable::kEndsMax + 10; ++i) {
    table_.note_mismatch("x", TransferDirection::kUp, 0, 1, at(0));
  }
  const auto records = take(1);
  EXPECT_EQ(records.size(), TransferTable::kEndsMax);
  EXPECT_EQ(records[0].dropped, 10U);
}

TEST_F(TransferTableTest, SumsUpWhatThereIsNoRoomToTellApart) {
  for (std::uint64_t i = 0; i < TransferTable::kTransfersMax; ++i) {
    table_.start(NodeId{100 + i}, TransferDirection::kUp, "f", 0, at(0));
  }
  table_.move(kFile, TransferDirection::kUp, 7, at(0));
  table_.finish(kFile, TransferDirection::kUp, {}, at(0));
  const auto records = take(1);
  ASSERT_EQ(events(records), Events{TransferEvent::kBatch});
  EXPECT_EQ(records[0].bytes, 7U);
}

}  // namespace
}  // namespace homefs
