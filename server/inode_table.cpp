#include "server/inode_table.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace homefs {
namespace {

Inode::Identity identity_of(const disk::Stat& stat) {
  return {.number = number_of(stat.attributes.inode),
          .birth_ns = stat.birth_ns,
          .type = stat.disk_mode & S_IFMT};
}

// Inodes are released child before parent. A chain of them, as long as the tree is deep, must not
// be a chain of destructor calls on the stack: the outermost call releases them in a loop.
thread_local std::vector<InodeRef>* releasing = nullptr;

void release_without_recursion(InodeRef parent) {
  if (parent == nullptr) return;
  if (releasing != nullptr) {
    releasing->push_back(std::move(parent));
    return;
  }
  std::vector<InodeRef> queue;
  releasing = &queue;
  queue.push_back(std::move(parent));
  while (!queue.empty()) {
    const InodeRef next = std::move(queue.back());
    queue.pop_back();
  }
  releasing = nullptr;
}

}  // namespace

InodeTable::InodeTable(UniqueFd root, disk::FdRef orphans,
                       std::shared_ptr<DescriptorCache> descriptors)
    : root_(std::make_shared<const UniqueFd>(std::move(root))),
      orphans_(std::move(orphans)),
      descriptors_(std::move(descriptors)) {}

InodeTable::~InodeTable() { HOMEFS_CHECK(slots_.empty()); }

InodeRef InodeTable::make_root(const disk::Stat& stat) {
  InodeRef root = get_or_make(stat, /*is_fresh=*/false);
  const std::lock_guard lock(mutex_);
  root->is_root_ = true;
  return root;
}

void InodeTable::destroyed(Inode& inode) {
  {
    const std::lock_guard lock(mutex_);
    const auto slot = slots_.find(inode.identity_.number);
    // A later inode of the same number may have the slot by now.
    if (slot != slots_.end() && slot->second.inode == &inode) {
      remember_step(inode);
      slots_.erase(slot);
    }
  }
  descriptors_->drop(inode);
  release_without_recursion(std::move(inode.parent_));
}

// The inode of this number, type and time of birth. `is_fresh`: it was made just now, so that
// another one that is known under its number cannot be it even if it looks alike.
InodeRef InodeTable::get_or_make(const disk::Stat& stat, bool is_fresh) {
  const Inode::Identity identity = identity_of(stat);
  const std::int64_t ctime_ns = disk::nanoseconds_of(stat.attributes.ctime);
  InodeRef replaced;  // released after the lock
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[identity.number];
  if (InodeRef known = slot.ref.lock()) {
    if (!is_fresh && !known->is_gone_ && known->identity_ == identity) return known;
    known->is_gone_ = true;
    replaced = std::move(known);
  }
  auto inode = std::make_shared<Inode>(*this, identity, stat.attributes.mode & S_IFMT);
  inode->version_ctime_ns_ = ctime_ns;
  // A new inode has no past, unless one of its number lived and died in the same tick.
  const bool has_past = !is_fresh || identity.birth_ns <= newest_birth_gone_ns_;
  inode->version_step_ = has_past ? step_of_unknown(identity.number, ctime_ns) : 0;
  slot = {.inode = inode.get(), .ref = inode};
  return inode;
}

InodeRef InodeTable::found(const disk::Stat& stat, const InodeRef& parent, const Name& name) {
  return found_since(moves(), stat, parent, name);
}

InodeRef InodeTable::found_since(std::uint64_t moves, const disk::Stat& stat,
                                 const InodeRef& parent, const Name& name) {
  InodeRef inode = get_or_make(stat, /*is_fresh=*/false);
  InodeRef old_parent;  // released after the lock
  const std::lock_guard lock(mutex_);
  if (inode->is_orphan_ || inode->is_root_) return inode;
  if (inode->parent_ == parent && inode->name_ == name.text()) return inode;
  // A name read before a move must not replace the place that the move has set.
  if (moves_.load() != moves) return nullptr;
  // Each child holds its folder: one that only we hold is above nothing.
  if (inode.use_count() > 1) cut_ring(*inode, parent);
  old_parent = std::exchange(inode->parent_, parent);
  inode->name_ = name.text();
  return inode;
}

// Folders that somebody moved behind our back: one that is below `inode` for us is above it by now.
// It has no place until it is found again. Precondition: mutex_ is held; `inode` outlives it.
void InodeTable::cut_ring(const Inode& inode, const InodeRef& new_parent) {
  if (!inode.is_folder()) return;
  for (Inode* at = new_parent.get(); at != nullptr; at = at->parent_.get()) {
    if (at->parent_.get() != &inode) continue;
    at->parent_.reset();
    at->name_.clear();
    return;
  }
}

InodeRef InodeTable::made(const disk::Stat& stat, const InodeRef& parent, const Name& name) {
  InodeRef inode = get_or_make(stat, /*is_fresh=*/true);
  const std::lock_guard lock(mutex_);
  inode->parent_ = parent;
  inode->name_ = name.text();
  return inode;
}

InodeRef InodeTable::found_orphan(const disk::Stat& stat) {
  InodeRef inode = get_or_make(stat, /*is_fresh=*/false);
  InodeRef old_parent;
  const std::lock_guard lock(mutex_);
  inode->is_orphan_ = true;
  old_parent = std::exchange(inode->parent_, nullptr);
  return inode;
}

