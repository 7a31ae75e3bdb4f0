// InodeTable: the inodes of one home that somebody knows, each once, and the way to each.
//
// An inode is identified by number, type and time of birth; it is reached by walking from its
// nearest open ancestor down the names under which it and its ancestors were last seen, one
// component at a time, and what is found has to be that inode, else it is kStale.
//
// Lock order: names_mutex(), then the table's own mutex and the descriptor cache's, both leaves.
// Owner: Home. Executor: thread-safe. Blocks: open() and stat() on the disk, and, when the way to
// an inode changes under them, for a change of names that runs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "protocol/name.h"
#include "protocol/result.h"
#include "server/descriptor_cache.h"
#include "server/inode.h"
#include "server/posix_disk.h"

namespace homefs {

class InodeTable {
 public:
  /// `orphans` is the folder where orphans lie under their numbers.
  InodeTable(UniqueFd root, disk::FdRef orphans, std::shared_ptr<DescriptorCache> descriptors);
  ~InodeTable();
  InodeTable(const InodeTable&) = delete;
  InodeTable& operator=(const InodeTable&) = delete;

  /// The root of the home; to be asked for once, by Home, before anything else.
  InodeRef make_root(const disk::Stat& stat);

  // ---- Finding ----

  /// The inode that `stat` (a true one, here and below) was read of, known from now on as `name` in
  /// `parent`. Precondition: nothing was moved since the reading (names_mutex() or
  /// UsageScan::Change is held).
  InodeRef found(const disk::Stat& stat, const InodeRef& parent, const Name& name);
  /// The same without the precondition: `moves` is moves() from before the reading. Null when the
  /// inode may have been moved since; then it has to be looked for again.
  InodeRef found_since(std::uint64_t moves, const disk::Stat& stat, const InodeRef& parent,
                       const Name& name);
  /// Counts the changes of names that move or remove something.
  [[nodiscard]] std::uint64_t moves() const { return moves_.load(); }
  /// The same for one that was just made: whatever had this number before is gone.
  InodeRef made(const disk::Stat& stat, const InodeRef& parent, const Name& name);
  /// The same for one that lies in the orphanage.
  InodeRef found_orphan(const disk::Stat& stat);
  /// The inode of this number if somebody knows it and it is not gone; else null.
  InodeRef find(InodeNumber number) const;

  // ---- Where inodes are; called under names_mutex() after the disk was changed ----

  void moved(InodeNumber number, const InodeRef& parent, const Name& name);
  void orphaned(InodeNumber number);
  /// The last name went, and no orphan was kept: there is no way to it any more.
  void gone(const disk::Stat& stat);
  /// Whether `name` in `parent` is where `inode` is reached.
  bool is_reached_by(const InodeRef& inode, const InodeRef& parent, const Name& name) const;
  [[nodiscard]] bool is_gone(const Inode& inode) const;
  [[nodiscard]] bool is_orphan(const Inode& inode) const;
  /// Whether `ancestor` is `inode` or on the way to it.
  bool is_below(const InodeRef& inode, const Inode& ancestor) const;

  /// The path of `inode` from the root; empty for the root, and where no way of at most `bytes_max`
  /// bytes is known.
  [[nodiscard]] std::string path_of(const Inode& inode, std::size_t bytes_max) const;

  // ---- Who knows them ----

  void bind(const InodeRef& inode);
  void unbind(const InodeRef& inode);
  /// A session has no room for a number that its client may still use for the inode: it counts as
  /// one that knows it, and the inode itself need not be kept for that. Once more for each number.
  void remember(const Inode::Identity& inode);
  void forget(const Inode::Identity& inode);
  [[nodiscard]] std::uint32_t sessions_of(const Inode& inode) const;
  [[nodiscard]] std::uint32_t sessions_of(const disk::Stat& stat) const;

  // ---- Descriptors ----

