// Listings: fetched whole, kept as long as they are true, read from a snapshot.
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "fusefs/file_system.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

// One page of a listing. A folder of 5,000 entries takes two.
constexpr std::uint32_t kPageBytes = 512 * 1024;
// What a walk asks for beside the folder it is in: 64 KiB is about 500 entries below.
constexpr std::uint32_t kBelowBytes = 64 * 1024;
// Sibling folders that a walk lists ahead, together: at a long round trip they come in one.
constexpr std::size_t kSiblingsAhead = 24;
// A listing that another change has overtaken is taken again, but a folder in which files come and
// go all the time is served as it was read, and not kept.
constexpr int kListingAttempts = 3;
// How often one listing is begun again because the server has forgotten how far it was.
constexpr int kListingRestartsMax = 8;

// The listing was not read to its end before the server was restarted, or made room.
bool has_lost_cursor(const Result<ListReply>& page, const ListRequest& request) {
  return !page && page.error().status == Status::kStale && request.cursor != 0;
}

}  // namespace

bool FileSystem::begin_listing(NodeId id, ListingStart& start) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr || node->folder == nullptr || node->folder->is_complete ||
      node->folder->is_listing) {
    return false;
  }
  node->folder->is_listing = true;
  start = {state->folder_changes, state->coherence};
  return true;
}

void FileSystem::end_listing(NodeId id) {
  WakeList wake;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr || node->folder == nullptr) return;
    node->folder->is_listing = false;
    for (auto& waiter : node->folder->waiters) wake.push_back(std::move(waiter));
    node->folder->waiters.clear();
    drop_if_forgotten(*state, *node);
  }
  wake_all(std::move(wake));
}

Task<Result<ListReply>> FileSystem::list_all_pages(NodeId id, std::uint32_t bytes_below) {
  ListRequest request{.folder = id, .bytes_max = kPageBytes, .bytes_below = bytes_below};
  ListReply whole;
  int restarts = 0;
  do {
    Call call = make_call(Op::kList, {id}, request);
    Result<ListReply> page = co_await ask<ListReply>(std::move(call));
    if (has_lost_cursor(page, request) && restarts++ < kListingRestartsMax) {
      request.cursor = 0;
      whole = {};
      Call again = make_call(Op::kList, {id}, request);
      page = co_await ask<ListReply>(std::move(again));
    }
    if (!page) co_return std::unexpected(page.error());
    if (page->folders.empty()) co_return fail(Status::kProtocolError, "listing without a folder");
    request.cursor = page->folders.front().next_cursor;
    if (whole.folders.empty()) {
      whole = std::move(*page);
    } else {
      ListedFolder& first = whole.folders.front();
      ListedFolder& more = page->folders.front();
      std::move(more.entries.begin(), more.entries.end(), std::back_inserter(first.entries));
    }
  } while (request.cursor != 0);
  whole.folders.front().next_cursor = 0;
  co_return whole;
}

Task<Result<>> FileSystem::list(NodeId id, std::uint32_t bytes_below) {
  ListingStart start;
  if (!begin_listing(id, start)) {
    co_await listing_end(id);
    co_return Result<>();
  }
  Result<ListReply> reply = co_await list_all_pages(id, bytes_below);
  if (reply) {
    install(reply->folders.front(), id, start);
    for (std::size_t i = 1; i < reply->folders.size(); ++i) {
      install_below(reply->folders[i], start);
    }
  }
  end_listing(id);
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<>();
}

// ---- The bound on what is cached ---------------------------------------------------------------

// Gives up what the folder's entries say. Those that are in use stay, as does a subfolder that is
// known: its turn comes by itself. `told` gets the names that the kernel is to give up too.
void FileSystem::give_up(ClientState& state, Node& node,
                         std::vector<std::pair<NodeId, std::string>>& told) {
  Folder& folder = *node.folder;
  folder.is_complete = false;
  folder.has_gaps = true;
  folder.changed_at = ++state.folder_changes;
  const EntryMap entries = std::exchange(folder.entries, {});
  for (const auto& [name, id] : entries) {
    Node* child = state.nodes.find(id);
    const bool is_known_folder =
        child->folder != nullptr && (child->lookups > 0 || !child->folder->entries.empty());
    if (is_known_folder || child->opens > 0 || child->is_dirty()) {
      folder.entries.emplace(name, id);
      continue;
    }
    if (child->lookups > 0) told.emplace_back(node.id, name.text());
    --child->names;
    state.nodes.remove_if_unused(id);
  }
  if (folder.entries.empty()) {
    state.nodes.no_entries(node);
  } else {
    state.nodes.touch(node);
  }
}

