// UnsyncedChanges: what was changed through this mount and is perhaps not on the server's disk yet,
// so that somebody hears of it when the server loses power: an fsync that comes after that would
// succeed, on what is left.
//
// By inode, as a file may be forgotten and found again between a change and its fsync. The last
// kChangedMax inodes at least are known; what was changed before them counts as written back by the
// server's kernel, which does so within half a minute.
//
// Pure state. Owner: ClientState. Executor: whoever holds the state's lock. Blocks: never.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstddef>
#include <cstdint>

#include "protocol/ids.h"

namespace homefs {

class UnsyncedChanges {
 public:
  static constexpr std::size_t kChangedMax = 256 * 1024;

  /// The server has answered a change of it.
  void changed(InodeNumber inode);
  /// Names all changes so far, for synced().
  [[nodiscard]] std::uint64_t last_change() const { return last_change_; }
  /// The server has synced what was changed up to `change`.
  void synced(InodeNumber inode, std::uint64_t change);

  /// Whatever is not synced is lost, perhaps. Returns how many inodes that are.
  std::size_t lose();
  [[nodiscard]] bool is_lost(InodeNumber inode) const { return lost_.contains(inode); }
  /// The number is another file's from now on: what was lost was of the one before.
  void forget(InodeNumber inode) { (void)lost_.erase(inode); }
  /// The same, and it is told now.
  bool take_lost(InodeNumber inode) { return lost_.erase(inode) != 0; }

 private:
  // The number of the last change of each. Two, so that the older ones can go without an order.
  using Changes = boost::unordered_flat_map<InodeNumber, std::uint64_t, std::hash<InodeNumber>>;

  Changes recent_;
  Changes older_;
  boost::unordered_flat_set<InodeNumber, std::hash<InodeNumber>> lost_;
  std::uint64_t last_change_ = 0;
};

}  // namespace homefs
