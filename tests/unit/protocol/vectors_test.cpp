// What the code says and understands, against the vectors that a script has made from PROTOCOL.md.
#include <charconv>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include "protocol/block_md5.h"
#include "protocol/frame.h"
#include "protocol/limits.h"
#include "protocol/name.h"
#include "tests/support/protocol/message_kinds.h"
#include "tests/support/protocol/vector_file.h"

namespace homefs::testing {
namespace {

template <class Number = std::uint64_t>
Number number_of_text(const std::string& text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  HOMEFS_CHECK(parsed.ec == std::errc() && parsed.ptr == end);
  return number;
}

// A value of a message: its type as in PROTOCOL.md, and its text.
struct Value {
  std::string type;
  std::string text;
  bool operator==(const Value&) const = default;
};

// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest looks for this name
void PrintTo(const Value& value, std::ostream* out) { *out << value.type << " " << value.text; }

std::string text_of_number(std::string_view type, std::uint64_t value) {
  return type == "i64" ? std::to_string(static_cast<std::int64_t>(value)) : std::to_string(value);
}

class ListedValues final : public ValueSource {
 public:
  explicit ListedValues(const std::vector<Value>& values) : values_(values) {}
  std::uint64_t number(std::string_view type, std::uint64_t) override {
    const std::string text = next(type);
    if (type == "i64") return static_cast<std::uint64_t>(number_of_text<std::int64_t>(text));
    return number_of_text(text);
  }
  std::string bytes(std::string_view type, std::size_t) override {
    return from_hex_text(next(type));
  }
  [[nodiscard]] bool is_used_up() const { return next_ == values_.size(); }

 private:
  std::string next(std::string_view type) {
    EXPECT_LT(next_, values_.size());
    if (next_ >= values_.size()) return "0";
    const Value& value = values_[next_++];
    EXPECT_EQ(value.type, type) << "value " << next_;
    return value.type == type ? value.text : "0";
  }