void FileSystem::trim_names() {
  std::vector<std::pair<NodeId, std::string>> told;
  // An eighth is given up at a time, so that this is rare; what the kernel holds on to goes later.
  const std::size_t enough = options_.names_max - options_.names_max / 8;
  std::size_t folders = 0;  // to be looked at, each once
  {
    auto state = state_.lock();
    const std::size_t count = state->nodes.size();
    if (count <= options_.names_max) state->trim_above = options_.names_max;
    if (count <= state->trim_above) return;
    folders = state->nodes.folders_with_entries();
  }
  while (true) {
    auto state = state_.lock();  // for one folder
    const std::size_t count = state->nodes.size();
    Node* folder = state->nodes.least_used_folder();
    if (count <= enough || folder == nullptr || folders-- == 0) {
      // Not to be tried in vain at every name.
      state->trim_above = std::max(options_.names_max, count + options_.names_max / 16);
      break;
    }
    if (folder->folder->is_listing) {
      state->nodes.touch(*folder);
    } else {
      give_up(*state, *folder, told);
    }
  }
  for (auto& [parent, name] : told) notifier_->invalidate_entry(parent, std::move(name));
  send_forgets(/*at_once=*/false);
}

Task<> FileSystem::list_ahead(NodeId folder, std::uint32_t bytes_below) {
  (void)co_await list(folder, bytes_below);  // a failure shows when somebody asks for it
}

Task<> FileSystem::listing_end(NodeId id) {
  Completion<bool> waiting([this, id](Completion<bool>::Done done) {
    {
      auto state = state_.lock();
      Node* node = state->nodes.find(id);
      if (node != nullptr && node->folder != nullptr && node->folder->is_listing) {
        node->folder->waiters.push_back([done = std::move(done)]() mutable { done(true); });
        return;
      }
    }
    done(true);
  });
  (void)co_await waiting;
}

// A folder that was not asked for by itself: while the answer was under way it may have been
// forgotten, changed, and seen again.
void FileSystem::install_below(const ListedFolder& listed, const ListingStart& start) {
  if (listed.next_cursor != 0) return;
  NodeId id = kNoNode;
  {
    auto state = state_.lock();
    if (state->coherence != start.coherence) return;
    if (state->nodes.removed_folder_changed_at() > start.folder_changes) return;
    const Node* node = state->nodes.find(listed.folder);
    if (node == nullptr || node->folder == nullptr || node->folder->is_complete) return;
    id = node->id;
  }
  install(listed, id, start);
}

void FileSystem::install(const ListedFolder& listed, NodeId id, const ListingStart& start) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr || node->folder == nullptr) return;
  if (node->folder->changed_at > start.folder_changes) return;
  if (id != kRootNode && NodeCache::is_another_inode(*node, listed.folder)) return;
  NodeCache::update(*node, listed.folder);
  EntryMap old = std::exchange(node->folder->entries, {});
  node->folder->entries.reserve(listed.entries.size());
  for (const ListedEntry& entry : listed.entries) {
    if (!Name::make(entry.name)) continue;  // a server that lies: such a name cannot be asked for
    Node& child = state->nodes.see(entry.attributes, id, entry.name);
    state->nodes.learn_target(child, entry.target);
    SharedName name = shared_name(child, *node, entry.name);
    if (node->folder->entries.emplace(std::move(name), child.id).second) ++child.names;
  }
  node->folder->is_complete = true;
  node->folder->has_gaps = false;
  if (!node->folder->entries.empty()) state->nodes.touch(*node);
  for (const auto& [name, child] : old) {
    if (Node* entry = state->nodes.find(child)) --entry->names;
    state->nodes.remove_if_unused(child);
  }
}

std::vector<NodeId> FileSystem::walk_ahead(NodeId id) {
  std::vector<NodeId> ahead;
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr || node->folder == nullptr) return ahead;
  node->folder->was_read = true;
  Node* parent = id == kRootNode ? nullptr : state->nodes.find(node->parent);
  if (parent == nullptr || !parent->folder->was_read) return ahead;
  ahead.push_back(id);  // marks that a walk is under way
  add_unlisted_siblings(*state, *node, kSiblingsAhead, std::numeric_limits<std::uint64_t>::max(),
                        ahead);
  return ahead;
}

// Up to `count_max` folders beside `node` of which not everything is known, none larger than
// `size_max`.
void FileSystem::add_unlisted_siblings(ClientState& state, const Node& node, std::size_t count_max,
                                       std::uint64_t size_max, std::vector<NodeId>& ahead) {
  Node* parent = node.id == kRootNode ? nullptr : state.nodes.find(node.parent);
  if (parent == nullptr || parent->folder == nullptr) return;
  const std::size_t enough = ahead.size() + count_max;
  for (const auto& [name, sibling_id] : parent->folder->entries) {
    if (ahead.size() == enough) break;
    const Node* sibling = state.nodes.find(sibling_id);
    if (sibling_id == node.id || sibling->folder == nullptr) continue;
    const Folder& folder = *sibling->folder;
    const bool is_known = folder.is_complete || folder.is_listing;
    if (!is_known && sibling->attributes.size <= size_max) ahead.push_back(sibling_id);
  }
}

