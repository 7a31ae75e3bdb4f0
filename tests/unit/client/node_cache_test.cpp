#include "fusefs/node_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "fusefs/names_under_way.h"

namespace homefs {
namespace {

Attributes folder(std::uint64_t inode, std::uint64_t version = 1) {
  Attributes a;
  a.inode = InodeNumber{inode};
  a.mode = S_IFDIR | 0755;
  a.version = a.order = version;
  return a;
}

Attributes file(std::uint64_t inode, std::uint64_t version = 1) {
  Attributes a = folder(inode, version);
  a.mode = S_IFREG | 0644;
  return a;
}

TEST(NodeCache, GivesHardLinksOneNode) {
  NodeCache nodes;
  Node& first = nodes.see(file(7), kRootNode, "a");
  Node& second = nodes.see(file(7), kRootNode, "b");
  EXPECT_EQ(first.id, second.id);
  EXPECT_EQ(second.name.view(), "b");
}

TEST(NodeCache, FindsTheRootByItsInode) {
  NodeCache nodes;
  nodes.set_root(folder(2));
  ASSERT_NE(nodes.find(InodeNumber{2}), nullptr);
  EXPECT_EQ(nodes.find(InodeNumber{2})->id, kRootNode);
  EXPECT_EQ(nodes.size(), 1u);
}

TEST(NodeCache, KeepsTheNewerOfTwoAnswers) {
  NodeCache nodes;
  Node& node = nodes.see(file(7, 5), kRootNode, "a");
  Attributes late = file(7, 4);
  late.size = 99;
  nodes.see(late, kRootNode, "a");
  EXPECT_EQ(node.attributes.size, 0u);
}

TEST(NodeCache, DoesNotKeepAnAnswerThatAnEventHasOvertaken) {
  NodeCache nodes;
  Node& node = nodes.see(file(7, 5), kRootNode, "a");
  nodes.on_event(8);
  NodeCache::invalidate(node, 8);
  EXPECT_FALSE(nodes.see(file(7, 6), kRootNode, "a").has_attributes);
  EXPECT_FALSE(nodes.see(file(9, 7), kRootNode, "b").has_attributes) << "not known at the event";
  EXPECT_TRUE(nodes.see(file(7, 9), kRootNode, "a").has_attributes);
  nodes.begin_anew(0);
  EXPECT_TRUE(nodes.see(file(7, 1), kRootNode, "a").has_attributes) << "the server was restarted";
}

TEST(NodeCache, TellsAnInodeNumberThatIsUsedAgainFromTheOldFile) {
  NodeCache nodes;
  const NodeId old = nodes.see(file(7), kRootNode, "a").id;
  nodes.find(old)->lookups = 1;
  nodes.forget_inode(*nodes.find(old));
  Node& made = nodes.add_made(nodes.next_id(), file(7), kRootNode, "a");
  EXPECT_NE(made.id, old);
  EXPECT_EQ(nodes.find(InodeNumber{7})->id, made.id);
  EXPECT_NE(nodes.find(old), nullptr) << "the kernel still knows it";
}

TEST(NodeCache, IntroducesParentsFirstAndOnlyWhatTheServerDoesNotKnow) {
  NodeCache nodes;
  Node& a = nodes.see(folder(10), kRootNode, "a");
  Node& b = nodes.see(folder(11), a.id, "b");
  Node& c = nodes.see(file(12), b.id, "c");
  std::vector<Introduction> made;
  const NodeId both[] = {c.id, b.id};
  nodes.introduce(both, 1, made);
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].name, "a");
  EXPECT_EQ(made[1].name, "b");
  EXPECT_EQ(made[2].name, "c");
  nodes.confirm(made, 1);
  std::vector<Introduction> again;
  nodes.introduce(both, 1, again);
  EXPECT_TRUE(again.empty());
  nodes.introduce(both, 2, again);
  EXPECT_EQ(again.size(), 3u) << "a restarted server knows nothing";
  again.clear();
  nodes.distrust(std::span(&c.id, 1));
  nodes.introduce(both, 1, again);
  EXPECT_EQ(again.size(), 3u);
}

TEST(NodeCache, IntroducesAnOrphanByItsInodeAlone) {
  NodeCache nodes;
  Node& node = nodes.see(file(12), kRootNode, "gone");
  node.parent = kNoNode;
  node.name = SharedName();
  std::vector<Introduction> made;
  nodes.introduce(std::span(&node.id, 1), 1, made);
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].parent, kNoNode);
  EXPECT_EQ(made[0].inode, InodeNumber{12});
}

