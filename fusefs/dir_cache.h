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

class NodeCache;

struct Folder {
  EntryMap entries;
  bool is_complete = false;
  bool is_listing = false;   ///< a listing is under way; `waiters` wait for its end
  bool was_read = false;     ///< a program has listed it: a walk may follow
  std::uint32_t misses = 0;  ///< lookups that had to go to the server
  /// ClientState::folder_changes at the last change of entries.
  std::uint64_t changed_at = 0;
  std::vector<std::move_only_function<void()>> waiters;
  /// Its place in the order of use; nothing: it has no entries. See NodeCache::touch().
  std::optional<std::list<NodeId>::iterator> used;

  // Reading ahead over the files, in the order of a listing (by inode).
  std::vector<NodeId> order;
  std::uint64_t order_of = ~std::uint64_t{0};  ///< `changed_at` when `order` was made
  std::size_t last_opened = 0;                 ///< position in `order`
  std::uint32_t opened_in_order = 0;           ///< how many, one after the other
  std::size_t next_ahead = 0;                  ///< position of the first file not read ahead

  /// Makes the order anew if the entries have changed.
  void sort(NodeCache& nodes);
  /// The place of `inode` in the order of the listing, which is made anew when it has changed.
  std::size_t position_of(InodeNumber inode, NodeCache& nodes);
  /// Notes that the file at `position` was opened; true when the files are opened one after the
  /// other, and it is time to fetch more from next_ahead on.
  bool is_scan(std::size_t position);
  /// A scan of other folders goes on here, with the first file.
  void begin_scan(NodeCache& nodes);
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
