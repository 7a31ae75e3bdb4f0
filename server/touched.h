// Touched: what a request has changed on the disk, or may have: written down by Home where it makes
// the system call, so that the other sessions are told whatever becomes of the request after that.
// A call that changes all or nothing is noted when it was made; any other before it.
//
// Owner: SessionHome::handle(). Executor: the thread that runs the request. Blocks: never.
#pragma once

#include <span>
#include <vector>

#include "protocol/messages.h"
#include "protocol/name.h"
#include "server/inode.h"

namespace homefs {

class Touched {
 public:
  /// The entry `name` came, went or was replaced; it leads to `target` now, if to anything.
  void entry(const InodeRef& folder, const Name& name, InodeNumber target = {});
  void attributes(const InodeRef& inode) { note(inode, {.inode = inode->number(), .name = {}}); }
  /// The contents of a file, and with them its attributes. `size`: of the file now.
  void data(const InodeRef& inode, std::uint64_t size) {
    note(inode, {.inode = inode->number(), .name = {}, .has_data = true, .size = size});
  }

  /// The size that the file has at last, if its contents were touched.
  void sized(const Inode& inode, std::uint64_t size);

  /// For the other sessions: entries first, each folder and name, and each inode, once.
  [[nodiscard]] std::vector<Change> changes() const;
  /// The folders and inodes, each at least once.
  [[nodiscard]] std::span<const InodeRef> inodes() const { return inodes_; }

 private:
  void note(const InodeRef& inode, Change change);

  std::vector<Change> entries_;
  std::vector<Change> others_;
  std::vector<InodeRef> inodes_;
};

/// Whether a system call that changes all or nothing, and failed with this, was refused: nothing
/// was changed. Of others (the disk fails) nobody can tell.
bool is_refusal(Status status);

}  // namespace homefs
