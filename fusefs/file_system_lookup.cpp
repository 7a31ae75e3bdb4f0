// Lookups and attributes: questions that the cache answers when it can.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "fusefs/file_system.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

// The second lookup that the cache cannot answer makes it fetch the folder: one costs a round trip
// either way, a search path or a build comes back again and again.
constexpr std::uint32_t kMissesBeforeListing = 2;
// Such programs go on to the folders beside it and below (git status, a build): the first lookup
// there is enough, and others are listed with it, as many more as there were such folders, each
// with some of what is below.
constexpr std::uint32_t kSiblingsAhead = 24;
constexpr std::uint32_t kBelowBytes = 16 * 1024;
// So far ahead goes nothing large: some 1,000 entries. By the size that its file system gives a
// folder, which grows with its entries on all of them.
constexpr std::uint64_t kSmallFolderBytes = 32 * 1024;

// Folders near by that were listed because names in them were asked for one by one.
std::uint32_t listed_near_by(NodeCache& nodes, const Node& folder) {
  constexpr int kLevels = 2;  // beside it, and beside the one it is in
  std::uint32_t count = 0;
  const Node* node = &folder;
  for (int level = 0; level < kLevels && node->id != kRootNode; ++level) {
    node = nodes.find(node->parent);
    if (node == nullptr || node->folder == nullptr) break;
    count += node->folder->listed_for_misses;
  }
  return count;
}

std::uint32_t changes_of(const Node& node) { return node.data == nullptr ? 0 : node.data->changes; }

}  // namespace

FileSystem::Cached FileSystem::lookup_cached(NodeId parent_id, const std::string& name) {
  auto state = state_.lock();
  Node* parent = state->nodes.find(parent_id);
  if (parent == nullptr) return {.is_known = true, .entry = fail(Status::kStale)};
  if (parent->folder == nullptr) return {.is_known = true, .entry = fail(Status::kNotDirectory)};
  Folder& folder = *parent->folder;
  const auto found = folder.entries.find(name);
  if (folder.used) state->nodes.touch(*parent);
  if (found != folder.entries.end()) {
    Node* node = state->nodes.find(found->second);
    HOMEFS_CHECK(node != nullptr);
    if (node->is_misplaced) NodeCache::place(*node, parent_id, name, 0);
    if (node->has_attributes) {
      ++node->lookups;
      return {.is_known = true,
              .entry = entry_of(*state, *node, /*is_cached=*/true),
              .has_older_pages = must_void_pages(*state, *node)};
    }
  } else if (folder.is_complete) {
    const bool may_be_kept = !state->is_shared && state->drops_all_names;
    const auto kept = may_be_kept ? options_.sole_ttl : std::chrono::seconds(0);
    return {.is_known = true, .entry = EntryOut{.node = kNoNode, .entry_ttl = kept}};
  }
  return missed(*state, *parent);
}

FileSystem::Cached FileSystem::missed(ClientState& state, Node& node) {
  Folder& folder = *node.folder;
  ++folder.misses;
  if (folder.is_complete || folder.is_listing) return {};
  const bool is_small = node.attributes.size <= kSmallFolderBytes;
  const std::uint32_t near_by = is_small ? listed_near_by(state.nodes, node) : 0;
  const bool is_next = near_by > 0 && folder.misses == 1;
  if (folder.misses != kMissesBeforeListing && !is_next) return {};
  Node* parent = node.id == kRootNode ? nullptr : state.nodes.find(node.parent);
  if (parent != nullptr && parent->folder != nullptr) ++parent->folder->listed_for_misses;
  Cached ahead{.to_list = {node.id}, .bytes_below = near_by > 0 ? kBelowBytes : 0};
  add_unlisted_siblings(state, node, std::min(near_by, kSiblingsAhead), kSmallFolderBytes,
                        ahead.to_list);
  return ahead;
}

