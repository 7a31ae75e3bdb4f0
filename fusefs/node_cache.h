// NodeCache: every inode the client knows, under the number that the kernel and the server know it
// by, and how the server can find it again.
//
// A node lives while the kernel has looked it up, while it is open, or while a cached folder names
// it. Numbers are never used again, so an answer that comes late can never mean another file.
//
// Owner: ClientState. Executor: whoever holds the state's lock. Blocks: never.
#pragma once

#include <bit>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fusefs/dir_cache.h"
#include "fusefs/file_data.h"
#include "fusefs/link.h"
#include "protocol/attributes.h"
#include "protocol/ids.h"

namespace homefs {

/// Hundreds of thousands of these are kept: what they need is packed, what few need is elsewhere.
struct Node {
  NodeId id{};
  Attributes attributes;            ///< as last heard from the server
  std::uint64_t lookups : 40 = 0;   ///< references of the kernel
  std::uint64_t opens : 24 = 0;     ///< open handles
  std::uint32_t names : 24 = 0;     ///< cached folder entries that lead here
  bool may_have_pages : 1 = false;  ///< it was open, and the kernel has not dropped them since
  bool has_read_pages : 1 = false;  ///< likewise, through its pages
  bool has_attributes : 1 = false;  ///< false: another session changed it, ask before use
  bool has_no_xattrs : 1 = false;   ///< known to have none: made by us, or listed empty
  bool is_bound : 1 = false;        ///< some incarnation was told of it: to be forgotten there
  bool is_known : 1 = false;        ///< the present incarnation was
  bool is_past : 1 = false;         ///< its inode number is another file's: nobody tells of changes
  bool is_misplaced : 1 = false;    ///< its name there is gone, though it has others
  std::uint32_t known_to = 0;       ///< the incarnation (see mark_of()) that knows its number
  NodeId parent{};                  ///< one place where it is; kNoNode: an orphan
  SharedName name;                  ///< there, for introductions
  std::uint64_t placed_at = 0;      ///< the order of what has told so
  std::uint64_t kernel_version = 0;  ///< Attributes::version of what the kernel's page cache holds
  std::unique_ptr<Folder> folder;    ///< of a folder: what is cached of it
  std::unique_ptr<FileData> data;    ///< of a file: data on its way in either direction

  [[nodiscard]] bool is_folder() const;
  [[nodiscard]] bool is_regular() const;
  [[nodiscard]] bool is_dirty() const { return data != nullptr && data->is_dirty(); }
};

static_assert(sizeof(Node) <= 184, "a node takes 192 bytes of the heap");

class NodeCache {
 public:
  NodeCache();

  /// Null when the number is not (any more) in the table.
  Node* find(NodeId id);
  /// Null when no node has this inode.
  Node* find(InodeNumber inode);
  /// The same by number, type and generation.
  Node* find(const Attributes& attributes);

  /// A number that was never used.
  NodeId next_id() { return NodeId{next_id_++}; }

  /// What the server says of the root, for the first time.
  void set_root(const Attributes& attributes);

  /// The node of the inode that `attributes` describe, seen as `name` in `parent`; a new one with a
  /// new number when it was not known. Its attributes and its place are brought up to date. What an
  /// answer shows that is older than the next file of the same inode number gets a node of its own,
  /// of which nothing is kept.
  Node& see(const Attributes& attributes, NodeId parent, std::string_view name);
  /// A node that was just made on the server under the number `id`; the server knows it. If another
  /// answer has shown it first, it has that number, and the server is to forget_number(id) when it
  /// need not know the node by it any more.
  Node& add_made(NodeId id, const Attributes& attributes, NodeId parent, std::string_view name);

  /// Takes over what the server said of the node, unless something newer was heard already:
  /// answers overtake each other, but each carries its order.
  static void update(Node& node, const Attributes& attributes);
  /// The same for the answer to a change of our own, which the kernel has made in its pages too.
  static void update_own(Node& node, const Attributes& attributes);
  /// The number of the inode is in use again.
  static bool is_another_inode(const Node& node, const Attributes& attributes);
  /// Another session has changed the node: what is known of it is void, and answers that the event
  /// has overtaken are not kept.
  static void invalidate(Node& node, std::uint64_t event_order);
  /// The node was `name` in the folder at `order`: where the server can find it, unless it was
  /// somewhere else later.
  static void place(Node& node, NodeId folder, std::string_view name, std::uint64_t order);
  /// The name in the folder does not lead to the node any more, at `order`.
  static void displace(Node& node, NodeId folder, std::string_view name, std::uint64_t order);
  /// The inode has lost its last name and is kept for us.
  static void make_orphan(Node& node, std::uint64_t order);
  /// Another session has given the inode `name` in the folder. While it is in use that folder and
  /// those above it stay, though nobody here may use them: the server finds it by way of them.
  void moved(InodeNumber inode, const Node& folder, std::string_view name, std::uint64_t order);
  /// An event has come; it may have been about inodes that an answer under way will show first.
  void on_event(std::uint64_t event_order);
  /// What was heard before is void, and answers with an order below this one still say what was
  /// then: they tell of inodes, not how these are now. Orders may be counted anew.
  void begin_anew(std::uint64_t order);
  /// Whether an answer of this order can still be kept.
  [[nodiscard]] bool is_current(std::uint64_t order) const { return order >= event_order_; }

