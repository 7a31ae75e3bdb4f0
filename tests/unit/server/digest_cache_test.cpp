#include "server/digest_cache.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

Md5Digest digest_of(std::size_t number) {
  Md5Digest digest{};
  digest[0] = static_cast<std::byte>(number);
  digest[1] = static_cast<std::byte>(number >> 8);
  return digest;
}

TEST(DigestCache, KnowsADigestForTheVersionItIsOfAndForNoOther) {
  DigestCache cache;
  const InodeNumber file{7};
  EXPECT_FALSE(cache.find(file, 1));
  cache.put(file, 1, digest_of(1));
  EXPECT_EQ(cache.find(file, 1), digest_of(1));
  EXPECT_FALSE(cache.find(file, 2));
  EXPECT_FALSE(cache.find(InodeNumber{8}, 1));
  cache.put(file, 2, digest_of(2));
  EXPECT_FALSE(cache.find(file, 1));
  EXPECT_EQ(cache.find(file, 2), digest_of(2));
  EXPECT_EQ(cache.size(), 1u);
}

TEST(DigestCache, ForgetsTheFileThatWasAskedForLeastRecently) {
  DigestCache cache;
  for (std::size_t i = 0; i < DigestCache::kFilesMax; ++i) {
    cache.put(InodeNumber{i}, 1, digest_of(i));
  }
  EXPECT_TRUE(cache.find(InodeNumber{0}, 1));
  cache.put(InodeNumber{DigestCache::kFilesMax}, 1, digest_of(0));
  EXPECT_EQ(cache.size(), DigestCache::kFilesMax);
  EXPECT_TRUE(cache.find(InodeNumber{0}, 1));
  EXPECT_FALSE(cache.find(InodeNumber{1}, 1));
}

}  // namespace
}  // namespace homefs
