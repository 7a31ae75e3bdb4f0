// ToldLog: what the sessions of a home were told of in the last seconds: which inode got which
// ctime, and what became of which name. So the server knows its own changes among those that the
// kernel reports of a folder (FolderWatch), and tells only of those that others have made.
//
// Owner: Home. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "protocol/ids.h"

namespace homefs {

class ToldLog {
 public:
  /// A ctime of ours that nobody has looked at.
  static constexpr std::int64_t kUnseen = INT64_MIN;

  /// Precondition for both: noted before the lock is given back under which the change was made.
  void note_inode(InodeNumber inode, std::int64_t ctime_ns);
  void note_entry(InodeNumber folder, const std::string& name, InodeNumber target);

  [[nodiscard]] bool has_inode(InodeNumber inode, std::int64_t ctime_ns) const;
  [[nodiscard]] bool has_entry(InodeNumber folder, const std::string& name,
                               InodeNumber target) const;

  /// Forgets what was noted before the last call. To be called when everything that the kernel had
  /// reported before the last call was dealt with.
  void rotate();

 private:
  /// Over it what is older is forgotten: its folders are not watched.
  static constexpr std::size_t kNotesMax = 16384;
  struct Period {
    std::unordered_map<InodeNumber, std::int64_t> inodes;
    std::map<std::pair<InodeNumber, std::string>, InodeNumber> entries;
  };

  void rotate_locked(Period& old);

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Period now_;
  Period before_;
};

}  // namespace homefs
