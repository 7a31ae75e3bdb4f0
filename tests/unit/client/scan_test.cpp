#include "fusefs/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace homefs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A tree of listed folders. What is fetched arrives at once, and is in the kernel when it was read.
class ScanTest : public testing::Test {
 protected:
  ScanTest() {
    Attributes root;
    root.inode = InodeNumber{1};
    root.mode = S_IFDIR | 0755;
    root.version = root.order = 1;
    nodes_.set_root(root);
    nodes_.find(kRootNode)->folder->is_complete = true;
    nodes_.find(kRootNode)->folder->was_read = true;
  }

  NodeId add(NodeId parent, std::uint32_t mode, std::uint64_t size) {
    Attributes a;
    a.inode = InodeNumber{++last_inode_};
    a.mode = mode;
    a.size = size;
    a.version = a.order = 1;
    const std::string name = std::to_string(last_inode_);
    Node& node = nodes_.see(a, parent, name);
    Folder& folder = *nodes_.find(parent)->folder;
    folder.entries.emplace(node.name, node.id);
    ++node.names;
    ++folder.changed_at;
    if (node.folder != nullptr) {
      node.folder->is_complete = true;
      node.folder->was_read = true;
    }
    return node.id;
  }
  // Another name of a file.
  void add_link(NodeId parent, NodeId file) {
    Node& node = *nodes_.find(file);
    node.attributes.links = 2;
    const SharedName name(std::to_string(++last_inode_));
    nodes_.find(parent)->folder->entries.emplace(name, file);
    ++node.names;
    ++nodes_.find(parent)->folder->changed_at;
  }
  NodeId add_folder(NodeId parent) { return add(parent, S_IFDIR | 0755, 0); }
  NodeId add_file(NodeId parent, std::uint64_t size = 1000) {
    return add(parent, S_IFREG | 0644, size);
  }

  std::vector<NodeId> list(NodeId folder) {
    return fetch(scan_.listed(nodes_, *nodes_.find(folder)));
  }
  std::vector<NodeId> read(NodeId id) {
    Node& file = *nodes_.find(id);
    std::vector<NodeId> files = fetch(scan_.opened(nodes_, file));
    if (file.data == nullptr) ++missed_;
    file.data.reset();
    file.kernel_version = file.attributes.version;
    return files;
  }
  std::vector<NodeId> fetch(std::vector<NodeId> files) {
    for (const NodeId id : files) {
      Node& node = *nodes_.find(id);
      node.data = std::make_unique<FileData>(read_memory_);
      node.data->reads.put_whole(Slice{});
    }
    requests_ += files.empty() ? 0 : 1;
    return files;
  }

  ReadMemory read_memory_;  // before the nodes, which use it
  NodeCache nodes_;
  Scan scan_;
  std::uint64_t last_inode_ = 1;
  int missed_ = 0;    // files that had to be waited for
  int requests_ = 0;  // windows
};

TEST_F(ScanTest, BeginsWithTheSecondFileInOrder) {
  std::vector<NodeId> files;
  for (int i = 0; i < 5; ++i) files.push_back(add_file(kRootNode));
  EXPECT_THAT(read(files[0]), IsEmpty());
  EXPECT_THAT(read(files[1]), ElementsAre(files[1], files[2], files[3], files[4]));
}

TEST_F(ScanTest, DoesNotBeginWithFilesOutOfOrder) {
  std::vector<NodeId> files;
  for (int i = 0; i < 40; ++i) files.push_back(add_file(kRootNode));
  for (const int i : {3, 1, 30, 12, 25}) EXPECT_THAT(read(files[i]), IsEmpty());
}

TEST_F(ScanTest, FetchesTheRestOfAFolderThatIsReadInAnotherOrder) {
  std::vector<std::pair<std::string, NodeId>> files;
  for (int i = 0; i < 200; ++i) files.emplace_back(std::to_string(i), add_file(kRootNode));
  std::ranges::sort(files);  // as a shell does: 1, 10, 100, 101
  for (const auto& [name, file] : files) read(file);
  EXPECT_LE(missed_, 24);
  EXPECT_LE(requests_, 8);
}