  const std::vector<Value>& values_;
  std::size_t next_ = 0;
};

class CollectedValues final : public ValueSink {
 public:
  void number(std::string_view type, std::uint64_t value) override {
    values.push_back({std::string(type), text_of_number(type, value)});
  }
  void bytes(std::string_view type, std::string_view value) override {
    values.push_back({std::string(type), to_hex_text(value)});
  }
  std::vector<Value> values;
};

struct MessageVector {
  std::string name;
  std::string style;
  std::vector<Value> values;
  std::string bytes;
};

std::vector<MessageVector> message_vectors() {
  std::vector<MessageVector> vectors;
  for (const VectorLine& line : read_vectors("messages")) {
    if (line[0] == "message") {
      vectors.push_back({.name = line.at(1), .style = line.at(2), .values = {}, .bytes = {}});
    } else if (line[0] == "encoded") {
      vectors.back().bytes = from_hex_text(line.at(1));
    } else if (line[0] != "refused") {
      vectors.back().values.push_back({line.at(1), line.at(2)});
    }
  }
  return vectors;
}

TEST(Vectors, AreThereForEveryMessageInTheOrderOfTheDocument) {
  std::vector<std::string> names;
  for (const MessageVector& vector : message_vectors()) {
    if (names.empty() || names.back() != vector.name) names.push_back(vector.name);
  }
  std::vector<std::string> kinds;
  for (const MessageKind& kind : message_kinds()) kinds.emplace_back(kind.name);
  EXPECT_EQ(names, kinds);
}

TEST(Vectors, OfMessagesAreWhatWeEncode) {
  for (const MessageVector& vector : message_vectors()) {
    SCOPED_TRACE(vector.name + " " + vector.style);
    const MessageKind* kind = find_message_kind(vector.name);
    ASSERT_NE(kind, nullptr);
    ListedValues values(vector.values);
    EXPECT_EQ(to_hex_text(text_of_bytes(kind->encode(values))), to_hex_text(vector.bytes));
    EXPECT_TRUE(values.is_used_up());
  }
}

TEST(Vectors, OfMessagesAreUnderstood) {
  for (const MessageVector& vector : message_vectors()) {
    SCOPED_TRACE(vector.name + " " + vector.style);
    const MessageKind* kind = find_message_kind(vector.name);
    ASSERT_NE(kind, nullptr);
    CollectedValues collected;
    const Result<void> decoded = kind->decode(bytes_of(vector.bytes), collected);
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(collected.values, vector.values);
  }
}

TEST(Vectors, OfWhatIsNoMessageAreRefused) {
  std::set<std::string> reasons;
  for (const VectorLine& line : read_vectors("messages")) {
    if (line[0] != "refused") continue;
    const MessageKind* kind = find_message_kind(line.at(1));
    ASSERT_NE(kind, nullptr) << line[1];
    CollectedValues collected;
    const Result<void> decoded = kind->decode(bytes_of(from_hex_text(line.at(3))), collected);
    ASSERT_FALSE(decoded) << line[1] << " " << line[2];
    EXPECT_EQ(decoded.error().status, Status::kProtocolError) << line[1] << " " << line[2];
    reasons.insert(line[2]);
  }
  EXPECT_TRUE(reasons.contains("cut-short"));
}

FrameHeaderBytes header_bytes(const std::string& hex) {
  const std::string text = from_hex_text(hex);
  HOMEFS_CHECK(text.size() == kFrameHeaderBytes);
  FrameHeaderBytes bytes;
  std::ranges::copy(bytes_of(text), bytes.begin());
  return bytes;
}

FrameHeader header_of(const VectorLine& line) {
  HOMEFS_CHECK(line.at(4) == "0" && line.at(7) == "0");  // flags, reserved
  return {.body_bytes = number_of_text<std::uint32_t>(line.at(1)),
          .op = static_cast<Op>(number_of_text<std::uint16_t>(line.at(2))),
          .kind = static_cast<FrameKind>(number_of_text<unsigned>(line.at(3))),
          .tag = number_of_text<std::uint32_t>(line.at(5)),
          .status = static_cast<Status>(number_of_text<std::uint16_t>(line.at(6))),
          .seq = number_of_text(line.at(8)),
          .seq_done = number_of_text(line.at(9))};
}

TEST(Vectors, OfFrameHeadersAreWhatWeEncodeAndUnderstand) {
  std::size_t headers = 0;
  for (const VectorLine& line : read_vectors("frames")) {
    if (line[0] != "header") continue;
    ++headers;
    const FrameHeader header = header_of(line);
    const FrameHeaderBytes bytes = header_bytes(line.at(10));
    EXPECT_EQ(encode_header(header), bytes) << line[10];
    const auto decoded = decode_header(bytes, kBodyBytesMax);
    ASSERT_TRUE(decoded) << line[10] << ": " << decoded.error().message();
    EXPECT_EQ(*decoded, header) << line[10];
  }
  EXPECT_GT(headers, 50u);
}

TEST(Vectors, OfWhatIsNoFrameHeaderAreRefused) {
  std::map<std::string, int> refused;
  for (const VectorLine& line : read_vectors("frames")) {
    if (line[0] != "refused") continue;
    const auto decoded = decode_header(header_bytes(line.at(2)), kBodyBytesMax);
    ASSERT_FALSE(decoded) << line[1] << " " << line[2];
    EXPECT_EQ(decoded.error().status, Status::kProtocolError);
    ++refused[line[1]];
  }
  EXPECT_EQ(refused.size(), 6u);  // length, kind, flags, reserved, op, status
}

TEST(Vectors, OfNamesAreJudgedAsTheDocumentSays) {
  int names = 0;
  for (const VectorLine& line : read_vectors("names")) {
    const bool is_name = line[0] == "name";
    const std::string text = from_hex_text(line.back());
    const auto name = Name::make(text);
    EXPECT_EQ(name.has_value(), is_name) << homefs::quoted(text);
    if (name) {
      EXPECT_EQ(name->text(), text);
    }
    if (!name && !is_name) {
      EXPECT_EQ(static_cast<int>(name.error().status), number_of_text<int>(line.at(1)))
          << homefs::quoted(text);
    }
    ++names;
  }
  EXPECT_GT(names, 20);
}

std::string patterned_data(std::size_t length) {
  std::string data(length, '\0');
  for (std::size_t i = 0; i < length; ++i) data[i] = static_cast<char>(i * 31 + (i >> 8) * 7);
  return data;
}

TEST(Vectors, OfPiecesAreWhatWeHash) {
  int pieces = 0;
  for (const VectorLine& line : read_vectors("pieces")) {
    if (line[0] != "pieces") continue;
    const auto offset = number_of_text(line.at(1));
    const std::string data = patterned_data(number_of_text<std::size_t>(line.at(2)));
    SCOPED_TRACE(line[1] + " " + line[2]);
    std::vector<Md5Digest> digests(piece_count(offset, data.size()));
    ASSERT_EQ(digests.size(), line.size() - 3);
    md5_pieces(offset, bytes_of(data), digests);
    for (std::size_t i = 0; i < digests.size(); ++i) {
      EXPECT_EQ(md5_to_hex(digests[i]), line[3 + i]) << "piece " << i;
    }
    EXPECT_TRUE(md5_pieces_equal(offset, bytes_of(data), digests, nullptr));
    ++pieces;
  }
  EXPECT_GT(pieces, 10);
}

TEST(Vectors, OfMd5AreWhatWeHash) {
  for (const VectorLine& line : read_vectors("pieces")) {
    if (line[0] != "md5") continue;
    const std::string text = from_hex_text(line.at(1));
    const std::span<const std::byte> block = bytes_of(text);
    Md5Digest digest{};
    md5_blocks(std::span(&block, 1), std::span(&digest, 1));
    EXPECT_EQ(md5_to_hex(digest), line.at(2)) << line[1];
  }
}

}  // namespace
}  // namespace homefs::testing
