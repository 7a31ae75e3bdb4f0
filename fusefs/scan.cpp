#include "fusefs/scan.h"

#include <algorithm>

namespace homefs {
namespace {

// Files that a scan may leave out (an editor's backup, a suffix that grep excludes).
constexpr std::size_t kSkippedMax = 8;
// One file in order may be chance; the second says that it is a scan.
constexpr std::uint32_t kInOrderMin = 2;
// So many in any order say that most of the folder may be read.
constexpr std::size_t kOpenedMin = 8;
// The next window is planned while so many files of the last are still to be read.
constexpr std::size_t kUnreadMin = Scan::kWindowFiles / 2;
// Folders listed after a scanned file that continue the scan, unless a file of them is opened
// meanwhile: a scan goes on in the next folder, but a mere walk reads no files.
constexpr int kFoldersCredit = 4;
// How far the plan runs ahead of the walk where there is nothing to fetch, in folders, and how many
// entries it looks at for the next one: this is done with the state's lock held.
constexpr std::size_t kFoldersAheadMax = 128;
constexpr std::size_t kEntriesLookedAt = 512;

// Makes the order of the listing, unless it is there. It may be older than the last changes: to
// sort a large folder at every change, for programs that read and write in it, would cost too much.
void sort(NodeCache& nodes, Folder& folder) {
  FolderScan& scan = folder.scan;
  if (scan.is_ordered) return;
  scan = {.order_of = folder.changed_at, .is_ordered = true};
  scan.order.reserve(folder.entries.size());
  for (const auto& [name, id] : folder.entries) {
    const Node* node = nodes.find(id);
    if (node == nullptr) continue;
    scan.order.push_back({number_of(node->attributes.inode), id});
    if (node->is_regular()) ++scan.files;
  }
  std::ranges::sort(scan.order, {}, &FolderScan::Entry::inode);
}

// Where the inode is in the order, or would be.
std::size_t position_of(NodeCache& nodes, Folder& folder, InodeNumber inode) {
  sort(nodes, folder);
  const auto& order = folder.scan.order;
  const auto found =
      std::ranges::lower_bound(order, number_of(inode), {}, &FolderScan::Entry::inode);
  return static_cast<std::size_t>(found - order.begin());
}

void begin(NodeCache& nodes, Folder& folder, std::uint32_t in_order) {
  sort(nodes, folder);
  folder.scan.in_order = in_order;
  folder.scan.next_expected = 0;
  folder.scan.next_ahead = 0;
}

// Counts the file at `position` as opened in order, or starts to count again.
void note_opened(FolderScan& scan, std::size_t position) {
  const bool is_in_order =
      position >= scan.next_expected && position <= scan.next_expected + kSkippedMax;
  scan.in_order = is_in_order ? std::min(scan.in_order + 1, kInOrderMin) : position == 0 ? 1 : 0;
  scan.next_expected = position + 1;
  if (is_in_order) scan.next_ahead = std::max(scan.next_ahead, position);
  ++scan.opened;
}

bool is_read_in_any_order(const FolderScan& scan) {
  return scan.opened >= kOpenedMin && 2 * scan.opened >= scan.fetched;
}

bool is_worth_fetching(const Node& node) {
  if (!node.is_regular() || !node.has_attributes || node.is_dirty()) return false;
  const std::uint64_t size = node.attributes.size;
  const bool kernel_has_it = node.kernel_version == node.attributes.version;
  if (size == 0 || size > ReadCache::kWholeFileBytes || kernel_has_it) return false;
  return node.data == nullptr || node.data->reads.is_empty();
}

}  // namespace

std::vector<NodeId> Scan::opened(NodeCache& nodes, const Node& file) {
  const bool is_missed = is_worth_fetching(file);  // it was not foreseen
  if (is_missed) {
    unread_ = 0;
  } else if (unread_ > 0) {
    --unread_;
  }
  Node* parent = nodes.find(file.parent);
  if (parent == nullptr || parent->folder == nullptr || !parent->folder->is_complete) return {};
  const std::size_t position = position_of(nodes, *parent->folder, file.attributes.inode);
  FolderScan& scan = parent->folder->scan;
  note_opened(scan, position);
  const bool is_scan = scan.in_order == kInOrderMin;
  if (is_scan || (scan.files == 1 && scan.in_order > 0)) {
    credit_ = kFoldersCredit;
    in_order_ = scan.in_order;
  }
  if (is_scan) return plan(nodes, *parent);
  if (is_missed && is_read_in_any_order(scan)) return plan_rest(nodes, *parent->folder);
  return {};
}

std::vector<NodeId> Scan::listed(NodeCache& nodes, Node& folder) {
  FolderScan& scan = folder.folder->scan;
  if (scan.order_of != folder.folder->changed_at) scan.is_ordered = false;
  if (credit_ == 0 || !folder.folder->is_complete) return {};
  --credit_;
  const auto planned = std::ranges::find(planned_for_, folder.id);
  if (planned == planned_for_.end()) {
    planned_for_.clear();
    begin(nodes, *folder.folder, in_order_);
    unread_ = 0;
  } else {
    planned_for_.erase(planned_for_.begin(), std::next(planned));
  }
  return in_order_ == kInOrderMin ? plan(nodes, folder) : std::vector<NodeId>();
}

std::vector<NodeId> Scan::plan(NodeCache& nodes, Node& current) {
  if (unread_ >= kUnreadMin) return {};
  Node* folder = &current;
  const FolderScan& scan = current.folder->scan;
  if (scan.next_ahead == scan.order.size() && !planned_for_.empty()) {
    Node* last = nodes.find(planned_for_.back());
    if (last != nullptr && last->folder != nullptr && last->folder->is_complete) folder = last;
  }
  Window window;
  while (add_files(nodes, *folder->folder, folder->folder->scan.next_ahead, window) &&
         planned_for_.size() < kFoldersAheadMax) {
    folder = next_folder(nodes, *folder);
    if (folder == nullptr) break;
    begin(nodes, *folder->folder, kInOrderMin);
    planned_for_.push_back(folder->id);
  }
  unread_ += window.files.size();
  return std::move(window.files);
}

// Not counted as unread: whether they are is seen by how many are opened.
std::vector<NodeId> Scan::plan_rest(NodeCache& nodes, Folder& folder) {
  Window window;
  (void)add_files(nodes, folder, folder.scan.next_fetched, window);
  folder.scan.fetched += window.files.size();
  return std::move(window.files);
}

bool Scan::add_files(NodeCache& nodes, Folder& folder, std::size_t& next, Window& window) {
  sort(nodes, folder);
  for (; next < folder.scan.order.size(); ++next) {
    const Node* node = nodes.find(folder.scan.order[next].node);
    if (node == nullptr || !is_worth_fetching(*node)) continue;
    // Other names of a file lead to the same node, here or in another folder.
    const bool may_be_there = node->attributes.links > 1;
    if (may_be_there && std::ranges::find(window.files, node->id) != window.files.end()) continue;
    const std::uint64_t size = node->attributes.size;
    const bool fits = window.bytes + size <= kWindowBytes || window.files.empty();
    if (window.files.size() == kWindowFiles || !fits) return false;
    window.files.push_back(node->id);
    window.bytes += size;
  }
  return true;
}

Node* Scan::next_folder(NodeCache& nodes, Node& folder) {
  std::size_t looked_at = 0;
  std::size_t position = 0;
  Node* parent = &folder;
  while (true) {
    sort(nodes, *parent->folder);
    const auto& order = parent->folder->scan.order;
    for (; position < order.size(); ++position) {
      if (++looked_at > kEntriesLookedAt) return nullptr;
      Node* child = nodes.find(order[position].node);
      if (child == nullptr || child->folder == nullptr) continue;
      return child->folder->is_complete ? child : nullptr;
    }
    // On with what comes after it in the folder above, if that is what was walked.
    // What was heard of parents need not fit together: they may be a circle.
    if (parent->is_misplaced || ++looked_at > kEntriesLookedAt) return nullptr;
    const InodeNumber inode = parent->attributes.inode;
    Node* above = parent->id == kRootNode ? nullptr : nodes.find(parent->parent);
    const bool is_walked = above != nullptr && above->folder != nullptr && above->folder->was_read;
    if (!is_walked || !above->folder->is_complete) return nullptr;
    parent = above;
    position = position_of(nodes, *parent->folder, inode) + 1;
  }
}

}  // namespace homefs