  /// A descriptor of the inode, by what it is on the disk: read-write of a file (read-only where
  /// the disk allows no more), read-only of a folder, O_PATH of anything else. kStale when it is
  /// not found, kNoSuchFile for a folder that was removed. Precondition: the caller holds no lock.
  Result<disk::FdRef> open(const InodeRef& inode);
  /// Keeps a descriptor that came of making the inode.
  disk::FdRef keep(const InodeRef& inode, UniqueFd descriptor);
  /// The true stat of the inode, the last one of a folder that was removed; opens no file for it.
  Result<disk::Stat> stat(const InodeRef& inode);

  // ---- Versions ----

  /// Attributes::version of an inode whose ctime was read as `ctime_ns`. Two equal versions say
  /// that nothing was changed between the two readings, though the kernel's clock for ctime may
  /// tick as rarely as every 10 ms: of changes in the same tick the later ones are counted.
  /// `is_change`: the reading was made at the end of a change.
  std::uint64_t version_of(Inode& inode, std::int64_t ctime_ns, bool is_change);
  /// The same for an inode that may be known to nobody, as listings come across.
  std::uint64_t version_of_entry(const disk::Stat& stat);
  /// How long to wait until no change to come can have this ctime, however rarely the clock ticks.
  static std::chrono::nanoseconds time_until_settled(std::int64_t ctime_ns);
  /// Changed inodes that nobody knows any more, of which the count in their tick is remembered.
  static constexpr std::size_t kPastStepsMax = 16384;

  /// One change of names at a time; see home.h.
  [[nodiscard]] std::mutex& names_mutex() { return names_mutex_; }
  /// Inodes that somebody knows.
  [[nodiscard]] std::size_t size() const;

 private:
  friend class Inode;
  void destroyed(Inode& inode);
  InodeRef get_or_make(const disk::Stat& stat, bool is_fresh);
  InodeRef find_locked(InodeNumber number) const;
  std::uint32_t remembered(const Inode::Identity& inode) const;
  static void cut_ring(const Inode& inode, const InodeRef& new_parent);
  // Where an inode was last seen.
  struct Way {
    InodeRef parent;
    std::string name;
    bool is_root = false;
    bool is_orphan = false;
    bool is_gone = false;
  };

  Way way_to(const Inode& inode) const;
  Result<disk::FdRef> walk(const InodeRef& inode);
  Result<disk::FdRef> open_from(const disk::FdRef& folder, const std::string& name, Inode& inode);
  std::optional<disk::Stat> stat_by_name(const InodeRef& inode);
  std::uint64_t racy_step(std::int64_t ctime_ns);
  std::uint64_t unique_step();
  void remember_step(const Inode& inode);
  std::uint64_t step_of_unknown(std::uint64_t number, std::int64_t ctime_ns);

  const disk::FdRef root_;
  const disk::FdRef orphans_;
  const std::shared_ptr<DescriptorCache> descriptors_;  // owners: all homes of the process
  std::mutex names_mutex_;

  std::atomic<std::uint64_t> moves_{0};  // changed under mutex_

  mutable std::mutex mutex_;  // guards what follows, and what inode.h says
  struct Slot {
    Inode* inode = nullptr;
    std::weak_ptr<Inode> ref;
  };
  std::unordered_map<std::uint64_t, Slot> slots_;
  std::unordered_map<Inode::Identity, std::uint32_t, Inode::IdentityHash> remembered_;
  std::uint64_t racy_steps_ = 0;
  struct PastStep {
    std::int64_t ctime_ns = 0;
    std::uint64_t step = 0;
  };
  std::unordered_map<std::uint64_t, PastStep> past_steps_;  // of inodes that nobody knows
  std::int64_t past_steps_lost_ns_ = INT64_MIN;  // up to this ctime there were more of them
  std::int64_t newest_birth_gone_ns_ = 0;        // of all inodes that were removed
};

}  // namespace homefs