FileSystem::Listing FileSystem::snapshot(NodeId id) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr || node->folder == nullptr || !node->folder->is_complete) return nullptr;
  if (node->folder->used) state->nodes.touch(*node);
  auto made = std::make_shared<FolderSnapshot>();
  made->folder = id;
  made->parent = id == kRootNode ? id : node->parent;
  made->taken_at = state->folder_changes;
  made->entries.reserve(node->folder->entries.size());
  for (const auto& [name, child_id] : node->folder->entries) {
    const Node* child = state->nodes.find(child_id);
    made->entries.push_back(
        {name.text(), child_id, child->attributes.inode, child->attributes.mode});
  }
  // The order of the inodes: the server's disk is read forwards, and programs that sort by inode
  // (tar, cp) then open the files in the order in which they are read ahead. Links to one file by
  // their names: the kernel goes on in one listing where it has stopped in another of the same.
  std::ranges::sort(made->entries, {}, [](const SnapshotEntry& e) {
    return std::pair(number_of(e.inode), std::string_view(e.name));
  });
  return made;
}

// What ".." of the folder is.
NodeId FileSystem::parent_of(NodeId id) {
  auto state = state_.lock();
  const Node* node = id == kRootNode ? nullptr : state->nodes.find(id);
  return node == nullptr ? id : node->parent;
}

Task<Result<FileSystem::Listing>> FileSystem::listing_of(NodeId id, std::uint32_t bytes_below) {
  Listing listing = snapshot(id);
  for (int attempt = 0; listing == nullptr && attempt < kListingAttempts; ++attempt) {
    Result<> listed = co_await list(id, bytes_below);
    if (!listed) co_return std::unexpected(listed.error());
    listing = snapshot(id);
  }
  if (listing != nullptr) co_return listing;
  const std::uint64_t taken_at = state_.lock()->folder_changes;
  Result<ListReply> reply = co_await list_all_pages(id, 0);
  if (!reply) co_return std::unexpected(reply.error());
  auto made = std::make_shared<FolderSnapshot>();
  made->folder = id;
  made->parent = parent_of(id);
  made->taken_at = taken_at;
  for (const ListedEntry& entry : reply->folders.front().entries) {
    made->entries.push_back({entry.name, kNoNode, entry.attributes.inode, entry.attributes.mode});
  }
  co_return Listing(std::move(made));
}

Task<> FileSystem::list_for(std::shared_ptr<FolderOpening> opening, NodeId id,
                            std::uint32_t bytes_below) {
  Result<Listing> listing = co_await listing_of(id, bytes_below);
  std::move_only_function<void()> wake;
  {
    auto state = state_.lock();
    opening->listing = std::move(listing);
    opening->is_listed = true;
    wake = std::exchange(opening->wake, nullptr);
  }
  if (wake) wake();
}

// Null for the top folder when the server is away, or silent for a while: who reads the listing
// waits for it then, but df(1), which opens what it is asked about, gets its answer. Other openings
// wait: a program that was interrupted has to hear of it here, as its signal does not come again.
Task<Result<FileSystem::Listing>> FileSystem::listing_to_open(NodeId id,
                                                              std::uint32_t bytes_below) {
  auto opening = std::make_shared<FolderOpening>();
  opening->since = std::chrono::steady_clock::now();
  background_.spawn(list_for(opening, id, bytes_below));
  const bool may_be_late = id == kRootNode;
  const bool is_away = may_be_late && !link_->is_connected();
  Completion<bool> waiting([&](Completion<bool>::Done done) {
    {
      auto state = state_.lock();
      if (!opening->is_listed && !is_away) {
        opening->wake = [done = std::move(done)]() mutable { done(true); };
        if (may_be_late) state->openings.push_back(opening);
        return;
      }
    }
    done(true);
  });
  (void)co_await waiting;
  auto state = state_.lock();
  if (!opening->is_listed) co_return Listing();
  co_return std::move(opening->listing);
}

void FileSystem::end_late_openings() {
  const auto limit = std::chrono::steady_clock::now() - kStatfsPatience;
  WakeList late;
  {
    auto state = state_.lock();
    auto& openings = state->openings;
    while (!openings.empty() && (openings.front()->is_listed || openings.front()->since <= limit)) {
      if (openings.front()->wake) late.push_back(std::exchange(openings.front()->wake, nullptr));
      openings.pop_front();
    }
  }
  wake_all(std::move(late));
}

