#include "protocol/channel_send_queue.h"

#include <cstring>

#include <gtest/gtest.h>
#include "protocol/bytes.h"
#include "protocol/tls_stream.h"
#include "tests/unit/protocol/channel_fixture.h"

namespace homefs::testing {
namespace {

constexpr std::size_t kRecord = TlsStream::kRecordBytesMax;

/// Takes everything out of the queue, at most `step` at a time; notes the sizes next() offered.
std::vector<std::byte> drain(ChannelSendQueue& queue, std::size_t step,
                             std::vector<std::size_t>* pieces = nullptr) {
  std::vector<std::byte> all;
  for (auto piece = queue.next(); !piece.empty(); piece = queue.next()) {
    if (pieces != nullptr) pieces->push_back(piece.size());
    EXPECT_LE(piece.size(), kRecord);
    const auto again = queue.next();
    EXPECT_EQ(again.data(), piece.data());  // the same until it is consumed
    EXPECT_EQ(again.size(), piece.size());
    const auto taken = piece.first(std::min(step, piece.size()));
    all.insert(all.end(), taken.begin(), taken.end());
    queue.consume(taken.size());
  }
  EXPECT_EQ(queue.bytes(), 0u);
  return all;
}

std::vector<std::byte> plain(OutFrame frame) {
  frame.header.body_bytes = static_cast<std::uint32_t>(frame.body_bytes());
  std::vector<std::byte> all(kFrameHeaderBytes + frame.body_bytes());
  ByteWriter out(all);
  out.put_bytes(encode_header(frame.header));
  out.put_bytes(frame.fields);
  for (const Slice& slice : frame.payload) out.put_bytes(slice.bytes);
  EXPECT_EQ(out.left(), 0u);
  return all;
}

TEST(ChannelSendQueue, YieldsTheBytesOfItsFramesInOrder) {
  for (const std::size_t step : {std::size_t{1000}, kRecord}) {
    ChannelSendQueue queue;
    std::vector<std::byte> expected;
    for (const std::size_t size : {0u, 10u, 16384u, 100000u, 3u, 40000u}) {
      const auto bytes = plain(make_request(1, size));
      expected.insert(expected.end(), bytes.begin(), bytes.end());
      queue.push(make_request(1, size));
    }
    EXPECT_EQ(queue.bytes(), expected.size());
    EXPECT_EQ(drain(queue, step), expected);
  }
}

TEST(ChannelSendQueue, FillsRecordsWithSmallFrames) {
  ChannelSendQueue queue;
  for (std::uint32_t tag = 0; tag < 1000; ++tag) queue.push(make_request(tag, 0));
  const std::size_t total = queue.bytes();
  std::vector<std::size_t> pieces;
  drain(queue, kRecord, &pieces);
  EXPECT_EQ(pieces.size(), (total + kRecord - 1) / kRecord);
}

TEST(ChannelSendQueue, FillsTheFirstRecordOfALargeFrameWithItsPayload) {
  ChannelSendQueue queue;
  queue.push(make_request(1, 1024 * 1024));
  const std::size_t total = queue.bytes();
  std::vector<std::size_t> pieces;
  drain(queue, kRecord, &pieces);
  EXPECT_EQ(pieces.front(), kRecord);
  EXPECT_LE(pieces.size(), total / kRecord + 2);
}

TEST(ChannelSendQueue, LetsGoOfPayloadThatWasSent) {
  ChannelSendQueue queue;
  OutFrame frame = make_request(1, 1000);
  const std::weak_ptr<Buffer> payload = frame.payload[0].owner;
  queue.push(std::move(frame));
  drain(queue, kRecord);
  EXPECT_TRUE(payload.expired());
  frame = make_request(2, 1000);
  const std::weak_ptr<Buffer> dropped = frame.payload[0].owner;
  queue.push(std::move(frame));
  queue.clear();
  EXPECT_TRUE(dropped.expired());
  EXPECT_TRUE(queue.next().empty());
}

}  // namespace
}  // namespace homefs::testing
