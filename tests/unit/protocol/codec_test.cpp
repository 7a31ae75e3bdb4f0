#include "protocol/codec.h"

#include <random>

#include <gtest/gtest.h>
#include "protocol/limits.h"
#include "tests/support/protocol/allocations.h"
#include "tests/support/protocol/message_kinds.h"

namespace homefs::testing {
namespace {

class RandomValues final : public ValueSource {
 public:
  explicit RandomValues(std::uint64_t seed) : random_(seed) {}

  std::uint64_t number(std::string_view type, std::uint64_t max) override {
    if (type == "count") return random_() % 4;
    switch (random_() % 4) {  // the ends of the range more often than chance would have it
      case 0:
        return 0;
      case 1:
        return max;
      default:
        return max == UINT64_MAX ? random_() : random_() % (max + 1);
    }
  }
  std::string bytes(std::string_view type, std::size_t bytes_max) override {
    const bool is_long = random_() % 64 == 0;
    std::string text(type == "digest" || is_long ? bytes_max : random_() % 20, '\0');
    for (char& c : text) c = static_cast<char>(random_() & 0xff);
    return text;
  }

 private:
  std::mt19937_64 random_;
};

class NoSink final : public ValueSink {
 public:
  void number(std::string_view, std::uint64_t) override {}
  void bytes(std::string_view, std::string_view) override {}
};

bool decodes(const MessageKind& kind, std::span<const std::byte> bytes) {
  NoSink sink;
  return kind.decode(bytes, sink).has_value();
}

constexpr std::uint64_t kSeeds = 200;

TEST(Codec, KeepsEveryMessage) {
  for (const MessageKind& kind : message_kinds()) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      RandomValues values(seed);
      ASSERT_TRUE(kind.is_kept(values)) << kind.name << " seed " << seed;
    }
  }
}

TEST(Codec, RefusesEveryMessageThatIsCutShort) {
  for (const MessageKind& kind : message_kinds()) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      RandomValues values(seed);
      const std::vector<std::byte> bytes = kind.encode(values);
      ASSERT_TRUE(decodes(kind, bytes)) << kind.name << " seed " << seed;
      for (std::size_t length = 0; length < bytes.size(); ++length) {
        ASSERT_FALSE(decodes(kind, std::span(bytes).first(length)))
            << kind.name << " seed " << seed << " cut to " << length << " of " << bytes.size();
      }
    }
  }
}

TEST(Codec, RefusesBytesBehindEveryMessage) {
  for (const MessageKind& kind : message_kinds()) {
    RandomValues values(1);
    std::vector<std::byte> bytes = kind.encode(values);
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decodes(kind, bytes)) << kind.name;
  }
}

TEST(Codec, LeavesThePayloadToItsCaller) {
  std::vector<std::byte> bytes = encode_fields(NodeRequest{NodeId{5}});
  bytes.push_back(std::byte{42});
  ByteReader in(bytes);
  const auto request = decode<NodeRequest>(in);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->node, NodeId{5});
  ASSERT_EQ(in.rest().size(), 1u);
  EXPECT_EQ(in.rest()[0], std::byte{42});
}

TEST(Codec, PutsIntroductionsBeforeTheMessage) {
  const Introductions introductions{{{NodeId{2}, kRootNode, "a", InodeNumber{7}}}};
  const auto bytes = encode_request(introductions, NodeRequest{NodeId{2}});
  ByteReader in(bytes);
  EXPECT_EQ(*decode<Introductions>(in), introductions);
  EXPECT_EQ(*decode<NodeRequest>(in), NodeRequest{NodeId{2}});
  EXPECT_TRUE(in.rest().empty());
}

template <class Message>
Status status_of(std::span<const std::byte> bytes) {
  const auto message = decode_all<Message>(bytes);
  return message ? Status::kOk : message.error().status;
}

// `message` with one byte of its encoding set to `value`.
template <class Message>
Status status_with_byte(const Message& message, std::size_t position, unsigned value) {
  std::vector<std::byte> bytes = encode_fields(message);
  bytes.at(position) = static_cast<std::byte>(value);
  return status_of<Message>(bytes);
}

TEST(Codec, RefusesBoolsThatAreNeitherZeroNorOne) {
  const FsyncRequest request{NodeId{1}, true};
  EXPECT_EQ(status_with_byte(request, 8, 0), Status::kOk);
  EXPECT_EQ(status_with_byte(request, 8, 1), Status::kOk);
  for (unsigned value = 2; value < 256; ++value) {
    EXPECT_EQ(status_with_byte(request, 8, value), Status::kProtocolError) << value;
  }
}

TEST(Codec, RefusesOptionalsThatAreNeitherThereNorNot) {
  const RenameReply reply;
  const std::size_t position = encode_fields(reply).size() - 32 - 1;
  EXPECT_EQ(status_with_byte(reply, position, 2), Status::kProtocolError);
  EXPECT_EQ(status_with_byte(reply, position, 255), Status::kProtocolError);
}