TEST_F(ScanTest, FetchesLittleOfAFolderOfWhichLittleIsRead) {
  std::vector<NodeId> files;
  for (int i = 0; i < 10'000; ++i) files.push_back(add_file(kRootNode));
  std::size_t fetched = 0;
  for (int i = 0; i < 40; ++i) fetched += read(files[(i * 3571) % 10'000]).size();
  EXPECT_LE(fetched, 2 * Scan::kWindowFiles);
}

TEST_F(ScanTest, GoesThroughALargeFolderInWindows) {
  std::vector<NodeId> files;
  for (int i = 0; i < 1000; ++i) files.push_back(add_file(kRootNode));
  for (const NodeId file : files) read(file);
  EXPECT_EQ(missed_, 1);
  EXPECT_LE(requests_, 2 * 1000 / static_cast<int>(Scan::kWindowFiles));
}

TEST_F(ScanTest, FetchesAFileOnceHoweverManyNamesItHas) {
  const NodeId first = add_folder(kRootNode);
  const std::vector<NodeId> files = {add_file(first), add_file(first), add_file(first)};
  const NodeId second = add_folder(kRootNode);
  add_link(first, files[2]);
  add_link(second, files[2]);
  read(files[0]);
  EXPECT_THAT(read(files[1]), ElementsAre(files[1], files[2]));
}

TEST_F(ScanTest, FetchesNoMoreThanItsBytes) {
  std::vector<NodeId> files;
  for (int i = 0; i < 20; ++i) files.push_back(add_file(kRootNode, 200'000));
  add_file(kRootNode, 10'000'000);
  read(files[0]);
  EXPECT_THAT(read(files[1]), SizeIs(Scan::kWindowBytes / 200'000));
}

TEST_F(ScanTest, WaitsOnlyTwiceInATreeOfFoldersWithOneFile) {
  std::vector<std::pair<NodeId, NodeId>> walk;
  for (int i = 0; i < 20; ++i) {
    const NodeId above = add_folder(kRootNode);
    for (int j = 0; j < 10; ++j) {
      const NodeId folder = add_folder(above);
      walk.emplace_back(folder, add_file(folder));
    }
  }
  NodeId above{};
  for (const auto& [folder, file] : walk) {
    const NodeId parent = nodes_.find(folder)->parent;
    if (std::exchange(above, parent) != parent) list(parent);
    list(folder);
    read(file);
  }
  EXPECT_LE(missed_, 2);
  EXPECT_LE(requests_, 2 * 200 / static_cast<int>(Scan::kWindowFiles));
}

TEST_F(ScanTest, EndsWhenAWalkOpensNoFiles) {
  const NodeId first = add_folder(kRootNode);
  const std::vector<NodeId> files = {add_file(first), add_file(first)};
  std::vector<NodeId> others;
  for (int i = 0; i < 500; ++i) {
    others.push_back(add_folder(kRootNode));
    for (int j = 0; j < 50; ++j) add_file(others.back());
  }
  list(first);
  for (const NodeId file : files) read(file);
  for (const NodeId folder : others) list(folder);
  EXPECT_LE(requests_, 5);
}

TEST_F(ScanTest, GoesOnWhereAWalkLeavesFoldersOut) {
  std::vector<std::pair<NodeId, NodeId>> walk;
  for (int i = 0; i < 300; ++i) {
    const NodeId folder = add_folder(kRootNode);
    const NodeId file = add_file(folder);
    if (i % 3 != 1) walk.emplace_back(folder, file);
  }
  for (const auto& [folder, file] : walk) {
    list(folder);
    read(file);
  }
  EXPECT_LE(missed_, 2);
}

TEST_F(ScanTest, IsDoneAgainWhenTheKernelHasLostTheFiles) {
  std::vector<NodeId> files;
  for (int i = 0; i < 200; ++i) files.push_back(add_file(kRootNode));
  for (int round = 0; round < 3; ++round) {
    list(kRootNode);
    for (const NodeId file : files) read(file);
    for (const NodeId file : files) nodes_.find(file)->kernel_version = 0;
  }
  EXPECT_LE(missed_, 3);
}

TEST_F(ScanTest, DoesNotAskForWhatTheKernelHas) {
  std::vector<NodeId> files;
  for (int i = 0; i < 200; ++i) files.push_back(add_file(kRootNode));
  for (const NodeId file : files) nodes_.find(file)->kernel_version = 1;
  for (const NodeId file : files) EXPECT_THAT(read(file), IsEmpty());
}

TEST_F(ScanTest, ToleratesAFolderThatChangesMeanwhile) {
  std::vector<NodeId> files;
  for (int i = 0; i < 200; ++i) files.push_back(add_file(kRootNode));
  list(kRootNode);
  for (const NodeId file : files) {
    read(file);
    Folder& root = *nodes_.find(kRootNode)->folder;
    const NodeId gone = add_file(kRootNode);
    root.entries.erase(root.entries.find(nodes_.find(gone)->name));
    nodes_.find(gone)->names = 0;
    nodes_.remove_if_unused(gone);
  }
  EXPECT_EQ(missed_, 1);
}

// Another mount has moved a folder to where nobody here has looked, and the folder above into it.
TEST_F(ScanTest, EndsInACircleOfFolders) {
  const NodeId a = add_folder(kRootNode);
  std::vector<NodeId> files;
  for (int i = 0; i < 4; ++i) files.push_back(add_file(a));
  const NodeId b = add_folder(a);
  Folder& above = *nodes_.find(a)->folder;
  above.entries.erase(above.entries.find(nodes_.find(b)->name));
  ++above.changed_at;
  nodes_.find(a)->parent = b;
  for (const NodeId file : files) read(file);
  nodes_.find(b)->is_misplaced = true;
  for (const NodeId file : files) read(file);
}

}  // namespace
}  // namespace homefs
