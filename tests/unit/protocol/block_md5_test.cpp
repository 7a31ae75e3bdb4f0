// The multi-lane MD5 against OpenSSL, in every form this processor can run.
#include "protocol/block_md5.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/block_md5_variant.h"
#include "protocol/md5_stream.h"

namespace homefs {
namespace {

using Bytes = std::vector<std::byte>;
using View = std::span<const std::byte>;

constexpr std::size_t kMiB = std::size_t{1024} * 1024;

/// The lengths around which padding, chunks and blocks change.
std::vector<std::size_t> interesting_lengths() {
  std::vector<std::size_t> lengths{0, 1, 55, 56, 57, 63, 64, 65};
  for (std::size_t length = 119; length <= 129; ++length) lengths.push_back(length);
  for (const std::size_t near : {std::size_t{4096}, kBlockBytes}) {
    for (std::size_t length = near - 1; length <= near + 1; ++length) lengths.push_back(length);
  }
  return lengths;
}

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 56);
  return bytes;
}

Md5Digest openssl_md5(View data) {
  Md5Digest digest;
  static const EVP_MD* const kMd5 = EVP_md5();
  EXPECT_EQ(1, EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.data()),
                          nullptr, kMd5, nullptr));
  return digest;
}

View view_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Hashes `blocks` with every variant and compares each digest with `expected`.
void expect_digests(std::span<const View> blocks, std::span<const Md5Digest> expected) {
  for (const Md5Variant variant : available_md5_variants()) {
    std::vector<Md5Digest> digests(blocks.size());
    md5_blocks_with(variant, blocks, digests);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      ASSERT_EQ(md5_to_hex(expected[i]), md5_to_hex(digests[i]))
          << name_of(variant) << ", block " << i << " of " << blocks.size() << ", "
          << blocks[i].size() << " bytes";
    }
  }
}

void expect_equal_to_openssl(std::span<const View> blocks) {
  std::vector<Md5Digest> expected;
  for (const View block : blocks) expected.push_back(openssl_md5(block));
  expect_digests(blocks, expected);
}

struct Rfc1321Vector {
  std::string_view text;
  std::string_view digest;
};

