#include "protocol/frame_assembler.h"

#include <cstring>

#include <gtest/gtest.h>

namespace homefs {
namespace {

std::vector<std::byte> encode(FrameHeader header, std::size_t body_bytes) {
  header.body_bytes = static_cast<std::uint32_t>(body_bytes);
  const auto head = encode_header(header);
  std::vector<std::byte> bytes(head.begin(), head.end());
  for (std::size_t i = 0; i < body_bytes; ++i) bytes.push_back(static_cast<std::byte>(i & 0xff));
  return bytes;
}

/// Feeds `bytes` at most `step` at a time; the frames that come out, or the error.
Result<std::vector<InFrame>> feed(FrameAssembler& assembler, std::span<const std::byte> bytes,
                                  std::size_t step, std::size_t body_bytes_max = kBodyBytesMax) {
  std::vector<InFrame> frames;
  while (!bytes.empty()) {
    const auto wanted = assembler.wanted();
    EXPECT_FALSE(wanted.empty());
    const std::size_t count = std::min({step, wanted.size(), bytes.size()});
    std::memcpy(wanted.data(), bytes.data(), count);
    bytes = bytes.subspan(count);
    auto frame = assembler.commit(count, body_bytes_max);
    if (!frame) return std::unexpected(frame.error());
    if (*frame) frames.push_back(std::move(**frame));
  }
  return frames;
}

constexpr FrameHeader kWriteRequest{.op = Op::kWrite, .kind = FrameKind::kRequest, .tag = 7};

class FrameAssemblerTest : public ::testing::Test {
 protected:
  Status refusal(const FrameHeader& header, std::size_t body_bytes, bool from_client = true,
                 std::size_t body_bytes_max = kBodyBytesMax) {
    FrameAssembler assembler(pool_, from_client);
    const auto frames = feed(assembler, encode(header, body_bytes), 4096, body_bytes_max);
    return frames ? Status::kOk : frames.error().status;
  }

  std::shared_ptr<BufferPool> pool_ = BufferPool::make(2);
};

TEST_F(FrameAssemblerTest, MakesTheSameFramesHoweverTheBytesArrive) {
  std::vector<std::byte> bytes;
  const std::vector<std::size_t> sizes = {0, 1, 100, 70000, 0, 33};
  for (const std::size_t size : sizes) {
    const auto frame = encode(kWriteRequest, size);
    bytes.insert(bytes.end(), frame.begin(), frame.end());
  }
  for (const std::size_t step : {1u, 7u, 32u, 33u, 16384u, 1u << 20}) {
    FrameAssembler assembler(pool_, true);
    const auto frames = feed(assembler, bytes, step);
    ASSERT_TRUE(frames) << frames.error().message();
    ASSERT_EQ(frames->size(), sizes.size()) << step;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto body = (*frames)[i].bytes();
      ASSERT_EQ(body.size(), sizes[i]);
      EXPECT_EQ((*frames)[i].header.tag, 7u);
      for (std::size_t k = 0; k < body.size(); ++k) {
        ASSERT_EQ(body[k], static_cast<std::byte>(k & 0xff));
      }
    }
    EXPECT_TRUE(assembler.is_at_boundary());
  }
}

TEST_F(FrameAssemblerTest, KnowsWhetherAFrameHasBegun) {
  FrameAssembler assembler(pool_, true);
  EXPECT_TRUE(assembler.is_at_boundary());
  const auto bytes = encode(kWriteRequest, 3);
  ASSERT_TRUE(feed(assembler, std::span(bytes).first(1), 1));
  EXPECT_FALSE(assembler.is_at_boundary());
  ASSERT_TRUE(feed(assembler, std::span(bytes).subspan(1, 31), 31));  // the header exactly
  EXPECT_FALSE(assembler.is_at_boundary());
}

TEST_F(FrameAssemblerTest, RefusesABodyOverTheConnectionsLimitBeforeItIsReceived) {
  FrameAssembler assembler(pool_, true);
  const auto bytes = encode(kWriteRequest, kLoginBodyBytesMax + 1);
  const auto frames =
      feed(assembler, std::span(bytes).first(kFrameHeaderBytes), 4096, kLoginBodyBytesMax);
  ASSERT_FALSE(frames);
  EXPECT_EQ(frames.error().status, Status::kProtocolError);
  EXPECT_EQ(refusal(kWriteRequest, kLoginBodyBytesMax, true, kLoginBodyBytesMax), Status::kOk);
}

TEST_F(FrameAssemblerTest, AllowsPayloadOnlyToTheOperationsThatHaveIt) {
  FrameHeader header = kWriteRequest;
  EXPECT_EQ(refusal(header, kBodyBytesMax), Status::kOk);
  header.op = Op::kMkdir;
  EXPECT_EQ(refusal(header, kSmallBodyBytesMax), Status::kOk);
  EXPECT_EQ(refusal(header, kSmallBodyBytesMax + 1), Status::kProtocolError);
  header.kind = FrameKind::kEventAck;
  header.op = Op::kChanged;
  EXPECT_EQ(refusal(header, kSmallBodyBytesMax + 1), Status::kProtocolError);
  header.kind = FrameKind::kReply;  // a LIST page answers a small request
  header.op = Op::kList;
  EXPECT_EQ(refusal(header, kBodyBytesMax, false), Status::kOk);
}

TEST_F(FrameAssemblerTest, RefusesFramesOfTheWrongDirection) {
  for (const FrameKind kind :
       {FrameKind::kRequest, FrameKind::kReply, FrameKind::kEvent, FrameKind::kEventAck}) {
    FrameHeader header = kWriteRequest;
    header.kind = kind;
    const bool is_clients = kind == FrameKind::kRequest || kind == FrameKind::kEventAck;
    EXPECT_EQ(refusal(header, 1, is_clients), Status::kOk);
    EXPECT_EQ(refusal(header, 1, !is_clients), Status::kProtocolError);
  }
}

}  // namespace
}  // namespace homefs
