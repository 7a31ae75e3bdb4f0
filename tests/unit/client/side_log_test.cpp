#include "fusefs/transfer/side_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace homefs {
namespace {

class SideLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/homefs-side-log-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path file() const { return folder_ / "transfers.jsonl"; }
  [[nodiscard]] std::vector<TransferRecord> records() const {
    std::vector<TransferRecord> list;
    std::ifstream lines(file());
    for (std::string line; std::getline(lines, line);) {
      const auto record = parse_transfer_record(line);
      EXPECT_TRUE(record) << line;
      if (record) list.push_back(*record);
    }
    return list;
  }

  std::filesystem::path folder_;
};

TransferRecord sample() {
  TransferRecord record;
  record.event = TransferEvent::kVerified;
  record.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1767225599123));
  record.process = "12.34";
  record.id = 7;
  record.direction = TransferDirection::kDown;
  record.mount = "/home/alice/Remote";
  record.path = "photos/1.jpg";
  record.bytes = 3;
  record.total = 4;
  record.blocks = 1;
  record.rate = 99;
  record.md5 = Md5Digest{};
  return record;
}

TEST(TransferRecord, LooksAsTheManualSays) {
  EXPECT_EQ(
      line_of(sample()),
      R"({"v":1,"time":"2025-12-31T23:59:59.123Z","event":"verified","process":"12.34","id":7,)"
      R"("direction":"down","mount":"/home/alice/Remote","path":"photos/1.jpg","bytes":3,)"
      R"("total":4,"blocks":1,"rate":99,"md5":"00000000000000000000000000000000"})"
      "\n");
}

TEST(TransferRecord, ReadsWhatItWrites) {
  for (int event = 0; event <= static_cast<int>(TransferEvent::kBatch); ++event) {
    TransferRecord record = sample();
    record.event = static_cast<TransferEvent>(event);
    if (record.event == TransferEvent::kBatch) {
      record.id = 0;
      record.path.clear();
      record.files = 3;
      record.files_failed = 1;
    }
    if (record.event == TransferEvent::kBlockMismatch) {
      record.offset = 65536;
      record.attempt = 2;
    }
    if (record.event == TransferEvent::kFailed) record.error = "the quota is used up";
    const auto read = parse_transfer_record(line_of(record));
    ASSERT_TRUE(read) << line_of(record);
    EXPECT_EQ(*read, record);
  }
}

TEST(TransferRecord, KeepsNamesThatAreNotUtf8) {
  TransferRecord record = sample();
  record.path = "a\xff\n\"b";
  const auto read = parse_transfer_record(line_of(record));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->path, record.path);
}

TEST(TransferRecord, RefusesOtherSchemasAndNonsense) {
  for (const char* line : {"", "{", "[]", "{\"v\":2}", "{\"v\":1}",
                           "{\"v\":1,\"event\":\"new\",\"time\":\"2025-12-31T23:59:59.123Z\"}",
                           "{\"v\":1,\"event\":\"done\",\"time\":\"yesterday\"}"}) {
    EXPECT_FALSE(parse_transfer_record(line)) << line;
  }
}

TEST(TransferRecord, KnowsWhetherItsProcessRuns) {
  EXPECT_TRUE(is_process_running(process_name()));
  EXPECT_FALSE(is_process_running(std::to_string(::getpid()) + ".1"));
  EXPECT_FALSE(is_process_running("nonsense"));
  std::array<int, 2> names{};
  ASSERT_EQ(::pipe(names.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string name = process_name();
    ::_exit(::write(names[1], name.data(), name.size()) > 0 ? 0 : 1);
  }
  std::array<char, 64> name{};
  const ssize_t size = ::read(names[0], name.data(), name.size());
  siginfo_t end{};
  ::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT);
  EXPECT_FALSE(is_process_running({name.data(), static_cast<std::size_t>(size)})) << "a zombie";
  ::waitpid(child, nullptr, 0);
  ::close(names[0]);
  ::close(names[1]);
}

TEST_F(SideLogTest, RecordsATransferWithItsPathAndMount) {
  {
    SideLog log({.file = file(), .mount = "/mnt"});
    log.on_started(NodeId{5}, TransferDirection::kUp, "file5", 2 << 20);
    log.on_verified(NodeId{5}, TransferDirection::kUp, 2 << 20);
    log.on_write_mismatch(NodeId{5}, 65536, 1);
    log.on_finished(NodeId{5}, TransferDirection::kUp, {});
  }
  const auto list = records();
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0].event, TransferEvent::kBlockMismatch);
  EXPECT_EQ(list[0].path, "file5");
  EXPECT_EQ(list[1].event, TransferEvent::kStarted);
  EXPECT_EQ(list.back().event, TransferEvent::kDone);
  EXPECT_EQ(list.back().path, "file5");
  EXPECT_EQ(list.back().mount, "/mnt");
  EXPECT_EQ(list.back().bytes, 2U << 20);
  EXPECT_TRUE(is_process_running(list.back().process));
}

TEST_F(SideLogTest, RotatesBySizeAndKeepsTheYoungest) {
  SideLogFile log(file(), {.bytes_max = 100, .kept = 2});
  const std::string line(60, 'x');
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(log.append(std::to_string(i) + line + "\n"));
  EXPECT_FALSE(std::filesystem::exists(file()));  // the last append has filled it
  std::string text;
  std::getline(std::ifstream(folder_ / "transfers.jsonl.1") >> std::ws, text);
  EXPECT_EQ(text.front(), '6');
  std::getline(std::ifstream(folder_ / "transfers.jsonl.2") >> std::ws, text);
  EXPECT_EQ(text.front(), '4');
  EXPECT_FALSE(std::filesystem::exists(folder_ / "transfers.jsonl.3"));
}

TEST_F(SideLogTest, FollowsAFileThatAnotherProcessHasRotated) {
  SideLogFile first(file(), {.bytes_max = 1000, .kept = 2});
  EXPECT_TRUE(first.append("a\n"));
  std::filesystem::rename(file(), folder_ / "transfers.jsonl.1");
  EXPECT_TRUE(first.append("b\n"));
  std::string text;
  std::getline(std::ifstream(file()), text);
  EXPECT_EQ(text, "b");
}

TEST_F(SideLogTest, NeverFailsATransferThatItCannotRecord) {
  SideLog log({.file = folder_ / "missing" / "transfers.jsonl", .mount = {}});
  log.on_started(NodeId{5}, TransferDirection::kUp, "x", 2 << 20);
  log.on_verified(NodeId{5}, TransferDirection::kUp, 2 << 20);
  log.on_finished(NodeId{5}, TransferDirection::kUp, {});
  log.flush();
  log.flush();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "missing"));
}

}  // namespace
}  // namespace homefs