Task<Result<EntryOut>> FileSystem::lookup(NodeId parent, std::string name) {
  // The kernel lets longer ones through, and one that cannot exist is not merely absent.
  if (name.size() > kNameBytesMax) co_return fail(Status::kNameTooLong);
  Cached cached = lookup_cached(parent, name);
  if (cached.is_known) {
    if (cached.has_older_pages) {
      co_await void_pages(cached.entry->node, cached.entry->attributes.version);
    }
    co_return std::move(cached.entry);
  }
  for (const NodeId id : cached.to_list) background_.spawn(list_ahead(id, cached.bytes_below));
  Result<EntryOut> entry = co_await lookup_at_server(parent, std::move(name));
  trim_names();
  co_return entry;
}

Task<Result<EntryOut>> FileSystem::lookup_at_server(NodeId parent_id, std::string name) {
  Call call = make_call(Op::kLookup, {parent_id}, LookupRequest{parent_id, name, kNoNode});
  const AskedName asked = ask_about(parent_id, name);
  Result<LookupReply> reply = co_await ask<LookupReply>(std::move(call));
  EntryOut out;
  bool is_older = false;
  {
    auto state = state_.lock();
    Result<EntryOut> entry = looked_up(*state, asked, reply, is_older);
    if (!entry) co_return entry;
    out = *entry;
  }
  if (is_older) co_await void_pages(out.node, out.attributes.version);
  co_return out;
}

Result<EntryOut> FileSystem::looked_up(ClientState& state, const AskedName& asked,
                                       const Result<LookupReply>& reply, bool& is_older) {
  const NodeId parent_id = asked.folder;
  const std::string& name = asked.name;
  // That there is none is of no order: it is believed if nothing else was heard.
  const bool is_newest = end_asking(state, asked, reply ? reply->attributes.order : 0);
  Node* parent = state.nodes.find(parent_id);
  if (!reply) {
    const bool is_absent = reply.error().status == Status::kNoSuchFile;
    if (!is_absent) return std::unexpected(reply.error());
    const bool is_known =
        parent != nullptr && parent->folder != nullptr && parent->folder->entries.contains(name);
    if (is_known && is_newest) drop_entry(state, *parent, name);
    // Not kept by the kernel: only a complete folder knows that a name is absent.
    return EntryOut{};
  }
  Node& node = state.nodes.see(reply->attributes, parent_id, name);
  state.nodes.learn_target(node, reply->target);
  ++node.lookups;
  if (parent != nullptr && parent->folder != nullptr) {
    if (is_newest) {
      learn(state, *parent, name, node);
      state.names.heard(parent_id, name, reply->attributes.order);
    } else {
      parent->folder->has_gaps = true;
    }
  }
  EntryOut out = entry_of(state, node, leads_to(parent, name, node.id));
  if (!node.has_attributes) out.attributes = reply->attributes;  // true when it was asked
  is_older = must_void_pages(state, node);
  return out;
}

// A folder that nothing leads to any more: neither do its entries.
void FileSystem::drop_if_forgotten(ClientState& state, Node& node) {
  if (node.id == kRootNode || node.lookups > 0) return;
  if (node.names == 0 && node.folder != nullptr) {
    const EntryMap entries = std::exchange(node.folder->entries, {});
    for (const auto& [name, child] : entries) {
      if (Node* entry = state.nodes.find(child)) --entry->names;
      state.nodes.remove_if_unused(child);
    }
    node.folder->is_complete = false;
  }
  state.nodes.remove_if_unused(node.id);
}

void FileSystem::forget(NodeId id, std::uint64_t count) {
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr || id == kRootNode) return;
    HOMEFS_CHECK(node->lookups >= count);
    node->lookups -= count;
    if (node->lookups > 0) return;
    drop_if_forgotten(*state, *node);
  }
  send_forgets(/*at_once=*/false);
}

// An event, or the answer to a removal, has taken the last name of a folder that the kernel does
// not know: its entries go, and with them what only they led to. Not at once: whoever takes the
// name has other nodes in hands, which may be among those.
void FileSystem::drop_abandoned_folders() {
  while (true) {
    auto state = state_.lock();  // for one folder
    const NodeId id = state->nodes.take_abandoned();
    if (id == kNoNode) return;
    if (Node* node = state->nodes.find(id)) drop_if_forgotten(*state, *node);
  }
}