TEST(NodeCache, IntroducesWhatAnotherSessionHasMovedByItsNewName) {
  NodeCache nodes;
  Node& from = nodes.see(folder(10), kRootNode, "from");
  Node& to = nodes.see(folder(11), kRootNode, "to");
  Node& node = nodes.see(file(12), from.id, "old");
  nodes.moved(InodeNumber{12}, to, "new", 2);
  nodes.moved(InodeNumber{99}, to, "unknown", 2);  // nothing happens
  std::vector<Introduction> made;
  nodes.introduce(std::span(&node.id, 1), 1, made);
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].name, "to");
  EXPECT_EQ(made[1].name, "new");
}

// It was opened by another of its names, and nobody here uses the folder.
TEST(NodeCache, KeepsTheFoldersByWhichTheServerFindsWhatIsInUse) {
  NodeCache nodes;
  const NodeId outer = nodes.see(folder(10), kRootNode, "outer").id;
  const NodeId inner = nodes.see(folder(11), outer, "inner").id;
  const NodeId other = nodes.see(folder(12), outer, "other").id;
  Node& open = nodes.see(file(13), kRootNode, "b");
  open.opens = 1;
  nodes.moved(InodeNumber{13}, *nodes.find(inner), "l", 2);
  EXPECT_FALSE(nodes.remove_if_unused(inner));
  EXPECT_FALSE(nodes.remove_if_unused(outer));
  EXPECT_TRUE(nodes.remove_if_unused(other));
  std::vector<Introduction> made;
  nodes.introduce(std::vector<NodeId>{open.id}, 1, made);
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[2].parent, inner);
  EXPECT_EQ(made[2].name, "l");
  open.opens = 0;
  EXPECT_TRUE(nodes.remove_if_unused(open.id));
  for (NodeId id = nodes.take_abandoned(); id != kNoNode; id = nodes.take_abandoned()) {
    nodes.remove_if_unused(id);
  }
  EXPECT_EQ(nodes.find(inner), nullptr);
  EXPECT_EQ(nodes.find(outer), nullptr);
}

TEST(NodeCache, TellsInodesOfOneNumberByTheirGeneration) {
  NodeCache nodes;
  Attributes first = file(7);
  first.generation = 11;
  const NodeId old = nodes.see(first, kRootNode, "a").id;
  nodes.find(old)->lookups = 1;
  std::vector<Introduction> made;
  nodes.introduce(std::span(&old, 1), 1, made);
  EXPECT_EQ(made.at(0).generation, 11u);
  Attributes second = file(7);
  second.generation = 13;
  NodeCache::update(*nodes.find(old), second);
  EXPECT_FALSE(nodes.find(old)->has_attributes) << "those of another file";
  EXPECT_NE(nodes.see(second, kRootNode, "a").id, old);
}

TEST(NodeCache, RemovesWhatNobodyUsesAndHasItForgottenByTheServer) {
  NodeCache nodes;
  Node& made = nodes.add_made(nodes.next_id(), file(5), kRootNode, "f");
  const NodeId id = made.id;
  made.lookups = 1;
  EXPECT_FALSE(nodes.remove_if_unused(id));
  made.lookups = 0;
  EXPECT_TRUE(nodes.remove_if_unused(id));
  EXPECT_EQ(nodes.take_forgotten(10), std::vector{id});
  EXPECT_EQ(nodes.find(InodeNumber{5}), nullptr);
  const NodeId listed = nodes.see(file(6), kRootNode, "g").id;
  EXPECT_TRUE(nodes.remove_if_unused(listed));
  EXPECT_EQ(nodes.forgotten_count(), 0u) << "the server was never told of it";
}

TEST(NodeCache, EndsInACircleOfParents) {
  NodeCache nodes;
  Node& a = nodes.see(folder(10), kRootNode, "a");
  Node& b = nodes.see(folder(11), a.id, "b");
  Node& file_below = nodes.see(file(12), b.id, "f");
  a.parent = b.id;
  std::size_t steps = 0;
  nodes.walk_up(file_below, [&](Node&) { return ++steps < 100; });
  EXPECT_LT(steps, 10u);
  nodes.distrust(std::span(&file_below.id, 1));
  std::vector<Introduction> made;
  nodes.introduce(std::span(&file_below.id, 1), 1, made);
  EXPECT_EQ(made.size(), 3u);
}

