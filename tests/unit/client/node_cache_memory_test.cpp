// What a cached name costs, measured with 200,000 files in 2,000 folders.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/stat.h>

#include <cstdio>

#include "fusefs/node_cache.h"

namespace homefs {
namespace {

std::size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

void fill(NodeCache& nodes, int folders, int files) {
  std::uint64_t inode = 100;
  for (int i = 0; i < folders; ++i) {
    Attributes attributes;
    attributes.mode = S_IFDIR | 0755;
    attributes.inode = InodeNumber{++inode};
    const NodeId id = nodes.see(attributes, kRootNode, "folder" + std::to_string(i)).id;
    Node& folder = *nodes.find(id);
    folder.folder->entries.reserve(static_cast<std::size_t>(files));
    for (int k = 0; k < files; ++k) {
      attributes.mode = S_IFREG | 0644;
      attributes.inode = InodeNumber{++inode};
      Node& file = nodes.see(attributes, id, "source_" + std::to_string(10'000 + k) + ".cpp");
      folder.folder->entries.emplace(file.name, file.id);
      ++file.names;
    }
    nodes.touch(folder);
  }
}

TEST(NodeCache, NeedsAtMost300BytesForACachedName) {
  const std::size_t before = heap_bytes();
  if (before == 0) GTEST_SKIP() << "a sanitizer has a heap of its own";
  NodeCache nodes;
  fill(nodes, 2000, 100);
  const std::size_t bytes = (heap_bytes() - before) / 200'000;
  std::printf("%zu bytes a cached name, %zu of them the node\n", bytes, sizeof(Node));
  EXPECT_LE(bytes, 300u);
  EXPECT_GE(bytes, sizeof(Node)) << "the measurement is wrong";
}

}  // namespace
}  // namespace homefs
