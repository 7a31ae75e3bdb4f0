// Inode: one file, folder or other object of a home, as all sessions of the home share it.
//
// It exists while a session has it bound or an operation uses it (InodeTable hands it out). It
// holds no descriptor of its own: DescriptorCache opens one when it is needed, from where the inode
// was last seen, and closes those that were not used for longest.
//
// Owner: NodeTables, running operations and the inodes of its children (each child keeps its parent
// alive, because the way to the child leads over it). Executor: thread-safe, see the members.
// Blocks: size_lock waits for the disk operation that changes the size, sync_failures for a sync.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <shared_mutex>
#include <string>

#include "protocol/ids.h"
#include "server/posix_disk.h"
#include "server/sync_failures.h"

namespace homefs {

class Inode;
class InodeTable;
/// Owners: see the head of this file.
using InodeRef = std::shared_ptr<Inode>;

class Inode {
 public:
  /// What makes it this inode and not a later one that got the same number.
  struct Identity {
    std::uint64_t number = 0;   ///< st_ino
    std::int64_t birth_ns = 0;  ///< time of birth; 0 where the file system does not know it
    std::uint32_t type = 0;     ///< S_IFMT bits, of the disk (file_mode.h)
    bool operator==(const Identity&) const = default;
  };
  struct IdentityHash {
    std::size_t operator()(const Identity& identity) const {
      // Births of files with one number differ.
      return std::hash<std::uint64_t>()(identity.number ^
                                        static_cast<std::uint64_t>(identity.birth_ns) << 20);
    }
  };

  /// `type`: the S_IFMT bits that clients see.
  Inode(InodeTable& table, const Identity& identity, std::uint32_t type)
      : table_(table), identity_(identity), type_(type) {}
  ~Inode();
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] InodeNumber number() const { return InodeNumber{identity_.number}; }
  [[nodiscard]] bool is_folder() const { return S_ISDIR(type_); }
  [[nodiscard]] bool is_file() const { return S_ISREG(type_); }
  [[nodiscard]] bool is_symlink() const { return S_ISLNK(type_); }
  [[nodiscard]] InodeTable& table() const { return table_; }

  /// What a page of a mapping that is written back late must not undo (Home::write_back()).
  /// Guarded by size_lock(): who changes it holds that exclusively.
  struct NewestChanges {
    std::uint64_t cut_order = 0;  ///< when the file was made shorter, and by which session
    std::uint64_t cut_size = 0;
    const void* cut_by = nullptr;
    std::uint64_t mtime_order = 0;  ///< likewise when its mtime was set
    const void* mtime_by = nullptr;
    /// When the data was changed, but not by a session that was late; 0: not that we know.
    std::uint64_t data_order = 0;
  };
  [[nodiscard]] NewestChanges& newest_changes() const { return newest_changes_; }

  /// Held by whatever changes data or size; shared by what relies on the size.
  [[nodiscard]] std::shared_mutex& size_lock() const { return size_lock_; }
  /// When a session of this run of the server has made it, no later than anybody could see it; 0:
  /// not that we know. Set before it is known.
  [[nodiscard]] std::uint64_t made_order() const { return made_order_; }
  void set_made_order(std::uint64_t order) { made_order_ = order; }
  /// Of a folder: FolderWatch was asked for it.
  [[nodiscard]] std::atomic<bool>& is_watched() const { return is_watched_; }
  [[nodiscard]] SyncFailures& sync_failures() const { return sync_failures_; }

 private:
  friend class DescriptorCache;
  friend class InodeTable;

  InodeTable& table_;  // outlives it
  const Identity identity_;
  const std::uint32_t type_;
  std::atomic<std::uint64_t> made_order_{0};
  mutable std::shared_mutex size_lock_;
  mutable SyncFailures sync_failures_;
  mutable std::atomic<bool> is_watched_{false};
  mutable NewestChanges newest_changes_;

  // Guarded by the table's mutex: where it was last seen, who knows it, and its version.
  InodeRef parent_;             // null: the root, an orphan, or one that is gone
  std::string name_;            // in parent_
  std::uint32_t sessions_ = 0;  // that have it bound
  bool is_orphan_ = false;      // reached through the orphanage
  bool is_gone_ = false;        // its last name was removed
  bool is_root_ = false;
  std::unique_ptr<disk::Stat> last_;  // of a folder that is gone, for who has it open; else null
  std::uint64_t version_step_ = 0;    // see InodeTable::version_of
  std::int64_t version_ctime_ns_ = 0;

  // Guarded by the descriptor cache's mutex.
  disk::FdRef descriptor_;
  std::list<Inode*>::iterator descriptor_place_{};  // valid while descriptor_ is set
};

}  // namespace homefs