void FileSystem::send_forgets(bool at_once) {
  drop_abandoned_folders();
  // One request for many: a FORGET is worth a frame only when it frees something on the server.
  constexpr std::size_t kBatch = kNodesPerRequestMax;
  while (true) {
    ForgetRequest request;
    {
      auto state = state_.lock();
      const std::size_t waiting = state->nodes.forgotten_count();
      const bool may_wait = !at_once && !state->nodes.has_forgotten_orphan();
      if (waiting == 0 || (may_wait && waiting < kBatch)) return;
      request.nodes = state->nodes.take_forgotten(kBatch);
    }
    (void)link_->send(make_call(Op::kForget, {}, request), [](const Result<InFrame>&) {
      // Nothing depends on it: a server that does not know the session has forgotten them too.
    });
  }
}

void FileSystem::send_waiting_forgets() { send_forgets(/*at_once=*/true); }

// The times of a file are the server's, from when it has the writes. A program that looks at the
// file it has just written (git does, and compares it later) must see the same ones for good, which
// is worth a round trip, but not the wait for a large file.
bool FileSystem::has_few_unsent_bytes(NodeId id) {
  constexpr std::size_t kFewBytes = 1024 * 1024;
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  return node != nullptr && node->is_dirty() && node->data->writes.bytes() <= kFewBytes;
}

// Told of the new end of a file, the kernel shows zeros where its last page ended: that page goes
// first. In the notifier's thread, as nothing of the file is locked for a question about it.
Task<Result<AttributesOut>> FileSystem::getattr(NodeId id) {
  const std::uint64_t asked = notifier_->moment();
  Result<AttributesOut> out = co_await attributes_now(id);
  if (!out) co_return out;
  if (out->has_older_pages) co_await void_pages(id, out->attributes.version);
  if (may_forget_end(id) || notifier_->has_told(id, asked)) {
    co_await set_end_in_kernel(id, out->attributes.size);
  }
  co_return out;
}

// The kernel keeps no attributes that it has asked for before a notice: lseek(2), which asks for
// the end of the file, would return that of before, and who has locked the file to append to it
// would overwrite what another mount has appended; read(2) would end there. The end is told beside
// the answer, then; also when there is no notice now of a file that somebody has locked, or that
// others change: it may have come before we took the question, or comes when the answer is there
// and the program has not been given the processor yet. That a file has become shorter cannot be
// told so.
Task<> FileSystem::set_end_in_kernel(NodeId id, std::uint64_t size) {
  constexpr int kTriesMax = 8;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    std::uint32_t changes = 0;
    {
      auto state = state_.lock();
      const Node* node = state->nodes.find(id);
      if (!state->is_shared || size == 0 || node == nullptr || !node->is_regular()) co_return;
      if (node->is_dirty()) co_return;  // what was written here the kernel knows
      changes = changes_of(*node);
    }
    const Result<std::vector<Slice>> last = co_await read_beside_writes(id, size - 1, 1);
    if (!last || last->empty() || last->front().bytes.empty()) co_return;
    auto state = state_.lock();
    const Node* node = state->nodes.find(id);
    if (node == nullptr) co_return;
    if (changes_of(*node) != changes) continue;  // it may be another byte by now
    // Under the lock: what is heard of from now on is told behind it.
    notifier_->set_end(id, size, last->front().bytes.front());
    break;
  }
  co_await kernel_told();
}

// Whether an answer about the file may be one that the kernel does not keep.
bool FileSystem::may_forget_end(NodeId id) {
  constexpr std::chrono::seconds kLately{1};  // longer than a program waits for the processor
  if (locks_.concern(id)) return true;
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  if (!state->is_shared || node == nullptr || node->data == nullptr) return false;
  return std::chrono::steady_clock::now() - node->data->heard_at < kLately;
}

// Whether the kernel may have pages of before what the server has said last. Of a file that is
// being written through them they are the newer ones.
bool FileSystem::has_older_pages(const Node& node) {
  const bool is_newer = node.data != nullptr && node.data->has_unsent() &&
                        !(node.data->writes.is_dirty() && node.data->writes.is_awaited());
  const bool is_same = node.has_attributes && node.kernel_version == node.attributes.version;
  return node.is_regular() && node.may_have_pages && !is_newer && !is_same;
}

