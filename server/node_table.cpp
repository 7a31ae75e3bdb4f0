#include "server/node_table.h"

#include <iterator>
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
  Released released;
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
    forget_dropped(number_of(node), released);  // behind it: it is known all the time
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

// Precondition: mutex_ is held. `released` outlives it, and goes to hand_over().
void NodeTable::unbind(Entries::iterator entry, Released& released) {
  InodeRef inode = std::move(entry->second.inode);
  entries_.erase(entry);
  const auto count = counts_.find(inode.get());
  if (--count->second == 0) {
    counts_.erase(count);
    home_.inodes().unbind(inode);
  }
  released.numbers.push_back(inode->number());
  released.inodes.push_back(std::move(inode));
}

// Precondition: mutex_ is held, and the number was not dropped before.
void NodeTable::remember_dropped(std::uint64_t node, const Inode& inode, Released& released) {
  if (dropped_.size() >= nodes_max_) forget_dropped(dropped_order_.front(), released);
  dropped_order_.push_back(node);
  dropped_.emplace(node, Dropped{inode.identity(), std::prev(dropped_order_.end())});
  ++dropped_counts_[inode.identity()];
  home_.inodes().remember(inode.identity());
}

// Precondition: mutex_ is held. Nothing happens for a number that was not dropped.
void NodeTable::forget_dropped(std::uint64_t node, Released& released) {
  const auto dropped = dropped_.find(node);
  if (dropped == dropped_.end()) return;
  const Inode::Identity inode = dropped->second.inode;
  dropped_order_.erase(dropped->second.place);
  dropped_.erase(dropped);
  const auto count = dropped_counts_.find(inode);
  if (--count->second == 0) dropped_counts_.erase(count);
  home_.inodes().forget(inode);
  released.numbers.push_back(InodeNumber{inode.number});
}

// Home looks again, under its lock, whether anybody knows it.
void NodeTable::hand_over(const Released& released) {
  for (const InodeNumber number : released.numbers) home_.released(number);
}

bool NodeTable::may_drop(std::uint64_t node, const Entry& entry, std::uint64_t age) const {
  return binds_ - entry.used_at > age && NodeId{node} != kRootNode &&
         !home_.inodes().is_orphan(*entry.inode);
}

// The hand goes over the buckets and drops what was not used while half the table was bound anew;
// if there is nothing of that age, what is half as old, and so on.
void NodeTable::make_room(Released& released) {
  constexpr std::size_t kDroppedAtOnce = 64;
  std::size_t dropped = 0;
  for (std::uint64_t age = nodes_max_ / 2; dropped == 0; age /= 2) {
    std::size_t buckets_left = entries_.bucket_count();
    while (dropped < kDroppedAtOnce && buckets_left-- > 0) {
      hand_ = (hand_ + 1) % entries_.bucket_count();
      std::vector<std::uint64_t> unused;
      for (auto it = entries_.begin(hand_); it != entries_.end(hand_); ++it) {
        if (may_drop(it->first, it->second, age)) unused.push_back(it->first);
      }
      for (const std::uint64_t node : unused) {
        const auto entry = entries_.find(node);
        // Before it is unbound: it is known all the time.
        remember_dropped(node, *entry->second.inode, released);
        unbind(entry, released);
      }
      dropped += unused.size();
    }
    if (age == 0) return;  // all of them orphans
  }
}

void NodeTable::forget(std::span<const NodeId> nodes) {
  Released released;
  {
    const std::lock_guard lock(mutex_);
    for (const NodeId node : nodes) {
      const auto entry = entries_.find(number_of(node));
      if (entry != entries_.end() && node != kRootNode) unbind(entry, released);
      forget_dropped(number_of(node), released);
    }
  }
  hand_over(released);
}

void NodeTable::clear() {
  Released released;
  {
    const std::lock_guard lock(mutex_);
    while (!entries_.empty()) unbind(entries_.begin(), released);
    while (!dropped_order_.empty()) forget_dropped(dropped_order_.front(), released);
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

bool NodeTable::has_known(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return counts_.contains(&inode) || dropped_counts_.contains(inode.identity());
}

bool NodeTable::is_node_of(NodeId node, const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(number_of(node));
  if (entry != entries_.end()) return entry->second.inode.get() == &inode;
  const auto dropped = dropped_.find(number_of(node));
  return dropped != dropped_.end() && dropped->second.inode == inode.identity();
}

std::size_t NodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace homefs