InodeRef InodeTable::find(InodeNumber number) const {
  const std::lock_guard lock(mutex_);
  return find_locked(number);
}

// Precondition: mutex_ is held, and outlived by what is returned.
InodeRef InodeTable::find_locked(InodeNumber number) const {
  const auto slot = slots_.find(number_of(number));
  if (slot == slots_.end() || slot->second.inode->is_gone_) return nullptr;
  return slot->second.ref.lock();
}

// In the three below the count of moves and the places change together: whoever reads a name before
// and finds the inode after sees either the new place or that something was moved.
void InodeTable::moved(InodeNumber number, const InodeRef& parent, const Name& name) {
  InodeRef inode;
  InodeRef old_parent;  // both released after the lock
  const std::lock_guard lock(mutex_);
  moves_.fetch_add(1);
  inode = find_locked(number);
  if (inode == nullptr || inode->is_orphan_ || inode->is_root_) return;
  cut_ring(*inode, parent);
  old_parent = std::exchange(inode->parent_, parent);
  inode->name_ = name.text();
}

void InodeTable::orphaned(InodeNumber number) {
  InodeRef inode;
  InodeRef old_parent;
  const std::lock_guard lock(mutex_);
  moves_.fetch_add(1);
  inode = find_locked(number);
  if (inode == nullptr) return;
  inode->is_orphan_ = true;
  old_parent = std::exchange(inode->parent_, nullptr);
  inode->name_.clear();
}

void InodeTable::gone(const disk::Stat& stat) {
  InodeRef inode;
  InodeRef old_parent;
  {
    const std::lock_guard lock(mutex_);
    moves_.fetch_add(1);
    newest_birth_gone_ns_ = std::max(newest_birth_gone_ns_, stat.birth_ns);
    inode = find_locked(stat.attributes.inode);
    if (inode == nullptr) return;
    inode->is_gone_ = true;
    inode->is_orphan_ = false;
    if (inode->is_folder()) {
      inode->last_ = std::make_unique<disk::Stat>(stat);
      inode->last_->attributes.links = 0;
    }
    old_parent = std::exchange(inode->parent_, nullptr);
    inode->name_.clear();
  }
  // The disk gets the space back when the last descriptor is closed.
  descriptors_->drop(*inode);
}

bool InodeTable::is_reached_by(const InodeRef& inode, const InodeRef& parent,
                               const Name& name) const {
  const std::lock_guard lock(mutex_);
  return inode->parent_ == parent && inode->name_ == name.text();
}

bool InodeTable::is_gone(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return inode.is_gone_;
}

bool InodeTable::is_orphan(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return inode.is_orphan_;
}

bool InodeTable::is_below(const InodeRef& inode, const Inode& ancestor) const {
  const std::lock_guard lock(mutex_);
  for (const Inode* at = inode.get(); at != nullptr; at = at->parent_.get()) {
    if (at == &ancestor) return true;
  }
  return false;
}

std::string InodeTable::path_of(const Inode& inode, std::size_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  std::vector<const std::string*> names;
  for (const Inode* at = &inode; !at->is_root_; at = at->parent_.get()) {
    bytes += at->name_.size() + 1;
    if (at->parent_ == nullptr || bytes > bytes_max) return {};
    names.push_back(&at->name_);
  }
  std::string path;
  path.reserve(bytes);
  for (; !names.empty(); names.pop_back()) {
    if (!path.empty()) path += '/';
    path += *names.back();
  }
  return path;
}

void InodeTable::bind(const InodeRef& inode) {
  const std::lock_guard lock(mutex_);
  ++inode->sessions_;
}

void InodeTable::unbind(const InodeRef& inode) {
  const std::lock_guard lock(mutex_);
  HOMEFS_CHECK(inode->sessions_ > 0);
  --inode->sessions_;
}

void InodeTable::remember(const Inode::Identity& inode) {
  const std::lock_guard lock(mutex_);
  ++remembered_[inode];
}

void InodeTable::forget(const Inode::Identity& inode) {
  const std::lock_guard lock(mutex_);
  const auto found = remembered_.find(inode);
  HOMEFS_CHECK(found != remembered_.end());
  if (--found->second == 0) remembered_.erase(found);
}

std::uint32_t InodeTable::sessions_of(const Inode& inode) const {
  const std::lock_guard lock(mutex_);
  return inode.sessions_ + remembered(inode.identity_);
}

std::uint32_t InodeTable::sessions_of(const disk::Stat& stat) const {
  InodeRef known;  // released after the lock
  const std::lock_guard lock(mutex_);
  const Inode::Identity identity = identity_of(stat);
  known = find_locked(stat.attributes.inode);
  const bool is_it = known != nullptr && known->identity_ == identity;
  return (is_it ? known->sessions_ : 0) + remembered(identity);
}

// Precondition: mutex_ is held.
std::uint32_t InodeTable::remembered(const Inode::Identity& inode) const {
  const auto found = remembered_.find(inode);
  return found == remembered_.end() ? 0 : found->second;
}

std::size_t InodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return slots_.size();
}

}  // namespace homefs