// Told of the end that a write past the pages makes, before the write is answered and they are
// dropped, the kernel shows zeros there.
bool FileSystem::must_void_pages(const ClientState& state, const Node& node) {
  const bool is_passed = node.has_read_pages && node.data != nullptr && node.data->passing > 0;
  return is_passed || (state.is_shared && has_older_pages(node));
}

Task<> FileSystem::void_pages(NodeId id, std::uint64_t version) {
  notifier_->invalidate_data(id);
  Completion<bool> told([this](Completion<bool>::Done done) {
    notifier_->when_told([done = std::move(done)]() mutable { done(true); });
  });
  (void)co_await told;
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  const bool is_latest =
      node != nullptr && node->has_attributes && node->attributes.version == version;
  if (is_latest) node->kernel_version = version;
}

Task<Result<AttributesOut>> FileSystem::attributes_now(NodeId id) {
  if (has_few_unsent_bytes(id)) co_await drained(id);
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr) co_return fail(Status::kStale);
    if (node->has_attributes) {
      const bool is_older = must_void_pages(*state, *node);
      co_return AttributesOut{effective(*node), ttl(*state, *node), is_older};
    }
  }
  Call call = make_call(Op::kGetattr, {id}, NodeRequest{id});
  Result<AttributesReply> reply = co_await ask<AttributesReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node == nullptr) co_return fail(Status::kStale);
  if (id != kRootNode && NodeCache::is_another_inode(*node, reply->attributes)) {
    co_return fail(Status::kStale);
  }
  NodeCache::update(*node, reply->attributes);
  // Overtaken by another session's change: true when it was asked, but not to be kept.
  const bool is_older = has_older_pages(*node) || must_void_pages(*state, *node);
  if (!node->has_attributes) co_return AttributesOut{reply->attributes, {}, is_older};
  co_return AttributesOut{effective(*node), ttl(*state, *node), is_older};
}

Task<Result<std::string>> FileSystem::readlink(NodeId id) {
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr) co_return fail(Status::kStale);
    if (!S_ISLNK(node->attributes.mode)) co_return fail(Status::kInvalid);
    const std::string_view target = state->nodes.target(*node);
    if (!target.empty()) co_return std::string(target);
  }
  Call call = make_call(Op::kReadlink, {id}, NodeRequest{id});
  Result<TargetReply> reply = co_await ask<TargetReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  auto state = state_.lock();
  if (Node* node = state->nodes.find(id)) state->nodes.learn_target(*node, reply->target);
  co_return std::move(reply->target);
}

Task<StatfsReply> FileSystem::statfs() {
  Result<StatfsReply> told = fail(Status::kDisconnected);
  if (link_->is_connected()) {
    Completion<Result<InFrame>> answer([this](Link::Done done) {
      Call call = make_call(Op::kStatfs, {kRootNode}, NodeRequest{kRootNode});
      const std::uint64_t number = link_->send(std::move(call), std::move(done));
      state_.lock()->statfs_asked.emplace_back(number, std::chrono::steady_clock::now());
    });
    const Result<InFrame> frame = co_await answer;
    if (frame) told = message_of<StatfsReply>(*frame);
  }
  auto state = state_.lock();
  if (told) {
    if (told->grant.stamp >= state->grant.last().stamp) state->statfs = *told;
    state->grant.update(told->grant);
  }
  StatfsReply reply = state->statfs;
  reply.grant = state->grant.last();
  reply.grant.used += state->grant.unacknowledged();
  co_return reply;
}

void FileSystem::end_late_statfs() {
  const auto limit = std::chrono::steady_clock::now() - kStatfsPatience;
  while (true) {
    std::uint64_t number = 0;
    {
      auto state = state_.lock();
      auto& asked = state->statfs_asked;
      if (asked.empty() || asked.front().second > limit) return;
      number = asked.front().first;
      asked.pop_front();
    }
    link_->interrupt(number);  // nothing happens when it was answered
  }
}

}  // namespace homefs