// Accepts every value up to `last` at `position`, and none above.
template <class Message>
void expect_enum(std::size_t position, unsigned last) {
  for (unsigned value = 0; value < 256; ++value) {
    EXPECT_EQ(status_with_byte(Message{}, position, value),
              value <= last ? Status::kOk : Status::kProtocolError)
        << value;
  }
}

TEST(Codec, RefusesEnumeratorsThatDoNotExist) {
  expect_enum<RenameRequest>(20, 2);
  expect_enum<SetxattrRequest>(10, 2);
  expect_enum<FallocateRequest>(8, 4);
  expect_enum<SeekRequest>(16, 1);
  expect_enum<LockRequest>(8, 1);
  expect_enum<LockRequest>(9, 3);
  expect_enum<TestLockRequest>(8, 3);
}

TEST(Codec, RefusesNanosecondsOfASecondOrMore) {
  SetattrRequest request;
  request.atime = {-1, 999'999'999};
  EXPECT_EQ(status_of<SetattrRequest>(encode_fields(request)), Status::kOk);
  request.mtime.nanoseconds = 1'000'000'000;
  EXPECT_EQ(status_of<SetattrRequest>(encode_fields(request)), Status::kProtocolError);
  request.mtime.nanoseconds = UINT32_MAX;
  EXPECT_EQ(status_of<SetattrRequest>(encode_fields(request)), Status::kProtocolError);
}

std::vector<std::byte> string_of(std::size_t length) {
  std::vector<std::byte> bytes(2 + length, std::byte{'x'});
  bytes[0] = static_cast<std::byte>(length & 0xff);
  bytes[1] = static_cast<std::byte>(length >> 8);
  return bytes;
}

TEST(Codec, RefusesStringsOverTheLimitThoughTheyAreAllThere) {
  EXPECT_EQ(status_of<TargetReply>(string_of(0)), Status::kOk);
  EXPECT_EQ(status_of<TargetReply>(string_of(kSymlinkBytesMax)), Status::kOk);
  EXPECT_EQ(status_of<TargetReply>(string_of(kSymlinkBytesMax + 1)), Status::kProtocolError);
  EXPECT_EQ(status_of<TargetReply>(string_of(65535)), Status::kProtocolError);
}

// A list of `count` numbers, of which `items` are there.
std::vector<std::byte> nodes_of(std::uint32_t count, std::size_t items) {
  std::vector<std::byte> bytes(4 + 8 * items);
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>((count >> (8 * i)) & 0xff);
  return bytes;
}

TEST(Codec, RefusesListsOverTheLimitThoughTheyAreAllThere) {
  EXPECT_EQ(status_of<ForgetRequest>(nodes_of(kListItemsMax, kListItemsMax)), Status::kOk);
  EXPECT_EQ(status_of<ForgetRequest>(nodes_of(kListItemsMax + 1, kListItemsMax + 1)),
            Status::kProtocolError);
}

template <class Message>
std::size_t largest_allocation_of(std::span<const std::byte> bytes) {
  forget_allocations();
  const bool is_decoded = decode_all<Message>(bytes).has_value();
  const std::size_t largest = largest_allocation();
  EXPECT_FALSE(is_decoded);
  return largest;
}

TEST(Codec, ReservesNothingForACountThatLies) {
  // An error's text is all that may be allocated.
  constexpr std::size_t kSmall = 256;
  for (const std::uint32_t count : {2u, 100u, 65536u, 65537u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_LE(largest_allocation_of<ForgetRequest>(nodes_of(count, 1)), kSmall) << count;
    EXPECT_LE(largest_allocation_of<ListReply>(nodes_of(count, 1)), kSmall) << count;
    EXPECT_LE(largest_allocation_of<ReadManyReply>(nodes_of(count, 1)), kSmall) << count;
    EXPECT_LE(largest_allocation_of<Introductions>(nodes_of(count, 1)), kSmall) << count;
  }
}

TEST(Codec, ReservesNoMoreThanSomeTimesTheBytesThatAreThere) {
  // 64 KiB of zeros: as folders that would be 600, not the 8,192 that 8 bytes each would make.
  std::vector<std::byte> bytes = nodes_of(8192, 8192);
  EXPECT_LE(largest_allocation_of<ListReply>(bytes), 2 * bytes.size());
}

TEST(Codec, RefusesRandomBytesWithoutHarm) {
  std::mt19937_64 random(7);
  std::vector<std::byte> bytes(300);
  for (int round = 0; round < 200; ++round) {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() % 4 == 0 ? random() : 0);
    for (const MessageKind& kind : message_kinds()) {
      (void)decodes(kind, std::span(bytes).first(random() % bytes.size()));  // sanitizers judge
    }
  }
}

}  // namespace
}  // namespace homefs::testing
