// NodeTable: which inode each node number of one session means.
//
// It is bounded: over kNodesMax the nodes that were not used lately are dropped, which the client
// hears as kStale when it uses them next, and introduces them again. Orphans are never dropped: an
// orphan is found again only while it exists, and it exists while somebody knows it.
//
// Owner: SessionHome. Executor: thread-safe; its mutex is taken before the inode table's.
// Blocks: forget() and clear() on the disk, when orphans go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "protocol/ids.h"
#include "protocol/result.h"
#include "server/inode.h"

namespace homefs {

class Home;

class NodeTable {
 public:
  /// About 100 MB of inodes if one session uses them all; a working tree has some 10,000.
  static constexpr std::size_t kNodesMaxDefault = 262144;

  NodeTable(Home& home, const InodeRef& root, std::size_t nodes_max = kNodesMaxDefault);
  ~NodeTable();
  NodeTable(const NodeTable&) = delete;
  NodeTable& operator=(const NodeTable&) = delete;

  /// kStale for a number that means nothing (any more).
  Result<InodeRef> find(NodeId node);
  /// Whether a request may give this number to something new. kProtocolError: it is in use.
  Result<void> check_free(NodeId node);
  /// From now on `node` means `inode`. kProtocolError when it means another one.
  Result<void> bind(NodeId node, const InodeRef& inode);
  /// With what a sync of the node's inode has failed, in any session, since it was bound or this
  /// was asked; none if it has not.
  std::optional<Status> take_sync_failure(NodeId node);
  void forget(std::span<const NodeId> nodes);
  /// Forgets all, also the root.
  void clear();

  /// Whether `node` means anything.
  [[nodiscard]] bool has(NodeId node) const;
  /// Whether any number means `inode`.
  [[nodiscard]] bool knows(const Inode& inode) const;
  /// Whether `node` means `inode`.
  [[nodiscard]] bool is_node_of(NodeId node, const Inode& inode) const;
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    InodeRef inode;
    std::uint64_t used_at = 0;              // the value of binds_ then
    std::uint32_t sync_failures_taken = 0;  // the inode's count then
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;

  void unbind(Entries::iterator entry, std::vector<InodeRef>& released);
  void make_room(std::vector<InodeRef>& released);
  bool may_drop(std::uint64_t node, const Entry& entry, std::uint64_t age) const;
  void hand_over(const std::vector<InodeRef>& released);

  Home& home_;
  const std::size_t nodes_max_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Entries entries_;
  std::unordered_map<const Inode*, std::uint32_t> counts_;  // numbers that mean the inode
  std::size_t hand_ = 0;                                    // a bucket of entries_
  std::uint64_t binds_ = 0;
};

}  // namespace homefs
