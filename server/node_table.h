// NodeTable: which inode each node number of one session means.
//
// It is bounded: over kNodesMax the nodes that were not used lately are dropped, which the client
// hears as kStale when it uses them next, and introduces them again. Orphans are never dropped: an
// orphan is found again only while it exists, and it exists while somebody knows it.
//
// The client may have a file open whose number was dropped. So what the number meant still counts
// as known to the session, until the client forgets the number or it is bound again. As many
// dropped numbers as bound ones are remembered, the last ones.
//
// Owner: SessionHome. Executor: thread-safe; its mutex is taken before the inode table's.
// Blocks: bind(), forget() and clear() on the disk, when orphans go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
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
  /// The same, or did before it was dropped.
  [[nodiscard]] bool has_known(const Inode& inode) const;
  /// Whether `node` means `inode`, or did before it was dropped.
  [[nodiscard]] bool is_node_of(NodeId node, const Inode& inode) const;
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    InodeRef inode;
    std::uint64_t used_at = 0;              // the value of binds_ then
    std::uint32_t sync_failures_taken = 0;  // the inode's count then
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;
  struct Dropped {
    Inode::Identity inode;
    std::list<std::uint64_t>::iterator place;  // in dropped_order_
  };
  /// What nobody may know any more, until the lock is given back: to let go of it, and to delete
  /// orphans, waits for the disk.
  struct Released {
    std::vector<InodeRef> inodes;
    std::vector<InodeNumber> numbers;
  };

  void unbind(Entries::iterator entry, Released& released);
  void make_room(Released& released);
  bool may_drop(std::uint64_t node, const Entry& entry, std::uint64_t age) const;
  void remember_dropped(std::uint64_t node, const Inode& inode, Released& released);
  void forget_dropped(std::uint64_t node, Released& released);
  void hand_over(const Released& released);

  Home& home_;
  const std::size_t nodes_max_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Entries entries_;
  std::unordered_map<const Inode*, std::uint32_t> counts_;  // numbers that mean the inode
  std::unordered_map<std::uint64_t, Dropped> dropped_;      // at most nodes_max_
  std::list<std::uint64_t> dropped_order_;                  // the first one longest ago
  // Numbers in dropped_ that meant the inode.
  std::unordered_map<Inode::Identity, std::uint32_t, Inode::IdentityHash> dropped_counts_;
  std::size_t hand_ = 0;  // a bucket of entries_
  std::uint64_t binds_ = 0;
};

}  // namespace homefs
