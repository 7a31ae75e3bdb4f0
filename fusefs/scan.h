// Scan: recognizes a program that opens files one after the other in the order of the listings,
// folder after folder (grep -r, tar, cp -r), and says which small files it will open next.
//
// In a folder the second file opened in order makes it a scan; in a tree of folders with one file
// each, the file of the second folder. From then on a window of small files is fetched ahead, in
// the order of a walk, through every folder whose listing is known: how small the folders are makes
// no difference. When half of the window was opened the next one is planned. Not everything that is
// listed is read (find after grep): a walk without opened files ends a scan after a few folders.
//
// Many programs read a folder in an order of their own (a shell's `*` is sorted by name). When some
// files of a folder were opened, a window of its others is fetched, and the next one when as many
// were opened as half of all that were fetched so.
//
// Pure state: it fetches nothing itself. Owner: ClientState. Executor: whoever holds the state's
// lock. Blocks: never.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "fusefs/node_cache.h"

namespace homefs {

class Scan {
 public:
  /// A window: so many files, of so many bytes in all. One request.
  static constexpr std::size_t kWindowFiles = 64;
  static constexpr std::uint64_t kWindowBytes = 768 * 1024;

  /// A program opens the file to read it. Returns the files to be fetched now.
  std::vector<NodeId> opened(NodeCache& nodes, const Node& file);
  /// A program lists the folder. Returns the files to be fetched now.
  std::vector<NodeId> listed(NodeCache& nodes, Node& folder);

 private:
  struct Window {
    std::vector<NodeId> files;
    std::uint64_t bytes = 0;
  };
  std::vector<NodeId> plan(NodeCache& nodes, Node& current);
  static std::vector<NodeId> plan_rest(NodeCache& nodes, Folder& folder);
  // Adds the folder's files from position `next` on, and moves it; false when the window is full.
  static bool add_files(NodeCache& nodes, Folder& folder, std::size_t& next, Window& window);
  // The folder that a walk lists after this one: null when it is not known.
  static Node* next_folder(NodeCache& nodes, Node& folder);

  int credit_ = 0;                  // folders that may be listed until a file must be opened
  std::uint32_t in_order_ = 0;      // files opened in order in the last folder, at most kInOrderMin
  std::size_t unread_ = 0;          // files that were asked for and not opened yet
  std::deque<NodeId> planned_for_;  // folders that the plan has reached and the walk has not
};

}  // namespace homefs