TEST(NodeCache, KeepsThePlaceThatIsTheNewerOne) {
  NodeCache nodes;
  Node& to = nodes.see(folder(11), kRootNode, "to");
  Node& node = nodes.see(file(12, 5), kRootNode, "old");
  nodes.moved(InodeNumber{12}, to, "new", 8);
  nodes.see(file(12, 7), kRootNode, "old");
  EXPECT_EQ(node.name.view(), "new");
  EXPECT_EQ(node.parent, to.id);
  nodes.see(file(12, 9), kRootNode, "back");
  EXPECT_EQ(node.name.view(), "back");
  EXPECT_EQ(node.parent, kRootNode);
}

TEST(NodeCache, AnOlderAnswerDoesNotTakeANumberFromTheFileThatHasItNow) {
  NodeCache nodes;
  Attributes first = file(7, 5);
  first.generation = 1;
  Attributes second = file(7, 9);
  second.generation = 2;
  const NodeId now = nodes.see(second, kRootNode, "new").id;
  Node& past = nodes.see(first, kRootNode, "old");
  EXPECT_NE(past.id, now);
  EXPECT_EQ(nodes.find(InodeNumber{7})->id, now) << "events have to reach it";
  EXPECT_FALSE(past.has_attributes);
  NodeCache::update(past, file(7, 10));
  EXPECT_FALSE(past.has_attributes) << "nobody would tell of its changes";
  EXPECT_EQ(nodes.find(first), nullptr);
  EXPECT_EQ(nodes.find(second)->id, now);
}

TEST(NodeCache, GivesAFileOneNodeThatWasSeenBeforeItsCreationWasAnswered) {
  NodeCache nodes;
  Attributes made = file(7, 5);
  made.generation = 1;
  const NodeId id = nodes.next_id();
  const NodeId seen = nodes.see(made, kRootNode, "f").id;
  EXPECT_EQ(nodes.add_made(id, made, kRootNode, "f").id, seen);
  EXPECT_TRUE(nodes.take_forgotten(10).empty()) << "the server knows the file by it";
  nodes.forget_number(id);
  EXPECT_EQ(nodes.take_forgotten(10), std::vector{id});
}

TEST(NodeCache, TellsWhatWasMadeBeforeABreakFromWhatIsNow) {
  NodeCache nodes;
  nodes.begin_anew(20);
  Node& made = nodes.add_made(nodes.next_id(), folder(7, 11), kRootNode, "d");
  EXPECT_FALSE(made.has_attributes);
  EXPECT_FALSE(made.folder->is_complete) << "others may have put something in";
  EXPECT_FALSE(made.is_known);
  EXPECT_TRUE(nodes.see(folder(7, 21), kRootNode, "d").has_attributes);
  EXPECT_TRUE(nodes.add_made(nodes.next_id(), folder(8, 22), kRootNode, "e").folder->is_complete);
}

TEST(NodeCache, IntroducesAHardLinkByANameThatIsLeft) {
  NodeCache nodes;
  nodes.set_root(folder(2));
  Node& root = *nodes.find(kRootNode);
  Node& d = nodes.see(folder(10), kRootNode, "d");
  Node& node = nodes.see(file(12), d.id, "a");
  d.folder->entries.emplace(node.name, node.id);
  ++node.names;
  nodes.see(file(12, 5), kRootNode, "c");  // renamed from another link
  NodeCache::displace(node, kRootNode, "other", 6);
  EXPECT_FALSE(node.is_misplaced);
  NodeCache::displace(node, kRootNode, "c", 6);
  EXPECT_TRUE(node.is_misplaced);
  std::vector<Introduction> made;
  nodes.introduce(std::span(&node.id, 1), 1, made);
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[1].name, "a");
  EXPECT_EQ(made[1].parent, d.id);
  EXPECT_TRUE(root.folder->entries.empty());
}

TEST(NamesUnderWay, SaysWhatWasHeardOfEachNameSinceItWasAsked) {
  NamesUnderWay names;
  const auto a = names.begin(kRootNode, "a");
  const auto b = names.begin(kRootNode, "b");
  const auto elsewhere = names.begin(NodeId{7}, "a");
  names.heard(kRootNode, "a", 5);
  names.heard(kRootNode, "a", 3);
  const auto later = names.begin(kRootNode, "a");
  EXPECT_EQ(names.end(a), 5u);
  EXPECT_EQ(names.end(later), 0u);
  int visited = 0;
  names.heard_of_all(9, [&](NodeId, const std::string&) { ++visited; });
  EXPECT_EQ(visited, 2);
  EXPECT_EQ(names.end(elsewhere), 9u);
  EXPECT_EQ(names.end(b), 9u);
  EXPECT_EQ(names.size(), 0u);
}

}  // namespace
}  // namespace homefs
