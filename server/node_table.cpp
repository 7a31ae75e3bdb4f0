#include "server/node_table.h"

#include <utility>

#include "server/home.h"
#include "server/inode_table.h"

namespace homefs {

NodeTable::NodeTable(Home& home, const InodeRef& root, std::size_t nodes_max)
    : home_(home), nodes_max_(nodes_max) {
  HOMEFS_CHECK(bind(kRootNode, root).has_value());
}

NodeTable::~NodeTable() { clear(); }

Result<InodeRef> NodeTable::find(NodeId node) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(number_of(node));
  if (entry == entries_.end()) return fail(Status::kStale);
  entry->second.used_at = binds_;
  return entry->second.inode;
}

Result<void> NodeTable::check_free(NodeId node) {
  const std::lock_guard lock(mutex_);
  if (node == kNoNode || entries_.contains(number_of(node))) {
    return fail(Status::kProtocolError, "the node number is in use");
  }
  return {};
}

Result<void> NodeTable::bind(NodeId node, const InodeRef& inode) {
  std::vector<InodeRef> released;
  {
    const std::lock_guard lock(mutex_);
    if (node == kNoNode) return fail(Status::kProtocolError, "node number 0");
    const auto known = entries_.find(number_of(node));
    if (known != entries_.end()) {
      if (known->second.inode == inode) return {};
      return fail(Status::kProtocolError, "the node number means something else");
    }
    if (entries_.size() >= nodes_max_) make_room(released);
    entries_.emplace(number_of(node), Entry{.inode = inode,
                                            .used_at = ++binds_,
                                            .sync_failures_taken = inode->sync_failures().count()});
    if (++counts_[inode.get()] == 1) home_.inodes().bind(inode);
  }
  hand_over(released);
  return {};
}

std::optional<Status> NodeTable::take_sync_failure(NodeId node) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(number_of(node));
  if (entry == entries_.end()) return std::nullopt;
  const SyncFailures& failures = entry->second.inode->sync_failures();
  const std::uint32_t count = failures.count();
  if (std::exchange(entry->second.sync_failures_taken, count) == count) return std::nullopt;
  return failures.last();
}

// Precondition: mutex_ is held. What nobody knows any more goes to `released`, for hand_over()
// when the lock is given back: deleting an orphan waits for the disk.
void NodeTable::unbind(Entries::iterator entry, std::vector<InodeRef>& released) {
  InodeRef inode = std::move(entry->second.inode);
  entries_.erase(entry);
  const auto count = counts_.find(inode.get());
  if (--count->second == 0) {
    counts_.erase(count);
    (void)home_.inodes().unbind(inode);  // released() looks at the number again, under its lock
  }
  released.push_back(std::move(inode));
}

void NodeTable::hand_over(const std::vector<InodeRef>& released) {
  for (const InodeRef& inode : released) {
    if (home_.inodes().sessions_of(*inode) == 0) home_.released(inode);
  }
}

bool NodeTable::may_drop(std::uint64_t node, const Entry& entry, std::uint64_t age) const {
  return binds_ - entry.used_at > age && NodeId{node} != kRootNode &&
         !home_.inodes().is_orphan(*entry.inode);
}

// The hand goes over the buckets and drops what was not used while half the table was bound anew;
// if there is nothing of that age, what is half as old, and so on.
void NodeTable::make_room(std::vector<InodeRef>& released) {
  constexpr std::size_t kDroppedAtOnce = 64;
  for (std::uint64_t age = nodes_max_ / 2; released.empty(); age /= 2) {
    std::size_t buckets_left = entries_.bucket_count();
    while (released.size() < kDroppedAtOnce && buckets_left-- > 0) {
      hand_ = (hand_ + 1) % entries_.bucket_count();
      std::vector<std::uint64_t> unused;
      for (auto it = entries_.begin(hand_); it != entries_.end(hand_); ++it) {
        if (may_drop(it->first, it->second, age)) unused.push_back(it->first);
      }
      for (const std::uint64_t node : unused) unbind(entries_.find(node), released);
    }
    if (age == 0) return;  // all of them orphans
  }
}

void NodeTable::forget(std::span<const NodeId> nodes) {
  std::vector<InodeRef> released;
  {
    const std::lock_guard lock(mutex_);
    for (const NodeId node : nodes) {
      const auto entry = entries_.find(number_of(node));
      if (entry != entries_.end() && node != kRootNode) unbind(entry, released);
    }
  }
  hand_over(released);
}

void NodeTable::clear() {
  std::vector<InodeRef> released;
  {
    const std::lock_guard lock(mutex_);
    while (!entries_.empty()) unbind(entries_.begin(), released);
  }
  hand_over(released);
}

bool NodeTable::has(NodeId node) const {
  const std::lock_guard lock(mutex_);
  return entries_.contains(number_of(node));
}

bool NodeTable::knows(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return counts_.contains(&inode);
}

bool NodeTable::is_node_of(NodeId node, const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(number_of(node));
  return entry != entries_.end() && entry->second.inode.get() == &inode;
}

std::size_t NodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace homefs