/// RFC 1321, appendix A.5.
constexpr std::array kRfc1321Vectors{
    Rfc1321Vector{"", "d41d8cd98f00b204e9800998ecf8427e"},
    Rfc1321Vector{"a", "0cc175b9c0f1b6a831c399e269772661"},
    Rfc1321Vector{"abc", "900150983cd24fb0d6963f7d28e17f72"},
    Rfc1321Vector{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    Rfc1321Vector{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    Rfc1321Vector{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                  "d174ab98d277d9f5a5611c2c9f419d9f"},
    Rfc1321Vector{
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "57edf4a22be3c955ac49da2e2107b67a"}};

TEST(BlockMd5, GivesTheDigestsOfRfc1321) {
  std::vector<View> blocks;
  std::vector<Md5Digest> expected;
  for (const Rfc1321Vector& vector : kRfc1321Vectors) {
    blocks.push_back(view_of(vector.text));
    expected.push_back(md5_from_hex(vector.digest).value());
    EXPECT_EQ(vector.digest, md5_to_hex(md5_of(view_of(vector.text))));
  }
  expect_digests(blocks, expected);
}

TEST(BlockMd5, RunsWithNoBlocks) {
  for (const Md5Variant variant : available_md5_variants()) md5_blocks_with(variant, {}, {});
}

TEST(BlockMd5, AlwaysHasTheScalarAndTheBaselineVariant) {
  const std::span<const Md5Variant> variants = available_md5_variants();
  ASSERT_GE(variants.size(), 2u);
  EXPECT_EQ(Md5Variant::kScalar, variants[0]);
  EXPECT_EQ(Md5Variant::kVector128, variants[1]);
  EXPECT_EQ("vector128", name_of(variants[1]));
}

TEST(BlockMd5, EqualsOpensslForEveryLengthWithEveryNumberOfLanes) {
  constexpr std::size_t kBlocksMax = 33;  // one more than there are lanes
  for (const std::size_t length : interesting_lengths()) {
    const Bytes bytes = random_bytes(length + kBlocksMax, length);
    std::vector<View> blocks;
    std::vector<Md5Digest> expected;
    for (std::size_t count = 1; count <= kBlocksMax; ++count) {
      // Each block begins a byte after the one before: every alignment, and no two are the same.
      blocks.push_back(View(bytes).subspan(count - 1, length));
      expected.push_back(openssl_md5(blocks.back()));
      expect_digests(blocks, expected);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(BlockMd5, EqualsOpensslForLongBlocks) {
  const Bytes bytes = random_bytes(kMiB + 40, 1);
  for (const std::size_t count : {1u, 2u, 3u, 8u, 9u, 16u, 17u, 32u, 33u}) {
    std::vector<View> blocks(count);
    for (std::size_t i = 0; i < count; ++i) blocks[i] = View(bytes).subspan(i, kMiB);
    expect_equal_to_openssl(blocks);
  }
}

TEST(BlockMd5, EqualsOpensslForUnequalLengthsAtAnyAlignment) {
  const Bytes bytes = random_bytes(kMiB, 2);
  std::mt19937_64 random(3);
  for (int round = 0; round < 60; ++round) {
    std::vector<View> blocks(1 + random() % 100);
    for (View& block : blocks) {
      // Mostly short ones, as many of which end and begin while a long one is under way.
      const std::size_t length_max = std::size_t{1} << random() % 18;
      const std::size_t length = random() % length_max;
      block = View(bytes).subspan(random() % (bytes.size() - length), length);
    }
    expect_equal_to_openssl(blocks);
    if (HasFatalFailure()) return;
  }
}

TEST(BlockMd5, EqualsOpensslForBlocksThatShareCacheSets) {
  // Blocks a multiple of 4 KiB apart begin one after the other; see kLanesAbreast. Some end before
  // the last one has begun, or while it is the last one that is left to begin.
  const Bytes bytes = random_bytes(kMiB, 4);
  const std::array<std::size_t, 8> lengths{0,     63,          64,         16 * 1024,
                                           16383, kBlockBytes, 100 * 1024, 16 * 1024 + 1};
  std::mt19937_64 random(5);
  for (int round = 0; round < 60; ++round) {
    std::vector<View> blocks(1 + random() % 40);
    for (View& block : blocks) {
      const std::size_t length = lengths[random() % lengths.size()];
      block = View(bytes).subspan(random() % 200 * 4096, length);
    }
    expect_equal_to_openssl(blocks);
    if (HasFatalFailure()) return;
  }
}

/// `count` readable bytes with a page behind them that must not be touched.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t count)
      : page_bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
        readable_bytes_((count + page_bytes_ - 1) / page_bytes_ * page_bytes_),
        count_(count),
        pages_(mmap(nullptr, readable_bytes_ + page_bytes_, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    EXPECT_NE(MAP_FAILED, pages_);
    EXPECT_EQ(0, mprotect(begin() + readable_bytes_, page_bytes_, PROT_NONE));
  }
  ~GuardedBytes() { munmap(pages_, readable_bytes_ + page_bytes_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  [[nodiscard]] View view() const { return {begin() + readable_bytes_ - count_, count_}; }

 private:
  [[nodiscard]] std::byte* begin() const { return static_cast<std::byte*>(pages_); }

  std::size_t page_bytes_;
  std::size_t readable_bytes_;
  std::size_t count_;
  void* pages_;
};

TEST(BlockMd5, ReadsNothingBehindABlock) {
  for (const std::size_t length : {1u, 63u, 64u, 65u, 4096u, 65536u}) {
    const GuardedBytes bytes(length);
    for (const std::size_t count : {1u, 2u, 5u, 16u, 32u}) {
      expect_equal_to_openssl(std::vector<View>(count, bytes.view()));
    }
  }
}

TEST(BlockMd5, UsesABestVariantByDefault) {
  const Bytes bytes = random_bytes(20 * kBlockBytes, 6);
  std::vector<View> blocks(20);
  for (std::size_t i = 0; i < 20; ++i) blocks[i] = View(bytes).subspan(i * 999, i * 1111);
  std::vector<Md5Digest> digests(blocks.size());
  md5_blocks(blocks, digests);
  for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(openssl_md5(blocks[i]), digests[i]);
}

TEST(BlockMd5DeathTest, AbortsWhereTheNumberOfDigestsIsNotThatOfTheBlocks) {
  const std::vector<View> blocks(2);
  std::vector<Md5Digest> digests(1);
  EXPECT_DEATH(md5_blocks(blocks, digests), "internal error");
  EXPECT_DEATH(md5_pieces(kBlockBytes - 1, view_of("ab"), digests), "internal error");
}

// Pieces of a file.

static_assert(piece_count(0, 0) == 0);
static_assert(piece_count(7, 0) == 0);
static_assert(piece_count(0, 1) == 1);
static_assert(piece_count(0, kBlockBytes) == 1);
static_assert(piece_count(0, kBlockBytes + 1) == 2);
static_assert(piece_count(1, kBlockBytes) == 2);
static_assert(piece_count(kBlockBytes - 1, 1) == 1);
static_assert(piece_count(kBlockBytes - 1, 2) == 2);
static_assert(piece_count(5, 2 * kBlockBytes) == 3);
static_assert(piece_count(UINT64_MAX, 1) == 1);
static_assert(piece_count(UINT64_MAX, 2) == 2);

/// Cuts byte by byte, so as not to repeat the arithmetic under test.
std::vector<Md5Digest> openssl_pieces(std::uint64_t file_offset, View data) {
  std::vector<Md5Digest> digests;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= data.size(); ++i) {
    if (i < data.size() && (file_offset + i) % kBlockBytes != 0) continue;
    digests.push_back(openssl_md5(data.subspan(begin, i - begin)));
    begin = i;
  }
  return digests;
}

const std::array<std::uint64_t, 6> kOffsets{
    0, 1, 4096, kBlockBytes - 1, 3 * kBlockBytes, (std::uint64_t{5} << 40) + kBlockBytes / 2 + 3};
const std::array<std::size_t, 8> kLengths{
    0, 1, 2, kBlockBytes - 1, kBlockBytes, 3 * kBlockBytes, 70001, kMiB};

TEST(Md5Pieces, AreCutAtTheMultiplesOfTheBlockSize) {
  const Bytes bytes = random_bytes(kMiB, 7);
  for (const std::uint64_t offset : kOffsets) {
    for (const std::size_t length : kLengths) {
      const View data = View(bytes).first(length);
      const std::vector<Md5Digest> expected = openssl_pieces(offset, data);
      ASSERT_EQ(expected.size(), piece_count(offset, length));
      std::vector<Md5Digest> digests(expected.size());
      md5_pieces(offset, data, digests);
      EXPECT_EQ(expected, digests) << length << " bytes at " << offset;
      std::size_t first_bad = 77;
      EXPECT_TRUE(md5_pieces_equal(offset, data, digests, &first_bad));
      EXPECT_EQ(77u, first_bad);
    }
  }
}

TEST(Md5Pieces, TellTheFirstBadOne) {
  Bytes bytes = random_bytes(kMiB, 8);
  constexpr std::uint64_t kOffset = 1000;
  std::vector<Md5Digest> digests(piece_count(kOffset, bytes.size()));
  ASSERT_EQ(17u, digests.size());
  md5_pieces(kOffset, bytes, digests);
  // From the last piece to the first: the later ones stay bad. Flips each piece's first byte.
  for (std::size_t bad = digests.size(); bad-- > 0;) {
    bytes[bad == 0 ? 0 : bad * kBlockBytes - kOffset] ^= std::byte{0x10};
    std::size_t first_bad = 77;
    EXPECT_FALSE(md5_pieces_equal(kOffset, bytes, digests, &first_bad));
    EXPECT_EQ(bad, first_bad);
    EXPECT_FALSE(md5_pieces_equal(kOffset, bytes, digests, nullptr));
  }
}

TEST(Md5Pieces, NoticeEverySingleBitOfAShortPiece) {
  Bytes bytes = random_bytes(70, 9);
  std::vector<Md5Digest> digests(1);
  md5_pieces(0, bytes, digests);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const std::byte mask = std::byte{1} << static_cast<int>(bit % 8);
    bytes[bit / 8] ^= mask;
    EXPECT_FALSE(md5_pieces_equal(0, bytes, digests, nullptr)) << bit;
    bytes[bit / 8] ^= mask;
  }
  EXPECT_TRUE(md5_pieces_equal(0, bytes, digests, nullptr));
}

// One message in portions.

TEST(Md5Stream, GivesTheSameDigestHoweverTheMessageIsCut) {
  const Bytes bytes = random_bytes(200'000, 10);
  std::mt19937_64 random(11);
  for (const std::size_t length : interesting_lengths()) {
    const View message = View(bytes).subspan(length % 7, length);
    const Md5Digest expected = openssl_md5(message);
    EXPECT_EQ(expected, md5_of(message)) << length;
    for (const std::size_t portion_max : {1u, 3u, 63u, 64u, 65u, 1000u, 100'000u}) {
      Md5Stream stream;
      for (View rest = message; !rest.empty();) {
        const std::size_t portion = std::min(rest.size(), random() % (portion_max + 1));
        stream.update(rest.first(portion));
        rest = rest.subspan(portion);
      }
      EXPECT_EQ(length, stream.message_bytes());
      EXPECT_EQ(expected, stream.finish()) << length << " in portions of " << portion_max;
    }
  }
}

TEST(Md5Stream, GoesOnAfterADigestAndAsACopy) {
  const Bytes bytes = random_bytes(1000, 12);
  Md5Stream stream;
  stream.update(View(bytes).first(100));
  EXPECT_EQ(openssl_md5(View(bytes).first(100)), stream.finish());
  Md5Stream copy = stream;
  stream.update(View(bytes).subspan(100));
  EXPECT_EQ(openssl_md5(bytes), stream.finish());
  EXPECT_EQ(openssl_md5(bytes), stream.finish());
  copy.update(View(bytes).subspan(100, 1));
  EXPECT_EQ(openssl_md5(View(bytes).first(101)), copy.finish());
}

TEST(Md5Stream, OfNothingIsTheDigestOfTheEmptyMessage) {
  EXPECT_EQ("d41d8cd98f00b204e9800998ecf8427e", md5_to_hex(Md5Stream().finish()));
}

TEST(Md5Tail, EndsWithTheLengthInBitsAlsoAboveFourGibibits) {
  // Looked at directly, as it would take half a GiB of message to get there.
  const Bytes rest(3, std::byte{0xaa});
  md5::Tail tail;
  md5::make_tail(tail, rest.data(), (std::uint64_t{0x0123456789} << 16) + 0x4b * 64 + 3);
  ASSERT_EQ(1u, tail.chunks);
  const View padding = View(tail.bytes).subspan(4, 64 - 4 - 8);
  EXPECT_TRUE(std::ranges::equal(rest, View(tail.bytes).first(3)));
  EXPECT_EQ(std::byte{0x80}, tail.bytes[3]);
  EXPECT_EQ(padding.size(), std::ranges::count(padding, std::byte{0}));
  // 0x12345678912c3 bytes * 8 = 0x91a2b3c489618 bits, least significant byte first.
  constexpr std::array<unsigned char, 8> kBits{0x18, 0x96, 0x48, 0x3c, 0x2b, 0x1a, 0x09, 0x00};
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(kBits)), View(tail.bytes).subspan(56, 8)));
}

// A digest as text.

TEST(Md5Digest, SurvivesHexadecimalInEitherCase) {
  const Md5Digest digest = md5_of(view_of("abc"));
  const std::string text = md5_to_hex(digest);
  EXPECT_EQ("900150983cd24fb0d6963f7d28e17f72", text);
  EXPECT_EQ(digest, md5_from_hex(text).value());
  EXPECT_EQ(digest, md5_from_hex("900150983CD24FB0D6963F7D28E17F72").value());
}

TEST(Md5Digest, IsReadFromNothingButThirtyTwoHexadecimalDigits) {
  for (const std::string_view text :
       {"", "90", "900150983cd24fb0d6963f7d28e17f7", "900150983cd24fb0d6963f7d28e17f720",
        "900150983cd24fb0d6963f7d28e17f7g", "900150983cd24fb0d6963f7d28e17f/2",
        "900150983cd24fb0d6963f7d28e1 f72", "0x0150983cd24fb0d6963f7d28e17f72"}) {
    const Result<Md5Digest> digest = md5_from_hex(text);
    ASSERT_FALSE(digest.has_value()) << text;
    EXPECT_EQ(Status::kInvalid, digest.error().status);
  }
}

}  // namespace
}  // namespace homefs
