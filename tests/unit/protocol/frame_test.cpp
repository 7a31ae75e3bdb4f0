#include "protocol/frame.h"

#include <random>

#include <gtest/gtest.h>
#include "protocol/limits.h"

namespace homefs {
namespace {

template <class T>
void put(FrameHeaderBytes& bytes, std::size_t offset, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes.at(offset + i) = static_cast<std::byte>((value >> (8 * i)) & 0xff);
  }
}

// A ping of which `value` was put at `offset`.
template <class T>
Result<FrameHeader> decode_with(std::size_t offset, T value,
                                std::size_t body_bytes_max = kBodyBytesMax) {
  FrameHeaderBytes bytes = encode_header({.op = Op::kPing});
  put(bytes, offset, value);
  return decode_header(bytes, body_bytes_max);
}

Status status_of(const Result<FrameHeader>& header) {
  return header ? Status::kOk : header.error().status;
}

TEST(Frame, KeepsEveryHeader) {
  std::mt19937_64 random(1);
  constexpr Op kOps[] = {Op::kHello, Op::kCreate, Op::kWrite, Op::kGoingAway};
  constexpr Status kStatuses[] = {Status::kOk, Status::kStale, Status::kConfigError};
  for (int round = 0; round < 1000; ++round) {
    const FrameHeader header{.body_bytes = static_cast<std::uint32_t>(random() % kBodyBytesMax),
                             .op = kOps[random() % std::size(kOps)],
                             .kind = static_cast<FrameKind>(1 + random() % 4),
                             .tag = static_cast<std::uint32_t>(random()),
                             .status = kStatuses[random() % std::size(kStatuses)],
                             .seq = random(),
                             .seq_done = random()};
    const auto decoded = decode_header(encode_header(header), kBodyBytesMax);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, header);
  }
}

TEST(Frame, HasItsFieldsAtTheOffsetsOfTheDocument) {
  const FrameHeaderBytes bytes = encode_header({.body_bytes = 0x000a0b0c,
                                                .op = Op::kRead,
                                                .kind = FrameKind::kReply,
                                                .tag = 0x01020304,
                                                .status = Status::kStale,
                                                .seq = 0x1112131415161718,
                                                .seq_done = 0x2122232425262728});
  FrameHeaderBytes expected{};
  put(expected, 0, std::uint32_t{0x000a0b0c});
  put(expected, 4, std::uint16_t{70});
  put(expected, 6, std::uint8_t{2});
  put(expected, 8, std::uint32_t{0x01020304});
  put(expected, 12, std::uint16_t{770});
  put(expected, 16, std::uint64_t{0x1112131415161718});
  put(expected, 24, std::uint64_t{0x2122232425262728});
  EXPECT_EQ(bytes, expected);
}

TEST(Frame, RefusesABodyOverTheLimitOfTheConnection) {
  EXPECT_EQ(status_of(decode_with(0, std::uint32_t{8192}, kLoginBodyBytesMax)), Status::kOk);
  EXPECT_EQ(status_of(decode_with(0, std::uint32_t{8193}, kLoginBodyBytesMax)),
            Status::kProtocolError);
  EXPECT_EQ(status_of(decode_with(0, std::uint32_t{kBodyBytesMax})), Status::kOk);
  EXPECT_EQ(status_of(decode_with(0, std::uint32_t{kBodyBytesMax + 1})), Status::kProtocolError);
  EXPECT_EQ(status_of(decode_with(0, UINT32_MAX)), Status::kProtocolError);
}

TEST(Frame, RefusesOperationsThatDoNotExist) {
  for (int op = 0; op < 65536; ++op) {
    const auto number = static_cast<std::uint16_t>(op);
    EXPECT_EQ(decode_with(4, number).has_value(), find_op(number) != nullptr) << op;
  }
}

TEST(Frame, RefusesKindsThatDoNotExist) {
  for (int kind = 0; kind < 256; ++kind) {
    EXPECT_EQ(decode_with(6, static_cast<std::uint8_t>(kind)).has_value(), kind >= 1 && kind <= 4)
        << kind;
  }
}

TEST(Frame, RefusesStatusesThatDoNotExist) {
  for (int status = 0; status < 65536; ++status) {
    const auto number = static_cast<std::uint16_t>(status);
    EXPECT_EQ(decode_with(12, number).has_value(), is_known_status(number)) << status;
  }
}

TEST(Frame, RefusesEachReservedBit) {
  for (int bit = 0; bit < 8; ++bit) {
    const auto flags = static_cast<std::uint8_t>(1u << bit);
    EXPECT_EQ(status_of(decode_with(7, flags)), Status::kProtocolError) << "flag " << bit;
  }
  for (int bit = 0; bit < 16; ++bit) {
    const auto reserved = static_cast<std::uint16_t>(1u << bit);
    EXPECT_EQ(status_of(decode_with(14, reserved)), Status::kProtocolError) << "bit " << bit;
  }
}

TEST(Frame, CountsFieldsAndPayloadAsItsBody) {
  OutFrame frame;
  EXPECT_EQ(frame.body_bytes(), 0u);
  frame.fields.resize(10);
  const auto buffer = std::make_shared<Buffer>(100);
  frame.payload = {slice_of(buffer), slice_of(buffer).subslice(10, 5)};
  EXPECT_EQ(frame.body_bytes(), 115u);
}

}  // namespace
}  // namespace homefs