  /// The inode has lost its last name: its number may be used by another file from now on.
  void forget_inode(Node& node);

  /// Removes the node if nothing needs it any more; its number goes to the list of numbers that
  /// the server should forget. True when it was removed. A folder to which nothing leads any more,
  /// with entries still, is put on a list: whoever has none of the nodes in hands takes it apart.
  bool remove_if_unused(NodeId id);
  /// The next one of that list; kNoNode: there is none.
  NodeId take_abandoned();

  /// The folder is used: the last one that is to be given up.
  void touch(Node& folder);
  /// The folder with cached entries that was not used for the longest time; null: there is none.
  Node* least_used_folder();
  [[nodiscard]] std::size_t folders_with_entries() const { return use_.size(); }
  /// The folder's last entry is gone.
  void no_entries(Node& folder);

  /// The server has bound a number that means nothing here.
  void forget_number(NodeId id);
  /// Numbers to be forgotten by the server, at most `count`, taken from the list.
  std::vector<NodeId> take_forgotten(std::size_t count);
  [[nodiscard]] std::size_t forgotten_count() const { return forgotten_.size(); }
  /// Whether one of them is a file without a name, whose bytes the server then gives back.
  [[nodiscard]] bool has_forgotten_orphan() const { return has_forgotten_orphan_; }

  /// See IntroductionSource.
  void introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                 std::vector<Introduction>& out);
  void confirm(std::span<const Introduction> introductions, std::uint64_t incarnation);
  void distrust(std::span<const NodeId> nodes);

  /// Where the symlink leads; empty: not known. It never changes for an inode.
  [[nodiscard]] std::string_view target(const Node& node) const;
  /// Remembers it, unless it is known or empty.
  void learn_target(const Node& node, std::string_view target);

  /// The last change (Folder::changed_at) of any folder that is not in the table any more.
  [[nodiscard]] std::uint64_t removed_folder_changed_at() const {
    return removed_folder_changed_at_;
  }

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  /// Calls `visit` with the node and each folder above it that is known, but for the root, until it
  /// returns false. Ends in a circle too: what was heard of parents at different times need not fit
  /// together.
  template <class Visit>
  void walk_up(Node& node, Visit visit) {
    const Node* mark = nullptr;  // moves up after 1, 2, 4, ... steps: a circle comes back to it
    std::size_t steps = 0;
    for (Node* at = &node; at != nullptr && at != mark && at->id != kRootNode;
         at = find(at->parent)) {
      if (std::has_single_bit(++steps)) mark = at;
      if (!visit(*at)) return;
    }
  }
  /// Calls `visit` with every node.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto& [id, node] : nodes_) visit(*node);
  }

 private:
  Node& add(NodeId id, const Attributes& attributes);
  void make_past(Node& node);
  [[nodiscard]] bool is_above_moved(const Node& folder);
  void abandon_above(Node& node);
  [[nodiscard]] bool has_place(const Node& node);
  void find_places();
  /// Of 64 bits that the server draws at its start 32 are enough: a number that it does not know
  /// after all it calls stale, and is told again. Never 0, which is "none".
  static std::uint32_t mark_of(std::uint64_t incarnation) {
    return static_cast<std::uint32_t>(incarnation ^ incarnation >> 32) | 1;
  }

  boost::unordered_flat_map<NodeId, std::unique_ptr<Node>, std::hash<NodeId>> nodes_;
  boost::unordered_flat_map<InodeNumber, Node*, std::hash<InodeNumber>> by_inode_;
  boost::unordered_flat_map<NodeId, SharedName, std::hash<NodeId>> targets_;  // of symlinks
  std::list<NodeId> use_;  // folders with entries, the least recently used first
  std::vector<NodeId> forgotten_;
  std::vector<NodeId> abandoned_;  // folders; also such as are gone, or in use again
  std::vector<NodeId> moved_;      // by others while in use; also such as are so no more
  bool has_forgotten_orphan_ = false;
  std::uint64_t next_id_ = number_of(kRootNode) + 1;
  std::uint64_t removed_folder_changed_at_ = 0;
  std::uint64_t event_order_ = 0;  // the greatest of all events
  std::uint64_t began_at_ = 0;     // what begin_anew() was told
};

}  // namespace homefs
