// Home::Farewell: a name that is about to go, by unlink, rmdir or a rename onto it, and what that
// means for its inode. Private to Home's files.
#pragma once

#include <mutex>
#include <optional>
#include <shared_mutex>

#include "server/home.h"
#include "server/usage_scan.h"

namespace homefs {

struct Home::Farewell {
  InodeRef inode;
  disk::Stat stat;               ///< before; its mode the true one
  disk::FdRef descriptor;        ///< of a file that goes on to exist; else null
  bool is_needed = false;        ///< somebody has use for it after the name is gone
  bool is_last = false;          ///< no visible name is left afterwards
  bool is_kept = false;          ///< it has a link in the orphanage
  bool is_held_now = false;      ///< and got it for this farewell
  bool must_hold_later = false;  ///< it gets the link when the name is gone
  bool is_for_absent = false;    ///< it may be open in one that has not told yet
  /// Nobody changes the size between what is accounted and the end of the file.
  std::unique_lock<std::shared_mutex> size_lock;
  std::optional<UsageScan::Change> change;

  /// As clients see it.
  [[nodiscard]] Attributes before() const {
    Attributes attributes = stat.attributes;
    // A link that it got for this farewell is not in the stat yet.
    if (is_kept && !is_held_now && attributes.links > 0) --attributes.links;
    return attributes;
  }
};

}  // namespace homefs
