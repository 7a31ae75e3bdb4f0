// Data: read, read-many, write, append, copy, fallocate, seek, fsync, digest.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <chrono>

#include "protocol/block.h"
#include "protocol/block_md5.h"
#include "protocol/md5_stream.h"
#include "server/inode_table.h"
#include "tests/support/server/test_home.h"

namespace homefs {
namespace {

using test::Answer;
using test::bytes_of;
using test::pattern;
using test::TestHome;
using test::TestSession;

class Data : public testing::Test {
 protected:
  Answer<AppendReply> append(NodeId node, std::string_view data) {
    AppendRequest request{.node = node};
    request.digests.resize(piece_count(0, data.size()));
    md5_pieces(0, bytes_of(data), request.digests);
    return session_.call<AppendReply>(Op::kAppend, request, data);
  }
  Answer<CopyReply> copy(NodeId source, NodeId target, std::uint64_t from, std::uint64_t to,
                         std::uint64_t length) {
    return session_.call<CopyReply>(Op::kCopy, CopyRequest{.source = source,
                                                           .source_offset = from,
                                                           .target = target,
                                                           .target_offset = to,
                                                           .length = length});
  }
  Answer<ChangeReply> fallocate(NodeId node, FallocateMode mode, std::uint64_t offset,
                                std::uint64_t length) {
    return session_.call<ChangeReply>(
        Op::kFallocate,
        FallocateRequest{.node = node, .mode = mode, .offset = offset, .length = length});
  }
  std::string all_of(NodeId node) { return session_.read(node, 0, kPayloadBytesMax).payload; }

