// Coherence: what the server says unasked, applied to the caches. The acknowledgement means that
// our caches obey and that the kernel gives nothing of before to a program any more: it waits for
// the kernel where that may have kept it, which is at the begin of sharing, where a file is open
// that has changed, and as long as the kernel has not been told that everything is void.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "fusefs/file_system.h"

namespace homefs {
namespace {

// Whether the name leads to a file that the kernel holds on to. It would do so for as long as it
// likes, as nobody asks for the name again, and the server would keep the bytes of a removed file
// for us.
bool is_held_file(ClientState& state, const Folder& folder, std::string_view name) {
  const auto found = folder.entries.find(name);
  const Node* node = found == folder.entries.end() ? nullptr : state.nodes.find(found->second);
  return node != nullptr && node->lookups > 0 && !node->is_folder();
}

// Whether mappings of the open file reach further than the kernel knows.
bool has_more_pages(const Node& node, std::uint64_t new_size) {
  constexpr std::uint64_t kPageBytes = 4096;
  const auto pages = [](std::uint64_t size) { return (size + kPageBytes - 1) / kPageBytes; };
  return pages(new_size) > pages(node.attributes.size);
}

// While the kernel changes the size of a file, it cannot write the file's pages back, and telling
// it to drop them would wait for that; which may wait for us, by way of another mount that is just
// doing the same.
bool is_told_later(Node& node) {
  if (node.data == nullptr || node.data->resizing == 0) return false;
  node.data->is_void_after = true;
  return true;
}

// Pages are on their way to the server, and nothing else. Who reads the file waits for them, with a
// page locked; the server may wait for another mount to answer for them, and that for us, if it is
// just doing the same. Without a lock nobody can tell which of the two comes first.
bool is_writing_pages(const Node& node) {
  return node.data != nullptr && node.data->writes.is_dirty() && node.data->writes.end() == 0;
}

std::vector<NodeId> mappable_nodes(const ClientState& state) {
  std::vector<NodeId> nodes;
  for (const auto& [node, handles] : state.mappable) nodes.push_back(node);
  return nodes;
}

}  // namespace

void FileSystem::on_mode(bool is_shared, std::move_only_function<void()> acknowledge) {
  std::vector<NodeId> known;
  bool is_open_known = true;
  bool is_news = false;
  {
    auto state = state_.lock();
    if (std::exchange(state->is_shared, is_shared) != is_shared) ++state->mode_changes;
    ++state->coherence;
    is_open_known = std::exchange(state->is_open_known, true);
    // After a break the server says again what is so.
    is_news = state->shared_since != state->mode_changes;
    if (is_shared && is_news) {
      state->nodes.for_each([&](const Node& node) {
        if (node.lookups > 0) known.push_back(node.id);
      });
    }
  }
  if (is_shared && is_news) {
    // From now on the kernel asks us each time; what it was allowed to keep is void.
    notifier_->invalidate_all_entries();
    for (const NodeId id : known) notifier_->invalidate_attributes(id);
  }
  if (is_shared) {
    background_.spawn(begin_sharing(is_news, std::move(acknowledge)));
  } else if (!is_open_known) {
    background_.spawn(make_open_known(std::move(acknowledge)));
  } else {
    acknowledge();
  }
}

// After a restart of the server, which keeps for us what others have removed meanwhile.
Task<> FileSystem::make_open_known(std::move_only_function<void()> acknowledge) {
  std::vector<NodeId> open = open_nodes(*state_.lock());
  co_await bind(std::move(open));
  acknowledge();
}

// What was written and stored is on the server, the server knows what is open, and the kernel,
// which could keep names and attributes until now, has been told of it.
// What is no news the kernel is not told again: who has got a lock since the break may be asking
// for the end of the file, and the kernel keeps no attributes that it asks for while a notice
// comes.
Task<> FileSystem::begin_sharing(bool is_news, std::move_only_function<void()> acknowledge) {
  const std::uint64_t mode_changes = state_.lock()->mode_changes;
  std::vector<NodeId> open = open_nodes(*state_.lock());
  co_await bind(std::move(open));
  if (is_news) {
    std::vector<NodeId> mappable = mappable_nodes(*state_.lock());
    for (const NodeId id : mappable) notifier_->invalidate_data(id);
    co_await kernel_told();
  }
  co_await drain_all();
  state_.lock()->shared_since = mode_changes;
  acknowledge();
}

void FileSystem::hear(ClientState& state, Node& node, const Change& change, std::uint64_t order,
                      Heard& heard) {
  if (change.has_data && node.opens > 0 && node.is_regular()) {
    FileData& data = data_of(state, node);
    if (has_more_pages(node, change.size)) {
      data.grown_size = change.size;
      data.grown_order = order;
      heard.grown.push_back(node.id);
    }
    ++data.changes;
    data.heard_at = std::chrono::steady_clock::now();
  }
  NodeCache::invalidate(node, order);
  node.has_no_xattrs = false;
  if (node.folder != nullptr && !change.name.empty()) {
    node.folder->is_complete = false;
    // While the home is ours alone the kernel keeps all names, also such as are not there.
    if (!state.is_shared || is_held_file(state, *node.folder, change.name)) {
      heard.names_gone.emplace_back(node.id, change.name);
    }
    name_gone(state, node, change.name, order);
    if (change.target != InodeNumber{}) {
      state.nodes.moved(change.target, node, change.name, order);
    }
  }
  if (node.folder != nullptr && change.name.empty() && change.has_data) {
    void_entries(state, node, order, heard.wake, heard.names_gone, heard.data_changed);
  }
  // A folder's data is the listing that the kernel has kept.
  if (change.has_data || node.folder != nullptr) {
    node.kernel_version = 0;
    if (node.data != nullptr) {
      std::ranges::move(node.data->reads.clear(), std::back_inserter(heard.wake));
    }
  }
  // What was stored before a time was set is written back as of before.
  if (!change.has_data && node.folder == nullptr && !is_mappable(state, node.id)) {
    // In a shared home the kernel keeps none, and a notice would only spoil answers on their way.
    if (!state.is_shared) heard.attributes_changed.push_back(node.id);
  } else if (!is_told_later(node)) {
    heard.data_changed.push_back(node.id);
    if (node.opens > 0 && node.is_regular()) {
      heard.dropped.emplace_back(node.id, node.data == nullptr ? 0 : node.data->page_uses);
    }
  }
  heard.is_open = heard.is_open || (node.opens > 0 && !node.is_folder() && !is_writing_pages(node));
}

void FileSystem::on_changed(ChangedEvent event, std::move_only_function<void()> acknowledge) {
  Heard heard;
  bool is_all = false;
  bool is_void_untold = false;
  {
    auto state = state_.lock();
    ++state->coherence;
    state->nodes.on_event(event.order);
    for (const Change& change : event.changes) {
      if (change.inode == InodeNumber{}) is_all = true;
      Node* node = state->nodes.find(change.inode);
      if (node != nullptr) hear(*state, *node, change, event.order, heard);
    }
    is_void_untold = is_all || state->voids_untold > 0;
  }
  if (is_all) void_all(event.order);
  for (const NodeId id : heard.data_changed) notifier_->invalidate_data(id);
  for (const NodeId id : heard.attributes_changed) notifier_->invalidate_attributes(id);
  std::vector<NodeId> locked;
  for (const NodeId id : heard.grown) {
    if (locks_.concern(id)) {
      locked.push_back(id);
    } else {
      notifier_->extend(id, [this, id] { return place_behind_end(id); });
    }
  }
  note_told(event.order);
  for (auto& [folder, name] : heard.names_gone) {
    notifier_->invalidate_entry(folder, std::move(name));
  }
  wake_all(std::move(heard.wake));
  if (heard.is_open || is_void_untold) {
    // A program may read the pages without asking us. None is locked for longer than a read takes:
    // see open_node(). And attributes that are asked for while a notice comes the kernel does not
    // keep: a copy_file_range(2) after an fstat(2) would end at the size of before.
    background_.spawn(
        acknowledge_told(std::move(locked), std::move(heard.dropped), std::move(acknowledge)));
  } else {
    acknowledge();
  }
}

// Of a file that somebody locks the end is told to the byte: by that behind it, for the sake of its
// mappings, whoever appends under the lock may go.
Task<> FileSystem::acknowledge_told(std::vector<NodeId> locked,
                                    std::vector<std::pair<NodeId, std::uint32_t>> dropped,
                                    std::move_only_function<void()> acknowledge) {
  for (const NodeId id : locked) {
    std::uint64_t end = 0;
    {
      auto state = state_.lock();
      const Node* node = state->nodes.find(id);
      if (node != nullptr && node->data != nullptr) end = node->data->grown_size;
    }
    co_await set_end_in_kernel(id, end);
  }
  notifier_->when_told(
      [this, dropped = std::move(dropped), acknowledge = std::move(acknowledge)]() mutable {
        pages_dropped(dropped);
        acknowledge();
      });
}

std::vector<std::pair<NodeId, std::string>> FileSystem::kernel_names() {
  std::vector<std::pair<NodeId, std::string>> names;
  auto state = state_.lock();
  // Where all is in doubt no entry is left; what the kernel knows still has its place, and its
  // further names were set aside.
  names.swap(state->names_in_doubt);
  state->nodes.for_each([&](const Node& node) {
    if (node.lookups == 0) return;
    if (node.parent != kNoNode) names.emplace_back(node.parent, node.name.text());
    if (node.folder == nullptr) return;
    for (const auto& [name, id] : node.folder->entries) {
      const Node* child = state->nodes.find(id);
      const bool is_told = child != nullptr && is_place(*child, node, name.view());
      if (!is_told) names.emplace_back(node.id, name.text());
    }
  });
  return names;
}

Concerned FileSystem::concerned_by(NodeId parent_id, const std::string& name) {
  Concerned concerned{.names = {{parent_id, name}}, .nodes = {parent_id}};
  auto state = state_.lock();
  const Node* parent = state->nodes.find(parent_id);
  if (parent == nullptr || parent->folder == nullptr) return concerned;
  const auto found = parent->folder->entries.find(name);
  if (found != parent->folder->entries.end()) concerned.nodes.push_back(found->second);
  return concerned;
}

void FileSystem::correct_kernel(const Concerned& concerned) {
  for (const auto& [folder, name] : concerned.names) notifier_->invalidate_entry(folder, name);
  for (const NodeId node : concerned.nodes) notifier_->invalidate_data(node);
}

void FileSystem::kernel_listed(const FolderSnapshot& listing, std::uint64_t begin,
                               std::uint64_t end) {
  if (!state_.lock()->is_shared) return;
  // A program that rewinds the folder meanwhile may have got a shorter one.
  const std::uint64_t behind = std::min<std::uint64_t>(end, listing.entries.size() + 2);
  for (std::uint64_t offset = std::max<std::uint64_t>(begin, 2); offset < behind; ++offset) {
    const SnapshotEntry& entry = listing.entries[offset - 2];
    if (entry.node != kNoNode) notifier_->invalidate_attributes(entry.node);
    notifier_->invalidate_entry(listing.folder, entry.name);
  }
}

void FileSystem::kernel_has(NodeId node, std::chrono::seconds attributes_ttl) {
  if (node == kNoNode || attributes_ttl.count() == 0) return;
  std::optional<std::pair<NodeId, std::string>> name;
  {
    auto state = state_.lock();
    if (!state->is_shared) return;
    const Node* known = state->drops_all_names ? nullptr : state->nodes.find(node);
    if (known != nullptr && known->parent != kNoNode) {
      name.emplace(known->parent, known->name.text());
    }
  }
  notifier_->invalidate_attributes(node);
  if (name) notifier_->invalidate_entry(name->first, std::move(name->second));
}

void FileSystem::on_quota(const GrantState& grant) { state_.lock()->grant.update(grant); }

// Who syncs what was changed hears of it, and so do those who are writing it.
void FileSystem::on_power_lost() {
  auto state = state_.lock();
  const std::size_t lost = state->unsynced.lose();
  for (const auto& [handle, file] : state->files) {
    Node* node = file.is_writable ? state->nodes.find(file.node) : nullptr;
    if (node == nullptr || !state->unsynced.is_lost(node->attributes.inode)) continue;
    data_of(*state, *node).writes.errors().add({Status::kIoError, "the server has lost power"});
  }
  spdlog::warn(
      "the server has lost power: changed_and_not_synced={}; the next fsync of each fails with EIO",
      lost);
}

void FileSystem::on_reconnected(const Reconnected& caches) {
  if (caches.are_valid) return;
  // Replies of another run have order 0: they are older than anything.
  const std::uint64_t order = std::max<std::uint64_t>(caches.order, 1);
  Voided voided;
  WakeList wake;
  {
    auto state = state_.lock();
    ++state->coherence;
    state->grant.reset(/*stamps_go_on=*/caches.is_same_run);
    state->nodes.begin_anew(order);
    state->is_open_known = state->is_open_known && caches.is_same_run;
    state->told_order = ClientState::kUnknownOrder;
    state->heard_order = 0;
    ++state->told_epoch;
    void_everything(*state, order, wake, voided);
  }
  tell_of_void(std::move(wake), std::move(voided));
}

}  // namespace homefs
