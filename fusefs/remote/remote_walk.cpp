#include "fusefs/remote/remote_walk.h"

#include <deque>
#include <unordered_map>
#include <utility>

#include "protocol/limits.h"

namespace homefs {
namespace {

// A page of the folder itself, and what may come with it of the folders below it.
constexpr std::uint32_t kPageBytes = 512 * 1024;
constexpr std::uint32_t kBelowBytes = 1024 * 1024;
// Answers under way: each up to 1 MiB.
constexpr std::size_t kAheadMax = 16;
// How often one listing is begun again because the server has forgotten how far it was.
constexpr int kListingRestartsMax = 8;

class Walk {
 public:
  Walk(RemoteClient& client, const WalkOptions& options, WalkedTree& tree)
      : client_(client), options_(options), tree_(tree) {}

  Result<> run() {
    wait_for(tree_.root, "");
    while (true) {
      while (!frontier_.empty() && asked_.size() < kAheadMax) ask_next();
      if (asked_.empty()) return {};
      Asked next = std::move(asked_.front());
      asked_.pop_front();
      Result<ListReply> reply = next.answer.get();
      if (!reply || reply->folders.empty()) {
        const Error error =
            reply ? Error{Status::kProtocolError, "an empty listing"} : reply.error();
        if (next.folder == &tree_.root) return std::unexpected(error);
        note(*next.folder, error);
        continue;
      }
      take(next, std::move(*reply));
    }
  }

 private:
  struct Asked {
    TreeEntry* folder;
    Answer<ListReply> answer;
  };
  struct Unlisted {
    TreeEntry* folder;
    std::string path;  // with "/" behind it; empty for the root
  };

  void wait_for(TreeEntry& folder, std::string path) {
    folder.is_complete = false;
    unlisted_[folder.attributes.inode] = {&folder, std::move(path)};
    frontier_.push_back(&folder);
  }

  void ask_next() {
    TreeEntry* folder = frontier_.front();
    frontier_.pop_front();
    // It may have come with another answer since.
    if (!unlisted_.contains(folder->attributes.inode)) return;
    asked_.push_back({folder, client_.list(request_for(*folder, 0))});
  }

  [[nodiscard]] ListRequest request_for(const TreeEntry& folder, std::uint64_t cursor) const {
    return {.folder = folder.node,
            .cursor = cursor,
            .bytes_max = kPageBytes,
            .bytes_below = options_.is_recursive ? kBelowBytes : 0};
  }

  void take(const Asked& asked, ListReply reply) {
    ListedFolder& first = reply.folders.front();
    TreeEntry& folder = *asked.folder;
    if (first.next_cursor != 0) {
      if (const Result<> rest = list_rest(folder, first); !rest) return note(folder, rest.error());
    }
    if (const auto found = unlisted_.find(folder.attributes.inode); found != unlisted_.end()) {
      install(first, found->second);
    }
    for (std::size_t i = 1; i < reply.folders.size(); ++i) {
      const auto found = unlisted_.find(reply.folders[i].folder.inode);
      const bool is_whole = reply.folders[i].next_cursor == 0;
      if (is_whole && found != unlisted_.end()) install(reply.folders[i], found->second);
    }
  }

  // From the beginning, if the server has been restarted and has forgotten how far it was.
  Result<> list_rest(const TreeEntry& folder, ListedFolder& listed) {
    int restarts = 0;
    while (listed.next_cursor != 0) {
      auto page = client_.list(request_for(folder, listed.next_cursor)).get();
      if (!page && page.error().status == Status::kStale && restarts++ < kListingRestartsMax) {
        listed.entries.clear();
        page = client_.list(request_for(folder, 0)).get();
      }
      if (!page) return std::unexpected(page.error());
      if (page->folders.empty()) return fail(Status::kProtocolError, "an empty listing");
      ListedFolder& more = page->folders.front();
      listed.next_cursor = more.next_cursor;
      std::move(more.entries.begin(), more.entries.end(), std::back_inserter(listed.entries));
    }
    return {};
  }

  void install(ListedFolder& listed, Unlisted place) {
    unlisted_.erase(place.folder->attributes.inode);
    TreeEntry& folder = *place.folder;
    folder.attributes = listed.folder;
    folder.is_complete = true;
    folder.children.clear();
    folder.children.reserve(listed.entries.size());
    for (ListedEntry& entry : listed.entries) {
      const bool is_folder = S_ISDIR(entry.attributes.mode);
      if (!Name::make(entry.name)) continue;  // a server that lies: it cannot be asked for
      if (options_.wants && !options_.wants(place.path + entry.name, is_folder)) continue;
      folder.children.push_back({.name = std::move(entry.name),
                                 .attributes = entry.attributes,
                                 .target = std::move(entry.target)});
    }
    folder.sort_children();
    for (TreeEntry& child : folder.children) {
      if (!child.is_folder()) continue;
      child.node = client_.number_for({folder.node, child.name}, child.attributes);
      if (options_.is_recursive) wait_for(child, place.path + child.name + "/");
    }
  }

  void note(TreeEntry& folder, const Error& error) {
    const auto found = unlisted_.find(folder.attributes.inode);
    if (found == unlisted_.end()) return;
    tree_.problems.push_back({found->second.path, error});
    unlisted_.erase(found);
  }

  RemoteClient& client_;
  const WalkOptions& options_;
  WalkedTree& tree_;
  std::unordered_map<InodeNumber, Unlisted> unlisted_;
  // Folders that no request under way has above it: their subtrees have nothing in common.
  std::deque<TreeEntry*> frontier_;
  std::deque<Asked> asked_;
};

}  // namespace

Result<WalkedTree> walk_remote(RemoteClient& client, const RemoteNode& folder,
                               const WalkOptions& options) {
  if (!S_ISDIR(folder.attributes.mode)) return fail(Status::kNotDirectory);
  WalkedTree tree;
  tree.root.attributes = folder.attributes;
  tree.root.node = folder.id;
  if (const Result<> walked = Walk(client, options, tree).run(); !walked) {
    return std::unexpected(walked.error());
  }
  return tree;
}

}  // namespace homefs
