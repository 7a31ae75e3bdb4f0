// Folder: what the client knows of the entries of one folder.
//
// A folder that was listed to its end, or made by us, is complete: a name that is not in it does
// not exist, and no question goes to the server. Every change made through this mount is applied
// to it when the server has answered; a listing that was under way meanwhile is thrown away.
//
// Owner: its Node. Executor: whoever holds the state's lock. Blocks: never.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "fusefs/shared_name.h"
#include "protocol/ids.h"

namespace homefs {

/// Flat: a name costs 16 bytes and its share of what is free.
using EntryMap = boost::unordered_flat_map<SharedName, NodeId, NameHash, NameEqual>;

/// What Scan knows of a folder whose files are opened one after the other.
struct FolderScan {
  struct Entry {
    std::uint64_t inode = 0;
    NodeId node{};
  };
  std::vector<Entry> order;       ///< as a listing shows them: by inode; as of `order_of`
  std::uint64_t order_of = 0;     ///< Folder::changed_at then
  bool is_ordered = false;        ///< the order was made since the folder was listed
  std::size_t files = 0;          ///< regular files among them
  std::size_t next_expected = 0;  ///< position of the file that is opened next if this is a scan
  std::uint32_t in_order = 0;     ///< files opened in order, one after the other
  std::size_t next_ahead = 0;     ///< position of the first file that is not fetched ahead
  // For those who read most of a folder, in an order of their own.
  std::size_t opened = 0;        ///< files opened, in any order
  std::size_t fetched = 0;       ///< files fetched ahead because of that
  std::size_t next_fetched = 0;  ///< position of the first that is not
};

struct Folder {
  EntryMap entries;
  bool is_complete = false;
  /// Names that the kernel may know are not in `entries`, or were not for a while.
  bool has_gaps = false;
  bool is_listing = false;   ///< a listing is under way; `waiters` wait for its end
  bool was_read = false;     ///< a program has listed it: a walk may follow
  std::uint32_t misses = 0;  ///< lookups that had to go to the server
  /// Folders right below it that were listed because of such lookups.
  std::uint32_t listed_for_misses = 0;
  /// ClientState::folder_changes at the last change of entries.
  std::uint64_t changed_at = 0;
  std::vector<std::move_only_function<void()>> waiters;
  /// Its place in the order of use; nothing: it has no entries. See NodeCache::touch().
  std::optional<std::list<NodeId>::iterator> used;

  FolderScan scan;
};

/// One line of a listing as a program reads it.
struct SnapshotEntry {
  std::string name;
  NodeId node{};
  InodeNumber inode{};
  std::uint32_t mode = 0;
};

/// A listing as it was when the program opened or rewound it: offsets are indices and stay good.
struct FolderSnapshot {
  NodeId folder{};
  NodeId parent{};
  std::uint64_t taken_at = 0;  ///< ClientState::folder_changes then
  std::vector<SnapshotEntry> entries;
};

}  // namespace homefs