  TestHome home_;
  TestSession session_{home_};
};

TEST_F(Data, WhatIsWrittenIsReadWithItsDigests) {
  const NodeId file = session_.make_file(kRootNode, "f");
  const std::string data = pattern(300'000);
  const auto written = session_.write(file, 1000, data);
  ASSERT_EQ(written.status, Status::kOk);
  EXPECT_EQ(written->attributes.size, 301'000u);
  const auto read = session_.read(file, 1000, 300'000);
  EXPECT_EQ(read.payload, data);
  EXPECT_EQ(read->size, 301'000u);
  EXPECT_EQ(read->digests.size(), piece_count(1000, 300'000));
  EXPECT_TRUE(md5_pieces_equal(1000, bytes_of(read.payload), read->digests, nullptr));
  EXPECT_EQ(session_.read(file, 0, 1000).payload, std::string(1000, '\0'));
}

TEST_F(Data, ReadingEndsAtTheEndOfTheFile) {
  const NodeId file = session_.make_file(kRootNode, "f", "0123456789");
  EXPECT_EQ(session_.read(file, 8, 100).payload, "89");
  const auto behind = session_.read(file, 10, 100);
  EXPECT_EQ(behind.status, Status::kOk);
  EXPECT_TRUE(behind.payload.empty());
  EXPECT_TRUE(behind->digests.empty());
  EXPECT_EQ(session_.read(file, UINT64_MAX - 5, 10).status, Status::kInvalid);
  EXPECT_EQ(session_.read(kRootNode, 0, 10).status, Status::kIsDirectory);
  EXPECT_EQ(session_.read(file, 0, kPayloadBytesMax + 1).status, Status::kProtocolError);
}

TEST_F(Data, ABlockThatWasBrokenOnTheWayChangesNothing) {
  const NodeId file = session_.make_file(kRootNode, "f", "before");
  const std::string data = pattern(200'000);
  WriteRequest request{.node = file, .offset = 0};
  request.digests.resize(piece_count(0, data.size()));
  md5_pieces(0, bytes_of(data), request.digests);
  std::string broken = data;
  broken[150'000] = static_cast<char>(broken[150'000] ^ 1);
  EXPECT_EQ(session_.call<ChangeReply>(Op::kWrite, request, broken).status, Status::kBlockMismatch);
  EXPECT_EQ(all_of(file), "before");
  request.digests.pop_back();
  EXPECT_EQ(session_.call<ChangeReply>(Op::kWrite, request, data).status, Status::kProtocolError);
  EXPECT_EQ(session_.call<ChangeReply>(Op::kWrite, request, "").status, Status::kProtocolError);
}

TEST_F(Data, AWriteTakesAChangeOfAttributesAlong) {
  const NodeId file = session_.make_file(kRootNode, "f", "before");
  const std::string data = "0123456789";
  WriteRequest request{.node = file, .offset = 0};
  request.digests.resize(piece_count(0, data.size()));
  md5_pieces(0, bytes_of(data), request.digests);
  const SetattrRequest change{
      .node = file, .which = kSetMode | kSetMtime, .mode = 0640, .mtime = {1'000'000'000, 5}};
  request.then = {change};
  const auto done = session_.call<ChangeReply>(Op::kWrite, request, data);
  ASSERT_EQ(done.status, Status::kOk);
  EXPECT_EQ(done->attributes.size, 10u);
  EXPECT_EQ(done->attributes.mode & 07777, 0640u);
  EXPECT_EQ(done->attributes.mtime, change.mtime);
  EXPECT_EQ(all_of(file), data);
}

TEST_F(Data, AWriteRefusesWhatIsNoChangeOfItsFilesAttributes) {
  const NodeId file = session_.make_file(kRootNode, "f", "before");
  const NodeId other = session_.make_file(kRootNode, "g", "other");
  WriteRequest request{.node = file, .offset = 0};
  request.digests.resize(1);
  md5_pieces(0, bytes_of("x"), request.digests);
  const auto refused = [&](std::vector<SetattrRequest> then) {
    request.then = std::move(then);
    return session_.call<ChangeReply>(Op::kWrite, request, "x").status == Status::kProtocolError;
  };
  EXPECT_TRUE(refused({{.node = other, .which = kSetMode, .mode = 0600}}));
  EXPECT_TRUE(refused({{.node = file, .which = kSetSize, .size = 0}}));
  EXPECT_TRUE(refused({{.node = file, .which = kSetBitsAll + 1}}));
  const SetattrRequest fine{.node = file, .which = kSetMode, .mode = 0600};
  EXPECT_TRUE(refused({fine, fine}));
  EXPECT_EQ(all_of(file), "before");
}

TEST_F(Data, WritesBehindTheLargestOffsetAreTooBig) {
  const NodeId file = session_.make_file(kRootNode, "f");
  EXPECT_EQ(session_.write(file, INT64_MAX, "x").status, Status::kTooBig);
  EXPECT_EQ(session_.write(file, UINT64_MAX, "x").status, Status::kTooBig);
  EXPECT_EQ(session_.write(file, INT64_MAX - 1, "x").status, Status::kTooBig);  // ext4's own limit
  EXPECT_EQ(home_->usage().bytes, 0u);
}

TEST_F(Data, AppendGoesToTheEndAndSaysWhere) {
  const NodeId file = session_.make_file(kRootNode, "f", "123");
  EXPECT_EQ(append(file, "456")->offset, 3u);
  EXPECT_EQ(append(file, "789")->attributes.size, 9u);
  EXPECT_EQ(all_of(file), "123456789");
}

TEST_F(Data, TruncateCutsAndGrows) {
  const NodeId file = session_.make_file(kRootNode, "f", "0123456789");
  EXPECT_EQ(session_.truncate(file, 4)->attributes.size, 4u);
  EXPECT_EQ(home_->usage().bytes, 4u);
  EXPECT_EQ(session_.truncate(file, 6)->attributes.size, 6u);
  EXPECT_EQ(all_of(file), std::string("0123\0\0", 6));
  EXPECT_EQ(home_->usage().bytes, 6u);
  EXPECT_EQ(session_.truncate(kRootNode, 0).status, Status::kIsDirectory);
  EXPECT_EQ(session_.truncate(file, UINT64_MAX).status, Status::kTooBig);
}

TEST_F(Data, CopyMovesBytesOnTheServer) {
  const std::string data = pattern(400'000);
  const NodeId source = session_.make_file(kRootNode, "a", data);
  const NodeId target = session_.make_file(kRootNode, "b", "start");
  const auto copied = copy(source, target, 100'000, 5, 1'000'000);
  ASSERT_EQ(copied.status, Status::kCopied);
  EXPECT_EQ(copied->length, 300'000u);
  EXPECT_EQ(copied->attributes.size, 300'005u);
  EXPECT_EQ(all_of(target), "start" + data.substr(100'000));
  EXPECT_EQ(home_->usage().bytes, 700'005u);
  EXPECT_EQ(copy(source, target, 400'000, 0, 10)->length, 0u);
  EXPECT_EQ(copy(source, target, 0, 0, kCopyBytesMax + 1).status, Status::kProtocolError);
  EXPECT_EQ(copy(source, target, UINT64_MAX, 0, 10).status, Status::kOverflow);
}

TEST_F(Data, CopyInsideOneFileRefusesOverlap) {
  const NodeId file = session_.make_file(kRootNode, "a", "0123456789");
  EXPECT_EQ(copy(file, file, 0, 5, 10).status, Status::kInvalid);
  EXPECT_EQ(copy(file, file, 0, 10, 10)->length, 10u);
  EXPECT_EQ(all_of(file), "01234567890123456789");
}

TEST_F(Data, FallocateGrowsKeepsPunchesAndZeroes) {
  const NodeId file = session_.make_file(kRootNode, "a", std::string(10'000, 'x'));
  EXPECT_EQ(fallocate(file, FallocateMode::kAllocate, 0, 20'000)->attributes.size, 20'000u);
  EXPECT_EQ(fallocate(file, FallocateMode::kKeepSize, 0, 50'000)->attributes.size, 20'000u);
  EXPECT_EQ(fallocate(file, FallocateMode::kPunchHole, 0, 4096).status, Status::kOk);
  EXPECT_EQ(fallocate(file, FallocateMode::kZero, 4096, 10)->attributes.size, 20'000u);
  EXPECT_EQ(session_.read(file, 0, 4106).payload, std::string(4106, '\0'));
  EXPECT_EQ(session_.read(file, 4106, 1).payload, "x");
  EXPECT_EQ(fallocate(file, FallocateMode::kAllocate, 0, 0).status, Status::kInvalid);
  EXPECT_EQ(fallocate(file, FallocateMode::kAllocate, INT64_MAX, 10).status, Status::kTooBig);
  EXPECT_EQ(fallocate(kRootNode, FallocateMode::kAllocate, 0, 10).status, Status::kIsDirectory);
  EXPECT_EQ(home_->usage().bytes, 20'000u);
}

TEST_F(Data, SeekFindsDataAndHoles) {
  const NodeId file = session_.make_file(kRootNode, "a");
  session_.write(file, 1 << 20, "x");
  const auto seek = [&](std::uint64_t offset, SeekWhence whence) {
    return session_.call<SeekReply>(Op::kSeek,
                                    SeekRequest{.node = file, .offset = offset, .whence = whence});
  };
  EXPECT_EQ(seek(0, SeekWhence::kData)->offset, 1u << 20);
  EXPECT_EQ(seek(0, SeekWhence::kHole)->offset, 0u);
  EXPECT_EQ(seek(1 << 20, SeekWhence::kHole)->offset, (1u << 20) + 1);
  EXPECT_EQ(seek((1 << 20) + 1, SeekWhence::kData).status, Status::kNoDeviceAddress);
  EXPECT_EQ(seek(UINT64_MAX, SeekWhence::kData).status, Status::kNoDeviceAddress);
}

TEST_F(Data, FsyncTakesFilesAndFolders) {
  const NodeId file = session_.make_file(kRootNode, "a", "x");
  const auto fsync = [&](NodeId node, bool data_only) {
    return session_
        .call<EmptyMessage>(Op::kFsync, FsyncRequest{.node = node, .data_only = data_only})
        .status;
  };
  EXPECT_EQ(fsync(file, true), Status::kOk);
  EXPECT_EQ(fsync(file, false), Status::kOk);
  EXPECT_EQ(fsync(kRootNode, false), Status::kOk);
  session_.symlink(kRootNode, "l", NodeId{2}, "x");
  EXPECT_EQ(fsync(NodeId{2}, false), Status::kInvalid);
  session_.mkdir(kRootNode, "d", NodeId{3});
  session_.rmdir(kRootNode, "d");
  EXPECT_EQ(fsync(NodeId{3}, false), Status::kOk) << "a folder that was removed";
}

TEST_F(Data, AFailedSyncIsToldOnceToEachSessionThatKnewTheFile) {
  const NodeId file = session_.make_file(kRootNode, "a", "x");
  const NodeId other = session_.make_file(kRootNode, "b", "x");
  TestSession second(home_);
  const NodeId in_second = second.find(kRootNode, "a");
  const auto fsync = [](TestSession& session, NodeId node) {
    return session.call<EmptyMessage>(Op::kFsync, FsyncRequest{.node = node}).status;
  };
  // As if a third one had got it out of the kernel, which tells it once.
  const InodeRef inode = home_->inodes().find(session_.getattr(file)->attributes.inode);
  ASSERT_NE(inode, nullptr);
  EXPECT_FALSE(inode->sync_failures().run([] { return Result<void>(fail(Status::kNoSpace)); }));
  TestSession late(home_);
  const NodeId in_late = late.find(kRootNode, "a");

  EXPECT_EQ(fsync(session_, file), Status::kNoSpace);
  EXPECT_EQ(fsync(session_, file), Status::kOk);
  EXPECT_EQ(fsync(session_, other), Status::kOk);
  EXPECT_EQ(fsync(second, in_second), Status::kNoSpace);
  EXPECT_EQ(fsync(second, in_second), Status::kOk);
  EXPECT_EQ(fsync(late, in_late), Status::kOk);
}

TEST_F(Data, DigestsAreThoseOfTheBlocksAndOfTheWhole) {
  const std::string data = pattern(3 * kBlockBytes + 100);
  const NodeId file = session_.make_file(kRootNode, "a", data);
  const auto digest = [&](DigestRequest request) {
    request.node = file;
    return session_.call<DigestReply>(Op::kDigest, request);
  };
  std::vector<Md5Digest> blocks(4);
  md5_pieces(0, bytes_of(data), blocks);
  EXPECT_EQ(digest({.offset = 0, .length = data.size()})->digests, blocks);
  EXPECT_EQ(digest({.offset = kBlockBytes + 7, .length = 1})->digests,
            (std::vector<Md5Digest>{blocks[1]}));
  EXPECT_EQ(digest({.offset = 10 * kBlockBytes, .length = 1})->digests.size(), 0u);
  EXPECT_EQ(digest({.whole = true})->digests, (std::vector<Md5Digest>{md5_of(bytes_of(data))}));
  EXPECT_EQ(digest({.offset = 0, .length = UINT64_MAX}).status, Status::kInvalid);
  EXPECT_EQ(digest({.offset = UINT64_MAX, .length = 2}).status, Status::kInvalid);
}

TEST_F(Data, ReadManyBringsWholeSmallFiles) {
  const std::string big = pattern(20'000);
  const NodeId small = session_.make_file(kRootNode, "small", "tiny");
  const NodeId empty = session_.make_file(kRootNode, "empty");
  const NodeId large = session_.make_file(kRootNode, "large", big);
  const auto answer = session_.call<ReadManyReply>(
      Op::kReadMany, ReadManyRequest{.nodes = {small, empty, large, NodeId{9999}, kRootNode},
                                     .bytes_each = 10'000});
  ASSERT_EQ(answer.status, Status::kOk);
  ASSERT_EQ(answer->files.size(), 5u);
  EXPECT_EQ(answer.payload, "tiny");
  EXPECT_EQ(answer->files[0].bytes, 4u);
  EXPECT_EQ(answer->files[0].digests, (std::vector<Md5Digest>{md5_of(bytes_of("tiny"))}));
  EXPECT_EQ(answer->files[1].size, 0u);
  EXPECT_EQ(answer->files[2].size, 20'000u);
  EXPECT_EQ(answer->files[2].bytes, 0u);
  EXPECT_EQ(answer->files[3].status, static_cast<std::uint16_t>(Status::kStale));
  EXPECT_EQ(answer->files[4].bytes, 0u);
}

TEST_F(Data, ReadManyStopsAtTheSizeOfAnAnswer) {
  std::vector<NodeId> nodes;
  const std::string data = pattern(400'000);
  for (int i = 0; i < 4; ++i) {
    nodes.push_back(session_.make_file(kRootNode, "f" + std::to_string(i), data));
  }
  const auto answer = session_.call<ReadManyReply>(
      Op::kReadMany, ReadManyRequest{.nodes = nodes, .bytes_each = 1 << 20});
  EXPECT_EQ(answer.payload.size(), 800'000u);
  EXPECT_EQ(answer->files[1].status, static_cast<std::uint16_t>(Status::kOk));
  EXPECT_EQ(answer->files[2].status, static_cast<std::uint16_t>(Status::kWouldBlock));
  EXPECT_EQ(answer->files[2].bytes, 0u);
}

TEST_F(Data, AWriteLeavesSuidAndSgidToTheClient) {
  const NodeId file = session_.make_file(kRootNode, "a", "x");
  session_.chmod(file, 06755);
  EXPECT_EQ(session_.write(file, 0, "y")->attributes.mode, S_IFREG | 06755u);
  EXPECT_EQ(append(file, "z")->attributes.mode, S_IFREG | 06755u);
  const auto killed = session_.setattr({.node = file, .which = kSetKillPrivileges});
  EXPECT_EQ(killed->attributes.mode, S_IFREG | 0755u);
}

TEST_F(Data, VersionsDifferAfterEveryChangeAndOnlyThen) {
  const NodeId file = session_.make_file(kRootNode, "a", "x");
  std::uint64_t before = session_.getattr(file)->attributes.version;
  for (int i = 0; i < 1000; ++i) {
    const auto written = session_.write(file, 0, "y");
    ASSERT_NE(written->attributes.version, before) << i;
    before = written->attributes.version;
    ASSERT_EQ(session_.getattr(file)->attributes.version, before);
    ASSERT_EQ(session_.read(file, 0, 1)->version, before);
  }
}

TEST_F(Data, ADigestOfAVersionThatMayComeBackIsNotKept) {
  const NodeId file = session_.make_file(kRootNode, "a", "old");
  const auto digest = [&] {
    return session_.call<DigestReply>(Op::kDigest, DigestRequest{.node = file, .whole = true});
  };
  // A page that is mapped and dirty is changed without any trace in ctime: as a change in the same
  // tick of a clock that ticks rarely.
  const UniqueFd fd(::open((home_.root() / "a").c_str(), O_RDWR | O_CLOEXEC));
  void* const map = ::mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  auto* const text = static_cast<volatile char*>(map);
  text[0] = 'o';
  bool is_checked = false;
  for (int attempt = 0; attempt < 50 && !is_checked; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    session_.write(file, 0, "old");
    const auto old = digest();
    // On a machine that was held up it may be kept.
    if (std::chrono::steady_clock::now() - start > std::chrono::milliseconds(30)) continue;
    text[0] = 'c';
    const auto changed = digest();
    if (changed->version != old->version) continue;  // the page was written back meanwhile
    EXPECT_EQ(changed->digests, (std::vector<Md5Digest>{md5_of(bytes_of("cld"))}));
    is_checked = true;
  }
  EXPECT_TRUE(is_checked);
  ::munmap(map, 3);
}

}  // namespace
}  // namespace homefs