Task<Result<FolderOut>> FileSystem::open_folder(NodeId id) {
  const std::vector<NodeId> walk = walk_ahead(id);
  Listing listing = snapshot(id);
  if (listing == nullptr) {
    const std::uint32_t below = walk.empty() ? 0 : kBelowBytes;
    for (std::size_t i = 1; i < walk.size(); ++i) background_.spawn(list_ahead(walk[i], below));
    Result<Listing> listed = co_await listing_to_open(id, below);
    if (!listed) co_return std::unexpected(listed.error());
    listing = std::move(*listed);
  }
  trim_names();
  if (must_be_bound(id)) background_.spawn(bind(std::vector<NodeId>(1, id)));
  std::vector<SmallFile> files;
  FolderOut out;
  {
    auto state = state_.lock();
    out.handle = state->next_handle++;
    out.may_cache = !state->is_shared && listing != nullptr;
    Node* node = state->nodes.find(id);
    if (node != nullptr && node->folder != nullptr && listing != nullptr) {
      out.keep_cache =
          out.may_cache && node->has_attributes && node->kernel_version == node->attributes.version;
      node->kernel_version = node->attributes.version;
      files = begin_fetches(*state, state->scan.listed(state->nodes, *node));
    }
    state->folders.emplace(out.handle, OpenFolder{.node = id, .listing = std::move(listing)});
  }
  if (!files.empty()) fetch_small_files(std::move(files));
  co_return out;
}

Task<Result<>> FileSystem::rewind_folder(std::uint64_t handle, std::uint64_t offset) {
  NodeId id{};
  {
    auto state = state_.lock();
    const auto found = state->folders.find(handle);
    if (found == state->folders.end()) co_return fail(Status::kInvalid);
    OpenFolder& open = found->second;
    id = open.node;
    if (open.listing != nullptr) {
      if (offset != 0) co_return Result<>();
      // Read before by way of the kernel's copy: that is gone when the folder has changed.
      const Node* node = state->nodes.find(id);
      const bool has_changed = node != nullptr && node->folder != nullptr &&
                               node->folder->changed_at > open.listing->taken_at;
      if (!std::exchange(open.was_read, true) && !has_changed) co_return Result<>();
    }
    open.was_read = true;
  }
  Result<Listing> listing = co_await listing_of(id, 0);
  if (!listing) co_return std::unexpected(listing.error());
  auto state = state_.lock();
  const auto found = state->folders.find(handle);
  if (found == state->folders.end()) co_return fail(Status::kInvalid);  // closed meanwhile
  found->second.listing = std::move(*listing);
  co_return Result<>();
}

Result<> FileSystem::read_folder(std::uint64_t handle, std::uint64_t offset, bool with_lookup,
                                 const Show& show) {
  auto state = state_.lock();
  const auto found = state->folders.find(handle);
  if (found == state->folders.end() || !found->second.listing) return fail(Status::kInvalid);
  const FolderSnapshot& listing = *found->second.listing;
  for (; offset < 2; ++offset) {
    const Node* node = state->nodes.find(offset == 0 ? listing.folder : listing.parent);
    const InodeNumber inode = node == nullptr ? InodeNumber{1} : node->attributes.inode;
    const SnapshotEntry dot{offset == 0 ? "." : "..", kNoNode, inode, S_IFDIR};
    if (!show(dot, EntryOut{}, offset + 1)) return {};
  }
  const Node* folder = state->nodes.find(listing.folder);
  for (; offset - 2 < listing.entries.size(); ++offset) {
    const SnapshotEntry& entry = listing.entries[offset - 2];
    Node* node = state->nodes.find(entry.node);
    // The name may have gone since, or lead elsewhere, though the file is there under another one:
    // the kernel is told the name and the type, and asks if it cares.
    const bool is_there =
        node != nullptr && node->has_attributes && leads_to(folder, entry.name, entry.node);
    // Nor is it told of a new end while it may have the page of before: see getattr().
    const bool is_shown = is_there && with_lookup && !must_void_pages(*state, *node);
    const EntryOut out = is_shown ? entry_of(*state, *node, /*is_cached=*/true) : EntryOut{};
    if (!show(entry, out, offset + 1)) return {};
    if (out.node != kNoNode) ++node->lookups;
  }
  return {};
}

std::shared_ptr<const FolderSnapshot> FileSystem::listing_of(std::uint64_t handle) {
  auto state = state_.lock();
  const auto found = state->folders.find(handle);
  return found == state->folders.end() ? nullptr : found->second.listing;
}

void FileSystem::release_folder(std::uint64_t handle) { state_.lock()->folders.erase(handle); }

}  // namespace homefs
